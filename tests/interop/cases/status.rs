use evenkeel::Channel;
use evenkeel_testkit::interop::pb::unimplemented_service_client::UnimplementedServiceClient;
use evenkeel_testkit::interop::pb::{EchoStatus, Empty, SimpleRequest, StreamingOutputCallRequest};
use evenkeel_testkit::within;
use tonic::{Code, Status};

use super::Client;

/// UNKNOWN with this message.
#[expect(clippy::unnecessary_wraps, reason = "messages have it as an option")]
fn unknown(message: &str) -> Option<EchoStatus> {
    Some(EchoStatus {
        code: Code::Unknown as i32,
        message: message.to_owned(),
    })
}

async fn of_unary(client: &mut Client, message: &str) -> Status {
    let request = SimpleRequest {
        response_status: unknown(message),
        ..SimpleRequest::default()
    };
    let call = client.unary_call(request);
    within("a status", call).await.unwrap_err()
}

pub(super) async fn status_code_and_message(channel: Channel) {
    const MESSAGE: &str = "test status message";
    let mut client = Client::new(channel);
    let unary = of_unary(&mut client, MESSAGE).await;

    let request = StreamingOutputCallRequest {
        response_status: unknown(MESSAGE),
        ..StreamingOutputCallRequest::default()
    };
    let call = async {
        let call = client.full_duplex_call(tokio_stream::once(request));
        call.await?.into_inner().message().await
    };
    let duplex = within("a status", call).await.unwrap_err();
    for status in [unary, duplex] {
        assert_eq!((status.code(), status.message()), (Code::Unknown, MESSAGE));
    }
}

pub(super) async fn special_status_message(channel: Channel) {
    const MESSAGE: &str =
        "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";
    let status = of_unary(&mut Client::new(channel), MESSAGE).await;
    assert_eq!((status.code(), status.message()), (Code::Unknown, MESSAGE));
}

pub(super) async fn unimplemented_method(channel: Channel) {
    let mut client = Client::new(channel);
    let call = client.unimplemented_call(Empty {});
    let status = within("a status", call).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

pub(super) async fn unimplemented_service(channel: Channel) {
    let mut client = UnimplementedServiceClient::new(channel);
    let call = client.unimplemented_call(Empty {});
    let status = within("a status", call).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

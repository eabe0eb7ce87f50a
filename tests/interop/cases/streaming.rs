use evenkeel::Channel;
use evenkeel_testkit::interop::pb::StreamingInputCallRequest;
use evenkeel_testkit::within;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Client, asking, zeros};

const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
const RESPONSES: [i32; 4] = [31_415, 9, 2_653, 58_979];

pub(super) async fn client_streaming(channel: Channel) {
    let mut client = Client::new(channel);
    let requests = REQUESTS.map(|size| StreamingInputCallRequest {
        payload: zeros(size),
    });
    let call = client.streaming_input_call(tokio_stream::iter(requests));
    let response = within("a response", call).await.unwrap();
    assert_eq!(response.into_inner().aggregated_payload_size, 74_922);
}

pub(super) async fn server_streaming(channel: Channel) {
    let mut client = Client::new(channel);
    let mut request = asking(0, &RESPONSES);
    request.payload = None;
    let call = client.streaming_output_call(request);
    let mut responses = within("a response", call).await.unwrap().into_inner();
    for size in RESPONSES {
        let response = within("a message", responses.message()).await.unwrap();
        assert_eq!(response.unwrap().payload, zeros(size as usize));
    }
    let end = within("the end", responses.message()).await.unwrap();
    assert!(end.is_none());
}

pub(super) async fn ping_pong(channel: Channel) {
    let mut client = Client::new(channel);
    let (send, requests) = mpsc::channel(1);
    let call = client.full_duplex_call(ReceiverStream::new(requests));
    // A server need not answer before it has something to say.
    let ping = asking(REQUESTS[0], &RESPONSES[..1]);
    send.send(ping).await.unwrap();
    let mut responses = within("a response", call).await.unwrap().into_inner();
    for (turn, size) in RESPONSES.into_iter().enumerate() {
        if turn > 0 {
            let ping = asking(REQUESTS[turn], &[size]);
            send.send(ping).await.unwrap();
        }
        let pong = within("a message", responses.message()).await.unwrap();
        assert_eq!(pong.unwrap().payload, zeros(size as usize));
    }
    drop(send);
    let end = within("the end", responses.message()).await.unwrap();
    assert!(end.is_none());
}

pub(super) async fn empty_stream(channel: Channel) {
    let mut client = Client::new(channel);
    let call = client.full_duplex_call(tokio_stream::empty());
    let mut responses = within("a response", call).await.unwrap().into_inner();
    let end = within("the end", responses.message()).await.unwrap();
    assert!(end.is_none());
}

use evenkeel::Channel;
use evenkeel_testkit::interop::pb::{Empty, SimpleRequest};
use evenkeel_testkit::within;
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::{Client, asking, zeros};

const INITIAL: &str = "x-grpc-test-echo-initial";
const TRAILING: &str = "x-grpc-test-echo-trailing-bin";

fn large() -> SimpleRequest {
    SimpleRequest {
        response_size: 314_159,
        payload: zeros(271_828),
        ..SimpleRequest::default()
    }
}

pub(super) async fn empty_unary(channel: Channel) {
    let mut client = Client::new(channel);
    let response = within("a response", client.empty_call(Empty {})).await;
    assert_eq!(response.unwrap().into_inner(), Empty {});
}

pub(super) async fn large_unary(channel: Channel) {
    let mut client = Client::new(channel);
    let response = within("a response", client.unary_call(large())).await;
    assert_eq!(response.unwrap().into_inner().payload, zeros(314_159));
}

pub(super) async fn custom_metadata(channel: Channel) {
    let mut client = Client::new(channel);
    let text = "test_initial_metadata_value";
    let bytes = MetadataValue::from_bytes(&[0xab, 0xab, 0xab]);

    let response = client.unary_call(with_metadata(large()));
    let response = within("a response", response).await.unwrap();
    // tonic has both of a unary call in one.
    assert_eq!(response.metadata().get(INITIAL).unwrap(), text);
    let trailing = response.metadata().get_bin(TRAILING).unwrap();
    assert_eq!(trailing.to_bytes().unwrap(), bytes.to_bytes().unwrap());

    let requests = tokio_stream::once(asking(271_828, &[314_159]));
    let response = client.full_duplex_call(with_metadata(requests));
    let response = within("a response", response).await.unwrap();
    assert_eq!(response.metadata().get(INITIAL).unwrap(), text);
    assert!(response.metadata().get_bin(TRAILING).is_none());
    let mut responses = response.into_inner();
    let message = within("a message", responses.message()).await.unwrap();
    assert_eq!(message.unwrap().payload, zeros(314_159));
    let end = within("the end", responses.message()).await.unwrap();
    assert!(end.is_none());
    let trailers = within("trailers", responses.trailers()).await.unwrap();
    let trailers = trailers.expect("they came with the end");
    let trailing = trailers.get_bin(TRAILING).unwrap();
    assert_eq!(trailing.to_bytes().unwrap(), bytes.to_bytes().unwrap());
    assert!(trailers.get(INITIAL).is_none());
}

fn with_metadata<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    let text = "test_initial_metadata_value".parse().unwrap();
    metadata.insert(INITIAL, text);
    metadata.insert_bin(TRAILING, MetadataValue::from_bytes(&[0xab, 0xab, 0xab]));
    request
}

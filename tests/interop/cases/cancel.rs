//! Calls that their callers end.

use std::time::Duration;

use evenkeel::Channel;
use evenkeel::errors::{DeadlineExceeded, cause};
use evenkeel_testkit::interop::pb::{Empty, StreamingInputCallRequest};
use evenkeel_testkit::within;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use super::{Client, asking, zeros};

pub(super) async fn timeout_on_sleeping_server(channel: Channel) {
    let mut client = Client::new(channel);
    let (send, requests) = mpsc::channel(1);
    send.send(asking(27_182, &[])).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(requests));
    request.set_timeout(Duration::from_millis(1));
    let call = async {
        let response = client.full_duplex_call(request).await?;
        response.into_inner().message().await
    };
    let status = within("the end", call).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    // The server may have been first to say so.
    let is_local = cause::<DeadlineExceeded>(&status).is_some();
    assert!(is_local || !status.message().is_empty(), "{status}");
    drop(send);
}

pub(super) async fn cancel_after_begin(channel: Channel) {
    let mut client = Client::new(channel.clone());
    let (send, requests) = mpsc::channel::<StreamingInputCallRequest>(1);
    let call = client.streaming_input_call(ReceiverStream::new(requests));
    // What is answered was sent after the head of the call, on the same connection.
    let mut behind = Client::new(channel.clone());
    tokio::select! {
        biased;
        result = call => panic!("it has not been sent in full: {result:?}"),
        answer = within("an answer", behind.empty_call(Empty {})) => drop(answer.unwrap()),
    }
    drop(send);
    super::unary::empty_unary(channel).await;
}

pub(super) async fn cancel_after_first_response(channel: Channel) {
    let mut client = Client::new(channel.clone());
    let (send, requests) = mpsc::channel(1);
    send.send(asking(27_182, &[31_415])).await.unwrap();
    let call = client.full_duplex_call(ReceiverStream::new(requests));
    let mut responses = within("a response", call).await.unwrap().into_inner();
    let first = within("a message", responses.message()).await.unwrap();
    assert_eq!(first.unwrap().payload, zeros(31_415));
    drop(responses);
    drop(send);
    super::unary::empty_unary(channel).await;
}

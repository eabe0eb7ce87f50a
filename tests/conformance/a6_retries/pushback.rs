//! What a server says about trying again, in `grpc-retry-pushback-ms`.

use std::time::Duration;

use tonic::Code;

use crate::servers::{Answer, call, failure, retrying, start};

fn pushing_back(value: &str) -> Answer {
    Answer::fails(Code::Unavailable).pushing_back(value)
}

#[tokio::test(start_paused = true)]
async fn it_is_waited_exactly_without_jitter_and_beyond_the_maximum() {
    for millis in [0, 1, 777, 10_001, 3_600_000, i32::MAX] {
        let (servers, mut client) = start(&retrying(5)).await;
        servers.answer([pushing_back(&millis.to_string())]);
        call(&mut client).await.unwrap();
        let waited = servers.delays()[0];
        assert_eq!(waited.as_millis(), u128::from(millis.unsigned_abs()));
    }
}

#[tokio::test(start_paused = true)]
async fn it_starts_the_exponential_sequence_again() {
    let (servers, mut client) = start(&retrying(5)).await;
    let plain = || Answer::fails(Code::Unavailable);
    servers.answer([plain(), plain(), pushing_back("100"), plain()]);
    call(&mut client).await.unwrap();
    let [one, two, pushed, again] = servers.delays()[..] else {
        panic!("there were five attempts");
    };
    let seconds = |delay: Duration| delay.as_secs_f64().round();
    assert_eq!((seconds(one), seconds(two)), (1.0, 2.0));
    assert_eq!(pushed.as_millis(), 100);
    assert_eq!(seconds(again), 1.0, "as before the first retry");
}

#[tokio::test(start_paused = true)]
async fn a_negative_one_ends_the_call() {
    for value in ["-1", "-2147483648"] {
        let (servers, mut client) = start(&retrying(5)).await;
        servers.answer([pushing_back(value)]);
        assert_eq!(failure(&mut client).await, Code::Unavailable);
        assert_eq!(servers.count(), 1, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_no_32_bit_number_ends_the_call() {
    for value in ["", "xxx", "10.5", "+5", "5s", "0x10", "2147483648"] {
        let (servers, mut client) = start(&retrying(5)).await;
        servers.answer([pushing_back(value)]);
        assert_eq!(failure(&mut client).await, Code::Unavailable);
        assert_eq!(servers.count(), 1, "{value:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_of_them_end_the_call() {
    for second in ["5", "-1", "xxx"] {
        let (servers, mut client) = start(&retrying(5)).await;
        servers.answer([pushing_back("5").pushing_back(second)]);
        assert_eq!(failure(&mut client).await, Code::Unavailable);
        assert_eq!(servers.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn it_adds_no_attempts() {
    let (servers, mut client) = start(&retrying(3)).await;
    servers.answer([(); 5].map(|()| pushing_back("0")));
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_makes_no_code_one_that_is_retried() {
    let (servers, mut client) = start(&retrying(3)).await;
    servers.answer([Answer::fails(Code::NotFound).pushing_back("0")]);
    assert_eq!(failure(&mut client).await, Code::NotFound);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_counts_for_nothing_once_the_call_is_committed() {
    let (servers, mut client) = start(&retrying(3)).await;
    servers.answer([Answer::fails_after_headers(Code::Unavailable).pushing_back("0")]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

//! One deadline for all attempts of a call.

use std::time::Duration;

use evenkeel::errors::{DeadlineExceeded, cause};
use evenkeel_testkit::pb::GetByIdRequest;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use crate::servers::{Answer, Attempt, Client, config, failure, policy, start};

const SECOND: Duration = Duration::from_secs(1);

/// Calls that may take 10 s, and are tried again by this policy.
fn ten_seconds(policy: &str) -> String {
    config(&format!(r#""timeout": "10s", {policy}"#))
}

/// Attempts on UNAVAILABLE and DEADLINE_EXCEEDED.
fn both(attempts: u32) -> String {
    policy(attempts, r#""UNAVAILABLE", "DEADLINE_EXCEEDED""#)
}

/// What `grpc-timeout` says.
fn left(attempt: &Attempt) -> Duration {
    let text = attempt.header("grpc-timeout").unwrap();
    let (count, unit) = text.split_at(text.len() - 1);
    let count = count.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(count),
        "u" => Duration::from_micros(count),
        "m" => Duration::from_millis(count),
        "S" => Duration::from_secs(count),
        other => panic!("{other}"),
    }
}

fn is_local(status: &Status) -> bool {
    cause::<DeadlineExceeded>(status).is_some()
}

#[tokio::test(start_paused = true)]
async fn it_spans_all_attempts() {
    let (servers, mut client) = start(&ten_seconds(&both(5))).await;
    servers.answer([(); 5].map(|()| Answer::fails(Code::Unavailable).after(4 * SECOND)));
    let start = Instant::now();
    assert_eq!(failure(&mut client).await, Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), 10 * SECOND);
    assert_eq!(servers.count(), 2, "4 s, a pause, 4 s, and a longer pause");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_what_is_left() {
    let (servers, mut client) = start(&ten_seconds(&both(3))).await;
    let pushing_back = |millis| Answer::fails(Code::Unavailable).pushing_back(millis);
    servers.answer([pushing_back("3000").after(SECOND), pushing_back("500")]);
    client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
    let left: Vec<_> = servers.attempts().iter().map(left).collect();
    assert_eq!(left, [10.0, 6.0, 5.5].map(Duration::from_secs_f64));
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_is_told_the_same_way() {
    let (servers, mut client) = start(&config(&both(3))).await;
    servers.answer([Answer::fails(Code::Unavailable).pushing_back("3000")]);
    let mut request = Request::new(GetByIdRequest { id: 1 });
    request.set_timeout(8 * SECOND);
    client.get_by_id(request).await.unwrap();
    let left: Vec<_> = servers.attempts().iter().map(left).collect();
    assert_eq!(left, [8 * SECOND, 5 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn in_a_delay_it_ends_the_call_then_and_not_with_the_last_status() {
    let (servers, mut client) = start(&ten_seconds(&both(5))).await;
    servers.answer([Answer::fails(Code::Unavailable).pushing_back("3600000")]);
    let start = Instant::now();
    let status = client.get_by_id(GetByIdRequest { id: 1 }).await;
    let status = status.unwrap_err();
    assert_eq!(start.elapsed(), 10 * SECOND);
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(is_local(&status));
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_in_a_delay_ends_the_call_then() {
    let (servers, mut client) = start(&config(&both(5))).await;
    servers.answer([Answer::fails(Code::Unavailable).pushing_back("5000")]);
    let call = client.get_by_id(GetByIdRequest { id: 1 });
    let cancelled = tokio::time::timeout(2 * SECOND, call).await;
    assert!(cancelled.is_err());
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_passes_here_is_not_retried_even_if_it_is_listed() {
    let (servers, mut client) = start(&ten_seconds(&both(5))).await;
    servers.answer([Answer::hangs()]);
    let start = Instant::now();
    let status = client.get_by_id(GetByIdRequest { id: 1 }).await;
    let status = status.unwrap_err();
    assert_eq!(
        (start.elapsed(), status.code()),
        (10 * SECOND, Code::DeadlineExceeded)
    );
    assert!(is_local(&status));
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn deadline_exceeded_of_a_server_is_a_code_like_any_other() {
    let (servers, mut client) = start(&config(&both(5))).await;
    servers.answer([Answer::fails(Code::DeadlineExceeded)]);
    client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
    assert_eq!(servers.count(), 2);

    // Also while there is time left, and when it is not listed.
    let only = policy(5, r#""UNAVAILABLE""#);
    let (servers, mut client): (_, Client) = start(&ten_seconds(&only)).await;
    servers.answer([Answer::fails(Code::DeadlineExceeded).with("grpc-message", "mine")]);
    let status = client.get_by_id(GetByIdRequest { id: 1 }).await;
    let status = status.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DeadlineExceeded, "mine")
    );
    assert!(!is_local(&status));
}

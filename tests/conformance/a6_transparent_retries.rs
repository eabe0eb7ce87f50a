//! gRFC A6 (transparent retries): what no application has seen is tried again, with or without a
//! policy.

use std::time::Duration;

use evenkeel::RetryConfig;
use evenkeel_testkit::pb::{GetByIdRequest, ImportUsersRequest};
use tokio::time::Instant;
use tonic::{Code, Request};

use crate::servers::{Answer, Attempt, Client, Servers, call, config, failure, retrying, start};

const NO_POLICY: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

fn previous(servers: &Servers) -> Vec<Option<String>> {
    let attempts = servers.attempts();
    let previous = attempts.iter().map(Attempt::previous);
    previous.map(|text| text.map(ToOwned::to_owned)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_tried_again_without_limit_and_without_a_policy() {
    for config in [NO_POLICY, &retrying(2)] {
        let (servers, mut client) = start(config).await;
        servers.answer([(); 1_500].map(|()| Answer::unsent()));
        call(&mut client).await.unwrap();
        assert_eq!(servers.count(), 1);
        assert_eq!(servers.connections(), 1_501);
        assert_eq!(previous(&servers), [None]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_left_goes_to_another_endpoint_at_once() {
    let servers = Servers::default();
    let mut client = Client::new(servers.channel(3, NO_POLICY).await);
    let start = Instant::now();
    servers.answer([Answer::unsent(), Answer::unsent()]);
    call(&mut client).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_never_left_need_not_have_been_kept() {
    let servers = Servers::default();
    let builder = servers.builder(1).service_config(NO_POLICY);
    let builder = builder.retry(RetryConfig {
        call_buffer: 0,
        channel_buffer: 0,
        ..RetryConfig::default()
    });
    let mut client = Client::new(servers.build(builder).await);
    servers.answer([(); 3].map(|()| Answer::unsent()));
    let users = [(); 5].map(|()| ImportUsersRequest::default());
    let users = tokio_stream::iter(users);
    client.import_users(users).await.unwrap();
    let attempts = servers.attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].messages, [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn what_never_leaves_ends_with_its_deadline() {
    let (servers, mut client) = start(&config(r#""timeout": "10s""#)).await;
    servers.always(|| Answer::unsent().after(Duration::from_secs(1)));
    let start = Instant::now();
    assert_eq!(failure(&mut client).await, Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert_eq!(servers.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_has_refused_is_tried_again_once_and_at_once() {
    for config in [NO_POLICY, &retrying(2)] {
        let (servers, mut client) = start(config).await;
        servers.answer([Answer::refused()]);
        let start = Instant::now();
        call(&mut client).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(previous(&servers), [None, None]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_refusal_is_unavailable_without_a_policy() {
    let (servers, mut client) = start(NO_POLICY).await;
    servers.answer([(); 9].map(|()| Answer::refused()));
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_refusal_goes_through_the_policy() {
    let (servers, mut client) = start(&retrying(3)).await;
    servers.answer([(); 9].map(|()| Answer::refused()));
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    let one = |text: &str| Some(text.to_owned());
    assert_eq!(previous(&servers), [None, None, one("1"), one("2")]);
    let delays = servers.delays();
    assert!(delays[0].is_zero());
    assert!(delays[1] >= Duration::from_millis(800), "{delays:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_retry_by_the_policy_a_first_refusal_is_still_transparent() {
    // As in C-core and Node; Go and Java have none left then.
    let (servers, mut client) = start(&retrying(2)).await;
    servers.answer([Answer::fails(Code::Unavailable), Answer::refused()]);
    call(&mut client).await.unwrap();
    let one = Some("1".to_owned());
    assert_eq!(previous(&servers), [None, one.clone(), one]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_when_its_connection_was_lost_is_never_transparent() {
    let (servers, mut client) = start(NO_POLICY).await;
    servers.answer([Answer::lost()]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_when_its_connection_was_lost_goes_through_the_policy() {
    let (servers, mut client) = start(&retrying(2)).await;
    servers.answer([Answer::lost()]);
    call(&mut client).await.unwrap();
    assert_eq!(previous(&servers), [None, Some("1".to_owned())]);
    assert!(servers.delays()[0] >= Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn transparent_ones_are_not_among_the_attempts_of_the_policy() {
    let (servers, mut client) = start(&retrying(3)).await;
    let fails = || Answer::fails(Code::Unavailable);
    servers.answer([
        Answer::unsent(),
        fails(),
        Answer::refused(),
        Answer::unsent(),
        fails(),
    ]);
    servers.always(fails);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    let attempts = previous(&servers);
    assert_eq!(
        attempts.len(),
        4,
        "three of the policy, and the one refused"
    );
    assert_eq!(attempts[3], Some("2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_carries_the_time_that_is_left() {
    let (servers, mut client) = start(NO_POLICY).await;
    servers.answer([Answer::refused().after(Duration::from_secs(3))]);
    let mut request = Request::new(GetByIdRequest { id: 1 });
    request.set_timeout(Duration::from_secs(10));
    client.get_by_id(request).await.unwrap();
    let attempts = servers.attempts();
    assert_eq!(attempts[1].header("grpc-timeout"), Some("7000000u"));
}

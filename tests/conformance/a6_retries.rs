//! gRFC A6 (retries), without throttling, transparent retries and hedging: the rules, of a whole
//! channel.

mod backoff;
mod buffering;
mod commit;
mod config;
mod deadline;
mod picks;
mod pushback;

use evenkeel::{ParseOptions, RetryConfig};
use tonic::Code;

use crate::servers::{
    Answer, Attempt, Client, Servers, call, capped, config, failure, policy, retrying, start,
};

/// The servers of these attempts.
fn places(attempts: &[Attempt]) -> Vec<String> {
    let places = attempts.iter().map(|attempt| attempt.server.to_string());
    places.collect()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_fresh_pick() {
    let servers = Servers::default();
    let mut client = Client::new(servers.channel(3, &retrying(4)).await);
    servers.answer([(); 3].map(|()| Answer::fails(Code::Unavailable)));
    call(&mut client).await.unwrap();
    let mut places = places(&servers.attempts());
    assert_eq!(places.len(), 4);
    places[..3].sort();
    assert_eq!(places[..3], ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
}

#[tokio::test(start_paused = true)]
async fn the_retry_state_is_the_calls_own() {
    let (servers, client) = start(&retrying(3)).await;
    servers.answer([(); 6].map(|()| Answer::fails(Code::Unavailable)));
    let (mut one, mut other) = (client.clone(), client);
    let (one, other) = tokio::join!(failure(&mut one), failure(&mut other));
    assert_eq!([one, other], [Code::Unavailable; 2]);
    let attempts = servers.attempts();
    let mut previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    previous.sort_unstable();
    let each = [None, Some("1"), Some("2")];
    assert_eq!(previous, each.map(|it| [it; 2]).concat());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_the_first_and_its_retries_up_to_max_attempts() {
    for attempts in 2..=5 {
        let (servers, mut client) = start(&retrying(attempts)).await;
        servers.answer([(); 9].map(|()| Answer::fails(Code::Unavailable)));
        assert_eq!(failure(&mut client).await, Code::Unavailable);
        assert_eq!(servers.count(), attempts as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn the_clients_limit_is_5_and_can_be_changed() {
    for (options, configured, attempts) in [
        (ParseOptions::default(), 9, 5),
        (capped(7), 9, 7),
        (capped(7), 6, 6),
        (capped(4), 5, 4),
    ] {
        let servers = Servers::default();
        let builder = servers.builder(1).service_config(retrying(configured));
        let channel = servers.build(builder.parse_options(options)).await;
        servers.answer([(); 9].map(|()| Answer::fails(Code::Unavailable)));
        failure(&mut Client::new(channel)).await;
        assert_eq!(servers.count(), attempts, "{configured} are configured");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_codes_that_are_listed_are_retried() {
    let config = config(&policy(2, r#""ABORTED", "DATA_LOSS", 14, "internal""#));
    let (servers, mut client) = start(&config).await;
    let retried = [
        Code::Aborted,
        Code::DataLoss,
        Code::Unavailable,
        Code::Internal,
    ];
    for code in (1..17).map(Code::from) {
        let before = servers.count();
        servers.answer([Answer::fails(code)]);
        let result = call(&mut client).await;
        let attempts = servers.count() - before;
        match retried.contains(&code) {
            true => assert!(result.is_ok() && attempts == 2, "{code:?}"),
            false => {
                assert_eq!(result.unwrap_err().code(), code);
                assert_eq!(attempts, 1, "{code:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_is_not_tried_again() {
    let (servers, mut client) = start(&retrying(5)).await;
    call(&mut client).await.unwrap();
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_method_without_a_policy_is_not_tried_again() {
    let only = retrying(5).replace(
        r#"{"service": "UserService"}"#,
        r#"{"service": "UserService", "method": "ListUsers"}"#,
    );
    let (servers, mut client) = start(&only).await;
    servers.answer([Answer::fails(Code::Unavailable)]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_header_counts_the_attempts_before_and_the_first_has_none() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([(); 4].map(|()| Answer::fails(Code::Unavailable)));
    call(&mut client).await.unwrap();
    let attempts = servers.attempts();
    let previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    assert_eq!(previous, [None, Some("1"), Some("2"), Some("3"), Some("4")]);
}

#[tokio::test(start_paused = true)]
async fn transparent_retries_are_not_in_the_header() {
    let (servers, mut client) = start(&retrying(5)).await;
    servers.answer([
        Answer::refused(),
        Answer::fails(Code::Unavailable),
        Answer::unsent(),
        Answer::ok(),
    ]);
    call(&mut client).await.unwrap();
    let attempts = servers.attempts();
    let previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    assert_eq!(previous, [None, None, Some("1")]);
}

#[tokio::test(start_paused = true)]
async fn the_result_is_that_of_the_last_attempt() {
    let (servers, mut client) = start(&retrying(3)).await;
    let failing = |number: u32| {
        let answer = Answer::fails(Code::Unavailable);
        answer
            .with("grpc-message", &format!("of attempt {number}"))
            .with("x-attempt", &number.to_string())
    };
    servers.answer([1, 2, 3].map(failing));
    let status = call(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "of attempt 3");
    let trailers = status.metadata().get_all("x-attempt");
    assert_eq!(trailers.iter().collect::<Vec<_>>(), ["3"]);

    // Of another one, too: what came before does not matter.
    servers.answer([failing(1), Answer::fails(Code::NotFound)]);
    assert_eq!(failure(&mut client).await, Code::NotFound);
    servers.answer([failing(1), Answer::ok().with("x-attempt", "2")]);
    let metadata = call(&mut client).await.unwrap();
    assert_eq!(metadata.get("x-attempt").unwrap(), "2");
}

#[tokio::test(start_paused = true)]
async fn retries_can_be_disabled_for_a_channel() {
    let servers = Servers::default();
    let builder = servers.builder(1).service_config(retrying(5));
    let builder = builder.retry(RetryConfig {
        enabled: false,
        ..RetryConfig::default()
    });
    let mut client = Client::new(servers.build(builder).await);
    servers.answer([Answer::fails(Code::Unavailable)]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);

    // What no server has seen is no retry in the sense of the policy.
    servers.answer([Answer::refused()]);
    call(&mut client).await.unwrap();
    assert_eq!(servers.count(), 3);
}

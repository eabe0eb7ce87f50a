//! gRFC A6 (hedging): the rules, of a whole channel.

use std::time::Duration;

use evenkeel::{Answered, ConnectivityState, ParseOptions, RetryConfig};
use evenkeel_testkit::pb::{GetByIdRequest, ImportUsersRequest, User};
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::Code;

use crate::servers::{Answer, Attempt, Channel, Client, Servers, call, capped, config, failure};

/// A `hedgingPolicy` with one attempt each second, after UNAVAILABLE at once.
fn hedging(attempts: u32) -> String {
    config(&policy(
        attempts,
        r#""hedgingDelay": "1s","#,
        r#""UNAVAILABLE""#,
    ))
}

fn policy(attempts: u32, delay: &str, codes: &str) -> String {
    format!(
        r#""hedgingPolicy": {{"maxAttempts": {attempts}, {delay} "nonFatalStatusCodes": [{codes}]}}"#
    )
}

/// A channel to five servers.
async fn start(config: &str) -> (Servers, Channel, Client) {
    let servers = Servers::default();
    let channel = servers.channel(5, config).await;
    (servers, channel.clone(), Client::new(channel))
}

fn in_flight(channel: &Channel) -> usize {
    let endpoints = channel.endpoints();
    let in_flight = endpoints.iter().map(|one| one.stats.in_flight() as usize);
    in_flight.sum()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn an_attempt_starts_when_the_delay_has_passed_since_the_one_before() {
    let (servers, _, mut client) = start(&hedging(4)).await;
    servers.answer([Answer::hangs(), Answer::hangs(), Answer::hangs()]);
    call(&mut client).await.unwrap();
    assert_eq!(servers.delays(), [seconds(1); 3]);
}

#[tokio::test(start_paused = true)]
async fn attempts_go_to_endpoints_of_their_own() {
    for delay in ["", r#""hedgingDelay": "1s","#] {
        let (servers, _, mut client) = start(&config(&policy(5, delay, ""))).await;
        servers.answer([(); 4].map(|()| Answer::hangs()));
        call(&mut client).await.unwrap();
        let attempts = servers.attempts();
        let mut places: Vec<_> = attempts.iter().map(|it| it.server.to_string()).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_or_with_none_all_start_at_once() {
    for delay in ["", r#""hedgingDelay": "0s","#] {
        let (servers, _, mut client) = start(&config(&policy(3, delay, ""))).await;
        servers.answer([Answer::hangs(), Answer::hangs()]);
        let begin = Instant::now();
        call(&mut client).await.unwrap();
        assert_eq!((servers.count(), begin.elapsed()), (3, seconds(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_max_attempts_and_no_more_than_the_clients_limit() {
    for (options, configured, attempts) in [
        (ParseOptions::default(), 3, 3),
        (ParseOptions::default(), 9, 5),
        (capped(7), 9, 7),
    ] {
        let servers = Servers::default();
        let builder = servers.builder(9).service_config(hedging(configured));
        let channel = servers.build(builder.parse_options(options)).await;
        servers.always(Answer::hangs);
        let call =
            tokio::time::timeout(seconds(60), async { call(&mut Client::new(channel)).await });
        call.await.unwrap_err();
        assert_eq!(servers.count(), attempts, "{configured} are configured");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_in_time_is_not_hedged() {
    let (servers, _, mut client) = start(&hedging(5)).await;
    servers.answer([Answer::fails(Code::NotFound).after(Duration::from_millis(999))]);
    failure(&mut client).await;
    call(&mut client).await.unwrap();
    assert_eq!(servers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_response_headers_win_and_the_others_are_cancelled() {
    let (servers, channel, mut client) = start(&hedging(3)).await;
    servers.answer([Answer::hangs(), Answer::hangs(), Answer::begins()]);
    let request = GetByIdRequest { id: 1 };
    let call = tokio::time::timeout(seconds(60), client.get_by_id(request));
    // The third has begun to answer, and never ends; nobody else may win any more.
    let wait = async {
        tokio::time::sleep(seconds(30)).await;
        in_flight(&channel)
    };
    let (call, running) = tokio::join!(call, wait);
    call.unwrap_err();
    assert_eq!((servers.count(), running), (3, 1));
    assert_eq!(in_flight(&channel), 0);
}

#[tokio::test(start_paused = true)]
async fn a_status_after_response_headers_is_the_calls_whatever_it_is() {
    let (servers, _, mut client) = start(&hedging(3)).await;
    servers.answer([Answer::fails_after_headers(Code::Unavailable)]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_non_fatal_failure_starts_the_next_at_once_and_the_cadence_goes_on_from_it() {
    let (servers, _, mut client) = start(&hedging(4)).await;
    servers.answer([
        Answer::fails(Code::Unavailable).after(Duration::from_millis(300)),
        Answer::hangs(),
        Answer::hangs(),
    ]);
    call(&mut client).await.unwrap();
    let early = Duration::from_millis(300);
    assert_eq!(servers.delays(), [early, seconds(1), seconds(1)]);
}

#[tokio::test(start_paused = true)]
async fn any_other_failure_is_fatal_and_ends_all() {
    for code in (1..17).map(Code::from) {
        if code == Code::Unavailable {
            continue;
        }
        let (servers, channel, mut client) = start(&hedging(5)).await;
        servers.answer([Answer::hangs(), Answer::fails(code)]);
        assert_eq!(failure(&mut client).await, code);
        assert_eq!((servers.count(), in_flight(&channel)), (2, 0), "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_an_empty_list_every_failure_is_fatal() {
    let config = config(&policy(5, r#""hedgingDelay": "1s","#, ""));
    let (servers, _, mut client) = start(&config).await;
    servers.answer([Answer::fails(Code::Unavailable)]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_negative_or_unreadable_pushback_starts_no_more_and_what_runs_may_win() {
    for pushback in ["-1", "", "xxx", "10.5", "2147483648"] {
        let (servers, _, mut client) = start(&hedging(5)).await;
        servers.answer([
            Answer::ok().after(seconds(9)),
            Answer::fails(Code::Unavailable).pushing_back(pushback),
        ]);
        call(&mut client).await.unwrap();
        assert_eq!(servers.count(), 2, "{pushback:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn such_a_pushback_with_nothing_else_running_is_the_calls_failure() {
    let (servers, _, mut client) = start(&hedging(5)).await;
    servers.answer([Answer::fails(Code::Unavailable).pushing_back("-1")]);
    assert_eq!(failure(&mut client).await, Code::Unavailable);
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pushback_sets_when_the_next_starts_and_the_one_after_follows_the_delay() {
    let (servers, _, mut client) = start(&hedging(4)).await;
    servers.answer([
        Answer::hangs(),
        Answer::fails(Code::Unavailable).pushing_back("5500"),
        Answer::hangs(),
    ]);
    call(&mut client).await.unwrap();
    let pushed = Duration::from_millis(5_500);
    assert_eq!(servers.delays(), [seconds(1), pushed, seconds(1)]);
}

#[tokio::test(start_paused = true)]
async fn when_all_have_failed_the_last_failure_is_the_calls() {
    let (servers, _, mut client) = start(&hedging(3)).await;
    servers.answer([
        Answer::fails(Code::Unavailable)
            .after(seconds(9))
            .with("n", "1"),
        Answer::fails(Code::Unavailable)
            .after(seconds(2))
            .with("n", "2"),
        Answer::fails(Code::Unavailable)
            .after(seconds(1))
            .with("n", "3"),
    ]);
    let status = call(&mut client).await.unwrap_err();
    assert_eq!(status.metadata().get("n").unwrap(), "1");
    assert_eq!(servers.count(), 3, "and nothing is retried after hedging");
}

#[tokio::test(start_paused = true)]
async fn non_fatal_failures_cost_tokens_and_hedges_need_more_than_half_of_them() {
    let throttling =
        r#""retryThrottling": {"maxTokens": 6, "tokenRatio": 1}, "loadBalancingConfig""#;
    let config = hedging(5).replace(r#""loadBalancingConfig""#, throttling);
    let (servers, _, mut client) = start(&config).await;
    servers.always(|| Answer::fails(Code::Unavailable));
    failure(&mut client).await;
    assert_eq!(servers.count(), 3, "at 3 of 6 tokens, no more start");
    for calls in 1..=3 {
        failure(&mut client).await;
        assert_eq!(
            servers.count(),
            3 + calls,
            "first attempts are never held back"
        );
    }
    servers.always(Answer::ok);
    for _ in 0..4 {
        call(&mut client).await.unwrap();
    }
    let before = servers.count();
    servers.answer([Answer::hangs()]);
    call(&mut client).await.unwrap();
    assert_eq!(servers.count() - before, 2, "with 4 of 6, they start again");
}

#[tokio::test(start_paused = true)]
async fn the_header_counts_the_attempts_before() {
    let (servers, _, mut client) = start(&hedging(4)).await;
    servers.answer([(); 3].map(|()| Answer::hangs()));
    call(&mut client).await.unwrap();
    let attempts = servers.attempts();
    let previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    assert_eq!(previous, [None, Some("1"), Some("2"), Some("3")]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_all_attempts_and_each_carries_what_is_left() {
    let config = hedging(5).replace(
        r#""hedgingPolicy""#,
        r#""timeout": "2.5s", "hedgingPolicy""#,
    );
    let (servers, channel, mut client) = start(&config).await;
    servers.always(Answer::hangs);
    let begin = Instant::now();
    assert_eq!(failure(&mut client).await, Code::DeadlineExceeded);
    assert_eq!(begin.elapsed(), Duration::from_millis(2_500));
    let attempts = servers.attempts();
    let left = attempts.iter().map(|it| it.header("grpc-timeout").unwrap());
    let millis = left.map(|it| match it.split_at(it.len() - 1) {
        (number, "S") => number.parse::<u64>().unwrap() * 1_000,
        (number, "m") => number.parse().unwrap(),
        (number, "u") => number.parse::<u64>().unwrap() / 1_000,
        other => panic!("{other:?}"),
    });
    assert_eq!(millis.collect::<Vec<_>>(), [2_500, 1_500, 500]);
    assert_eq!(in_flight(&channel), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_cancels_all_attempts() {
    let (servers, channel, mut client) = start(&config(&policy(3, "", ""))).await;
    servers.always(Answer::hangs);
    let call = tokio::time::timeout(seconds(1), call(&mut client));
    let wait = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        in_flight(&channel)
    };
    let (given_up, running) = tokio::join!(call, wait);
    given_up.unwrap_err();
    assert_eq!((running, in_flight(&channel)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn all_attempts_send_the_same_messages() {
    let (servers, _, mut client) = start(&hedging(3)).await;
    servers.answer([Answer::hangs(), Answer::hangs()]);
    let users = tokio_stream::iter(1..=4).then(|length| async move {
        // Each attempt starts while the request is on its way.
        tokio::time::sleep(Duration::from_millis(700)).await;
        import(length)
    });
    client.import_users(users).await.unwrap();
    let attempts = servers.attempts();
    assert_eq!(attempts.len(), 3);
    for attempt in attempts {
        assert_eq!(attempt.messages, [5, 6, 7, 8]);
        assert!(attempt.has_ended);
    }
}

fn import(length: usize) -> ImportUsersRequest {
    ImportUsersRequest {
        user: Some(User {
            name: "x".repeat(length),
            ..User::default()
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_outgrows_its_buffer_commits_to_the_attempt_that_has_sent_most() {
    let servers = Servers::default();
    let builder = servers.builder(3).service_config(hedging(3));
    let builder = builder.retry(RetryConfig {
        call_buffer: 50,
        ..RetryConfig::default()
    });
    let channel = servers.build(builder).await;
    let mut client = Client::new(channel.clone());
    // The first reads one message and no more.
    servers.answer([
        Answer::hangs().having_read(1),
        Answer::ok().after(seconds(9)),
    ]);
    let users = tokio_stream::iter([20, 20, 20, 20]).then(|length| async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        import(length)
    });
    let call = client.import_users(users);
    let wait = async {
        tokio::time::sleep(seconds(5)).await;
        in_flight(&channel)
    };
    let (response, running) = tokio::join!(call, wait);
    response.unwrap();
    assert_eq!(
        (servers.count(), running),
        (2, 1),
        "the other is cancelled, none starts"
    );
    assert_eq!(servers.attempts()[1].messages, [24; 4]);
}

#[tokio::test(start_paused = true)]
async fn what_no_server_has_seen_is_sent_again_and_does_not_count() {
    let (servers, _, mut client) = start(&hedging(2)).await;
    servers.answer([Answer::unsent(), Answer::refused(), Answer::hangs()]);
    call(&mut client).await.unwrap();
    let attempts = servers.attempts();
    let previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    assert_eq!(previous, [None, None, Some("1")]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_after_sending_is_unavailable_and_follows_the_policy() {
    for (codes, attempts) in [(r#""UNAVAILABLE""#, 2), (r#""ABORTED""#, 1)] {
        let config = config(&policy(3, r#""hedgingDelay": "1s","#, codes));
        let (servers, _, mut client) = start(&config).await;
        servers.answer([Answer::lost()]);
        let result = call(&mut client).await;
        assert_eq!(result.is_ok(), attempts == 2);
        assert_eq!(servers.count(), attempts, "{codes}");
    }
}

#[tokio::test(start_paused = true)]
async fn hedging_can_be_switched_off_per_channel() {
    let servers = Servers::default();
    let builder = servers.builder(3).service_config(hedging(3));
    let builder = builder.retry(RetryConfig {
        enabled: false,
        ..RetryConfig::default()
    });
    let mut client = Client::new(servers.build(builder).await);
    servers.answer([Answer::ok().after(seconds(9))]);
    call(&mut client).await.unwrap();
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_answer_says_which_attempts_there_were() {
    let (servers, _, mut client) = start(&hedging(3)).await;
    servers.answer([Answer::fails(Code::Unavailable), Answer::hangs()]);
    let response = client.get_by_id(GetByIdRequest { id: 1 }).await.unwrap();
    let answered = response.extensions().get::<Answered>().unwrap();
    assert_eq!((answered.attempts, answered.failed.len()), (3, 1));
    let last = &servers.attempts()[2];
    let endpoint = answered.endpoint.as_ref().unwrap();
    assert_eq!(endpoint.to_string(), last.server.to_string());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_for_an_endpoint_starts_no_other() {
    let servers = Servers::default();
    let waiting = r#""waitForReady": true, "hedgingPolicy""#;
    let config = hedging(5).replace(r#""hedgingPolicy""#, waiting);
    let channel = servers
        .build(servers.builder(3).service_config(config))
        .await;
    servers.go_down();
    while in_state(&channel, ConnectivityState::Ready) > 0 {
        channel.changed().await;
    }
    let mut client = Client::new(channel);
    let come_up = async {
        tokio::time::sleep(seconds(60)).await;
        servers.come_up();
    };
    servers.answer([Answer::hangs()]);
    let (answered, ()) = tokio::join!(call(&mut client), come_up);
    answered.unwrap();
    assert_eq!(servers.delays(), [seconds(1)], "none was waiting beside it");
}

fn in_state(channel: &Channel, state: ConnectivityState) -> usize {
    let endpoints = channel.endpoints();
    endpoints.iter().filter(|one| one.state == state).count()
}

#[tokio::test(start_paused = true)]
async fn without_an_endpoint_a_call_that_does_not_wait_fails_as_unavailable() {
    let servers = Servers::default();
    let builder = servers.builder(3).service_config(hedging(3));
    let channel = servers.build(builder).await;
    servers.go_down();
    while channel.state() != ConnectivityState::TransientFailure {
        channel.changed().await;
    }
    assert_eq!(failure(&mut Client::new(channel)).await, Code::Unavailable);
    assert_eq!(servers.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_code_with_a_pushback_is_fatal_and_costs_a_token_if_that_says_stop() {
    let throttling =
        r#""retryThrottling": {"maxTokens": 2, "tokenRatio": 1}, "loadBalancingConfig""#;
    let config = hedging(3).replace(r#""loadBalancingConfig""#, throttling);
    for (pushback, hedged) in [("5", true), ("-1", false)] {
        let (servers, _, mut client) = start(&config).await;
        servers.answer([Answer::fails(Code::NotFound).pushing_back(pushback)]);
        assert_eq!(failure(&mut client).await, Code::NotFound);
        assert_eq!(servers.count(), 1);
        // With one token of two, nothing is hedged.
        servers.answer([Answer::ok().after(seconds(2))]);
        call(&mut client).await.unwrap();
        assert_eq!(servers.count(), 2 + usize::from(hedged), "{pushback}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_refusal_is_a_failure_as_any_other() {
    let (servers, _, mut client) = start(&hedging(2)).await;
    servers.answer([Answer::refused(), Answer::refused()]);
    call(&mut client).await.unwrap();
    let attempts = servers.attempts();
    let previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    assert_eq!(previous, [None, None, Some("1")]);
    assert_eq!(servers.delays()[1], seconds(0), "not fatal: at once");
}

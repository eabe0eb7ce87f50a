//! Calls that are dropped, at any moment: nothing of them is left on either side.

mod dropped;

use std::time::Duration;

use evenkeel::{
    BreakerConfig, BreakerState, Channel, ConnectivityState, EndpointReport, RetryConfig,
};
use evenkeel_testkit::pb::{
    GetByIdRequest, ImportUsersRequest, ListUsersRequest, SyncUsersRequest, User,
};
use evenkeel_testkit::{Behaviour, StoppedClock, UserServer, tasks, within};
use evenkeel_tests::{Client, addresses, all_ready, builder, call, config, shares, until};
use futures_util::future::join_all;
use futures_util::stream::{self, Stream, StreamExt};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::task::yield_now;
use tokio::time::advance;
use tonic::{Code, Request, Status};

use self::dropped::Dropped;
use crate::ledger::with_id;
use crate::{ROUND_ROBIN, retrying};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidirectional,
}

const KINDS: [Kind; 4] = [
    Kind::Unary,
    Kind::ServerStreaming,
    Kind::ClientStreaming,
    Kind::Bidirectional,
];

/// One call, and when it is dropped.
#[derive(Clone, Copy, Debug)]
struct Case {
    kind: Kind,
    /// At the poll with this number, unless it has ended by then.
    polls: u32,
    timeout: Option<Duration>,
    /// Whether its stream of requests has an end.
    ends: bool,
}

/// A few users, not all of them there at once.
fn users<T>(ends: bool, request: impl Fn(User) -> T) -> impl Stream<Item = T> {
    let users = (0..5).map(move |id| {
        let avatar = "x".repeat(2_048);
        request(User {
            id,
            avatar,
            ..User::default()
        })
    });
    let users = stream::iter(users).then(|request| async {
        yield_now().await;
        request
    });
    let end = match ends {
        true => stream::empty().left_stream(),
        false => stream::pending().right_stream(),
    };
    users.chain(end)
}

/// Makes a call, and drops it.
fn drop_one(client: &Client, case: Case) -> impl Future<Output = ()> + use<> {
    Dropped::at(case.polls, make(client.clone(), case))
}

async fn make(mut client: Client, case: Case) {
    fn with<T>(case: Case, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = case.timeout {
            request.set_timeout(timeout);
        }
        request
    }
    match case.kind {
        Kind::Unary => drop(
            client
                .get_by_id(with(case, GetByIdRequest::default()))
                .await,
        ),
        Kind::ServerStreaming => {
            let list = ListUsersRequest {
                from_id: 0,
                count: 20,
            };
            if let Ok(users) = client.list_users(with(case, list)).await {
                let _: Vec<_> = users.into_inner().collect().await;
            }
        }
        Kind::ClientStreaming => {
            let users = users(case.ends, |user| ImportUsersRequest { user: Some(user) });
            drop(client.import_users(with(case, users)).await);
        }
        Kind::Bidirectional => {
            let users = users(case.ends, |user| SyncUsersRequest { user: Some(user) });
            if let Ok(users) = client.sync_users(with(case, users)).await {
                let _: Vec<_> = users.into_inner().collect().await;
            }
        }
    }
}

fn any_call() -> impl Strategy<Value = Case> {
    let polls = prop_oneof![0..8_u32, 0..100_u32, 0..1_000_u32];
    let timeout = prop_oneof![3 => Just(None), 1 => (1..10_u64).prop_map(Some)];
    let kind = prop::sample::select(KINDS.to_vec());
    (kind, polls, timeout, any::<bool>()).prop_map(|(kind, polls, timeout, ends)| Case {
        kind,
        polls,
        timeout: timeout.map(Duration::from_millis),
        ends,
    })
}

fn any_behaviour() -> impl Strategy<Value = Behaviour> {
    let unavailable = || Status::unavailable("scripted");
    prop_oneof![
        Just(Behaviour::Answer),
        Just(Behaviour::AnswerAfter(Duration::from_millis(1))),
        Just(Behaviour::Hang),
        Just(Behaviour::Fail(unavailable())),
        Just(Behaviour::FailEach(2, unavailable())),
        Just(Behaviour::FailAfter(2, unavailable())),
    ]
}

/// What all calls of a channel may keep for retries.
const BUFFER: usize = 64 << 10;
/// What each server lets a connection have.
const STREAMS: u32 = 16;

fn retried() -> String {
    config("round_robin", &retrying(r#""UNAVAILABLE""#))
}

fn hedged() -> String {
    let method = r#""hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "0.001s",
        "nonFatalStatusCodes": ["UNAVAILABLE"]}"#;
    config("round_robin", method)
}

async fn channel(servers: &[UserServer], hedges: bool) -> Channel {
    let config = if hedges { hedged() } else { retried() };
    let retry = RetryConfig {
        call_buffer: BUFFER,
        channel_buffer: BUFFER,
        ..RetryConfig::default()
    };
    let open_time = Duration::from_millis(5);
    let breaker = BreakerConfig {
        consecutive_failures: 3,
        open_time,
        max_open_time: open_time,
        ..BreakerConfig::default()
    };
    let channel = builder(addresses(servers))
        .service_config(config)
        .retry(retry)
        .breaker(breaker)
        .build()
        .unwrap();
    all_ready(&channel, servers.len()).await;
    channel
}

fn running(channel: &Channel) -> u32 {
    let endpoints = channel.endpoints().into_iter();
    endpoints.map(|one| one.stats.in_flight()).sum()
}

/// Calls until each endpoint has answered, and no breaker holds anything against one any more.
async fn recover(channel: &Channel) {
    let succeeded = || {
        channel
            .endpoints()
            .into_iter()
            .map(|one| one.stats.succeeded())
    };
    let before: Vec<_> = succeeded().collect();
    let mut client = Client::new(channel.clone());
    within("an answer of each", async {
        while succeeded().zip(&before).any(|(now, before)| now == *before) {
            if call(&mut client).await.is_err() {
                // All breakers are open. It fails at once then, which lets nobody else run.
                let is_ready = |one: &EndpointReport| one.state == ConnectivityState::Ready;
                until(channel, "a breaker that probes", |channel| {
                    channel.endpoints().iter().any(is_ready)
                })
                .await;
            }
        }
    })
    .await;
    let takes_calls = |one: &EndpointReport| {
        one.state == ConnectivityState::Ready && one.breaker == Some(BreakerState::Closed)
    };
    until(channel, "closed breakers", |channel| {
        channel.endpoints().iter().all(takes_calls)
    })
    .await;
}

/// A request that fills the buffer is sent again: nobody keeps any of it.
async fn assert_buffer_is_free(channel: &Channel, servers: &[UserServer]) {
    for server in servers {
        server.fail_next(1, Code::Unavailable);
    }
    let avatar = "x".repeat(BUFFER - 64);
    let user = Some(User {
        avatar,
        ..User::default()
    });
    let before = shares(servers).iter().sum::<u64>();
    let import = stream::iter([ImportUsersRequest { user }]);
    let mut client = Client::new(channel.clone());
    let import = within("the count", client.import_users(import)).await;
    assert_eq!(import.unwrap().into_inner().stored, 1);
    assert_eq!(shares(servers).iter().sum::<u64>() - before, 3);
}

/// As many calls as there are streams are with the servers at a time.
async fn assert_streams_are_free(channel: &Channel, servers: &[UserServer]) {
    for server in servers {
        server.behave(Behaviour::Hang);
    }
    let calls = (0..STREAMS as usize * servers.len()).map(|_| {
        let mut client = Client::new(channel.clone());
        async move { client.get_by_id(GetByIdRequest::default()).await }
    });
    let all =
        join_all(servers.iter().map(|server| {
            server.wait_for("its streams", |seen| seen.in_flight == STREAMS as usize)
        }));
    tokio::select! {
        answers = join_all(calls) => panic!("{answers:?}"),
        _ = all => {}
    }
}

async fn check(servers: &[UserServer], hedges: bool, behaviours: [Behaviour; 2], cases: Vec<Case>) {
    let channel = channel(servers, hedges).await;
    let tasks = tasks::alive();
    for (server, behaviour) in servers.iter().zip(behaviours) {
        server.behave(behaviour);
    }
    let client = Client::new(channel.clone());
    let calls = cases.into_iter().map(|case| drop_one(&client, case));
    join_all(calls).await;
    drop(client);
    assert_eq!(running(&channel), 0, "at once");
    tasks::at_most(tasks).await;
    for server in servers {
        server
            .wait_for("the resets", |seen| seen.in_flight == 0)
            .await;
        server.behave(Behaviour::Answer);
    }
    // From here on attempts can be counted.
    channel.update_service_config(&retried()).unwrap();
    recover(&channel).await;
    assert_buffer_is_free(&channel, servers).await;
    assert_streams_are_free(&channel, servers).await;
    for server in servers {
        server
            .wait_for("the resets", |seen| seen.in_flight == 0)
            .await;
        server.behave(Behaviour::Answer);
    }
    assert_eq!(running(&channel), 0);
    drop(channel);
    tasks::at_most(0).await;
    for server in servers {
        server
            .wait_for("no connection", |seen| seen.connections == 0)
            .await;
    }
}

#[test]
fn whatever_is_dropped_whenever_leaves_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let servers = runtime.block_on(async {
        let start = || {
            UserServer::builder()
                .max_concurrent_streams(STREAMS)
                .start()
        };
        [start().await.unwrap(), start().await.unwrap()]
    });
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        // One that fails takes its time.
        max_shrink_iters: 8,
        ..ProptestConfig::default()
    };
    let behaviours = [any_behaviour(), any_behaviour()];
    let cases = prop::collection::vec(any_call(), 1..16);
    TestRunner::new(config)
        .run(
            &(any::<bool>(), behaviours, cases),
            |(hedges, behaviours, cases)| {
                runtime.block_on(check(&servers, hedges, behaviours, cases));
                Ok(())
            },
        )
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_gives_its_place_back() {
    let _stopped = StoppedClock::new();
    let server = UserServer::start().await.unwrap();
    let channel = builder([server.address()]).service_config(ROUND_ROBIN);
    let channel = channel.build().unwrap();
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel.clone());
    server.behave(Behaviour::fail(Code::Unavailable));
    for _ in 0..5 {
        call(&mut client).await.unwrap_err();
    }
    advance(Duration::from_secs(10)).await;
    server.behave(Behaviour::Hang);
    for kind in KINDS {
        for polls in (0..8).chain([20, 100]) {
            all_ready(&channel, 1).await;
            let case = Case {
                kind,
                polls,
                timeout: None,
                ends: true,
            };
            drop_one(&client, case).await;
            assert_eq!(running(&channel), 0);
            assert_eq!(channel.endpoints()[0].breaker, Some(BreakerState::HalfOpen));
        }
    }
    all_ready(&channel, 1).await;
    server.behave(Behaviour::Answer);
    call(&mut client).await.unwrap();
    let closed = |channel: &Channel| channel.endpoints()[0].breaker == Some(BreakerState::Closed);
    until(&channel, "closed", closed).await;
    server
        .wait_for("the resets", |seen| seen.in_flight == 0)
        .await;
}

#[tokio::test]
async fn calls_that_are_dropped_cost_the_throttle_nothing() {
    let server = UserServer::start().await.unwrap();
    let throttled = r#"{"retryThrottling": {"maxTokens": 4, "tokenRatio": 1},"#;
    let channel = builder([server.address()])
        .service_config(retried().replacen('{', throttled, 1))
        .breaker(BreakerConfig::disabled())
        .build()
        .unwrap();
    all_ready(&channel, 1).await;
    let mut client = Client::new(channel.clone());
    server.behave(Behaviour::Hang);
    // Fewer than a server takes for an attack.
    let polls = [1, 2, 3, 4, 5, 6, 8, 11, 16, 22, 32, 45, 64, 91, 128, 256];
    for (polls, kind) in polls.into_iter().zip(KINDS.into_iter().cycle()) {
        let case = Case {
            kind,
            polls,
            timeout: None,
            ends: true,
        };
        drop_one(&client, case).await;
    }
    server.behave(Behaviour::fail(Code::Unavailable));
    // 4 tokens, one per failure; more than 2 allow a retry.
    for (id, attempts) in [(0, 2), (1, 1), (2, 1)] {
        let call = client.get_by_id(with_id(id, GetByIdRequest::default()));
        within("a failure", call).await.unwrap_err();
        let executed = server.executed().into_iter().filter(|it| *it == id);
        assert_eq!(executed.count(), attempts);
    }
    assert_eq!(server.seen().accepted, 1);
}

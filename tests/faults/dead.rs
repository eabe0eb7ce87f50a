//! One of two servers is dead, in one way or another: the other one gets the calls, and the dead one
//! nothing but what tells whether it lives again.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel::{
    BackoffConfig, BreakerConfig, BreakerState, Channel, ConnectivityState, Connector,
    EndpointReport, Http2Config,
};
use evenkeel_testkit::{Behaviour, Fault, FaultProxy, StoppedClock, UserServer, within};
use evenkeel_tests::{
    Client, addresses, all_ready, builder, call, calls, config, servers, shares, since, until,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::advance;
use tonic::Code;

use crate::dials::Dials;
use crate::{ROUND_ROBIN, retrying};

/// Of the endpoint at `address`.
fn report(channel: &Channel, address: SocketAddr) -> EndpointReport {
    let mut endpoints = channel.endpoints().into_iter();
    let found = endpoints.find(|one| one.endpoint.to_string() == address.to_string());
    found.unwrap()
}

#[track_caller]
fn until_state(
    channel: &Channel,
    address: SocketAddr,
    state: ConnectivityState,
) -> impl Future<Output = ()> {
    until(channel, "a state", move |channel| {
        report(channel, address).state == state
    })
}

#[track_caller]
fn until_breaker(
    channel: &Channel,
    address: SocketAddr,
    state: BreakerState,
) -> impl Future<Output = ()> {
    until(channel, "a state of the breaker", move |channel| {
        report(channel, address).breaker == Some(state)
    })
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_is_dialled_by_backoff_and_costs_no_call() {
    let _stopped = StoppedClock::new();
    let mut servers = servers(2).await;
    let dials = Dials::default();
    // Without a retry policy: who is dead must not be asked at all.
    let channel = builder(addresses(&servers))
        .backoff(BackoffConfig::default())
        .connector(Connector::new().with_io(dials.clone()))
        .service_config(ROUND_ROBIN)
        .build()
        .unwrap();
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    calls(&mut client, 100).await.unwrap();
    servers[1].kill().await;
    let dead = servers[1].socket_address();
    until_state(&channel, dead, ConnectivityState::TransientFailure).await;
    let before = shares(&servers);
    calls(&mut client, 600).await.unwrap();
    assert_eq!(dials.of(dead.port()), 2, "the first, and one more at once");

    // 1 s, then 1.6 times as long each time, and 20 % more or less.
    let mut backoff = Duration::from_secs(1);
    for dialled in 2..6 {
        advance(backoff.mul_f64(0.79)).await;
        calls(&mut client, 50).await.unwrap();
        assert_eq!(dials.of(dead.port()), dialled);
        advance(backoff.mul_f64(0.42)).await;
        dials.wait_for(dead.port(), dialled + 1).await;
        until_state(&channel, dead, ConnectivityState::TransientFailure).await;
        calls(&mut client, 50).await.unwrap();
        assert_eq!(dials.of(dead.port()), dialled + 1);
        backoff = backoff.mul_f64(1.6);
    }
    assert_eq!(since(&servers, &before), [1_000, 0]);
    assert_eq!(dials.of_server(&servers[0]), 1);

    servers[1].restart().await.unwrap();
    advance(backoff.mul_f64(1.21)).await;
    all_ready(&channel, 2).await;
    let before = shares(&servers);
    calls(&mut client, 10).await.unwrap();
    assert_eq!(since(&servers, &before), [5, 5]);
}

/// Accepts connections, and never says or hears anything.
struct Hole {
    address: SocketAddr,
    accepted: watch::Receiver<u64>,
    _task: JoinSet<()>,
}

impl Hole {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counted, accepted) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = Vec::new();
            loop {
                open.push(listener.accept().await.unwrap());
                counted.send_modify(|count| *count += 1);
            }
        });
        Self {
            address,
            accepted,
            _task: task,
        }
    }

    async fn wait_for(&mut self, count: u64) {
        let accepted = self.accepted.wait_for(|accepted| *accepted == count);
        within("a connection", accepted).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_accepts_and_says_nothing_gets_a_connection_in_20_s_and_costs_no_call() {
    let _stopped = StoppedClock::new();
    for policy in [
        "round_robin",
        "pick_first",
        "least_request",
        "evenkeel.random",
    ] {
        let server = UserServer::start().await.unwrap();
        let mut hole = Hole::listen().await;
        let config = format!(r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#);
        let channel = builder([hole.address, server.socket_address()])
            .backoff(BackoffConfig::default())
            .service_config(config)
            .build()
            .unwrap();
        hole.wait_for(1).await;
        if policy == "pick_first" {
            // It is the first: the other one is dialled beside it when it takes long.
            advance(Duration::from_millis(250)).await;
        }
        let address = server.socket_address();
        until_state(&channel, address, ConnectivityState::Ready).await;
        let mut client = Client::new(channel.clone());
        calls(&mut client, 200).await.unwrap();
        if policy == "pick_first" {
            let given_up = until_state(&channel, hole.address, ConnectivityState::Idle);
            given_up.await;
            advance(Duration::from_secs(60)).await;
            calls(&mut client, 200).await.unwrap();
            assert_eq!(*hole.accepted.borrow(), 1, "nobody needs it");
            continue;
        }
        // gRPC's least time for an attempt. Its backoff is over by then.
        for accepted in 1..4 {
            assert_eq!(*hole.accepted.borrow(), accepted, "{policy}");
            advance(Duration::from_secs(19)).await;
            calls(&mut client, 50).await.unwrap();
            assert_eq!(*hole.accepted.borrow(), accepted, "{policy}");
            advance(Duration::from_secs(2)).await;
            hole.wait_for(accepted + 1).await;
            calls(&mut client, 50).await.unwrap();
        }
        assert_eq!(server.seen().total_calls(), 500);
    }
}

/// A server, and one behind a proxy that falls silent when both are connected.
struct Silent {
    server: UserServer,
    _behind: UserServer,
    proxy: FaultProxy,
    channel: Channel,
}

impl Silent {
    async fn new(config: &str, http2: Http2Config) -> Self {
        let server = UserServer::start().await.unwrap();
        let behind = UserServer::start().await.unwrap();
        let proxy = FaultProxy::start(behind.socket_address()).await.unwrap();
        let channel = builder([server.socket_address(), proxy.address()])
            .connector(Connector::new().with_http2(http2))
            .service_config(config)
            .build()
            .unwrap();
        all_ready(&channel, 2).await;
        calls(&mut Client::new(channel.clone()), 10).await.unwrap();
        proxy.set(Fault::Pause).await;
        Self {
            server,
            _behind: behind,
            proxy,
            channel,
        }
    }

    /// Calls once; lets `time` pass while the call is with the silent one, or with none.
    async fn call(&self, client: &mut Client, time: Duration) -> Result<(), Code> {
        let server = self.server.socket_address();
        let waits = || report(&self.channel, server).stats.in_flight() == 0;
        call_while(client, waits, time).await
    }
}

/// Calls once; lets `time` pass again and again while it `waits`.
async fn call_while(
    client: &mut Client,
    waits: impl Fn() -> bool,
    time: Duration,
) -> Result<(), Code> {
    let call = call(client);
    let passing = async {
        loop {
            yield_now().await;
            if waits() {
                advance(time).await;
            }
        }
    };
    let answer = tokio::select! {
        biased;
        answer = call => answer,
        () = passing => unreachable!("it ends with the call"),
    };
    answer.map(drop).map_err(|status| status.code())
}

#[tokio::test(start_paused = true)]
async fn one_that_falls_silent_costs_five_calls_and_then_probes() {
    let _stopped = StoppedClock::new();
    let config = config("round_robin", r#""timeout": "0.1s""#);
    let silent = Silent::new(&config, Http2Config::default()).await;
    let mut client = Client::new(silent.channel.clone());
    let dead = silent.proxy.address();
    let mut failures = Vec::new();
    let mut made = 0;
    while report(&silent.channel, dead).breaker == Some(BreakerState::Closed) {
        let ended = silent.call(&mut client, Duration::from_millis(101)).await;
        failures.extend(ended.err());
        made += 1;
    }
    // 99.9 % are answered, though nothing is retried: the others are what trips the breaker.
    assert_eq!(failures, [Code::DeadlineExceeded; 5]);
    calls(&mut client, 5_000 - made).await.unwrap();

    // 5 s, then twice as long after each probe, and 20 % more or less.
    for seconds in [6, 12, 24, 48] {
        advance(Duration::from_secs(seconds)).await;
        until_breaker(&silent.channel, dead, BreakerState::HalfOpen).await;
        let mut failed = 0;
        for _ in 0..4 {
            let ended = silent.call(&mut client, Duration::from_millis(101)).await;
            failed += u32::from(ended.is_err());
        }
        assert_eq!(failed, 1, "the probe");
        calls(&mut client, 100).await.unwrap();
    }
    assert_eq!(
        silent.proxy.facts().accepted,
        1,
        "the connection is as it was"
    );
}

#[tokio::test(start_paused = true)]
async fn with_keepalive_one_that_falls_silent_costs_no_call() {
    let _stopped = StoppedClock::new();
    let mut http2 = Http2Config::default();
    http2.keepalive_time = Some(Duration::from_secs(10));
    http2.keepalive_timeout = Duration::from_secs(1);
    let method = format!(r#""timeout": "60s", {}"#, retrying(r#""UNAVAILABLE""#));
    let silent = Silent::new(&config("round_robin", &method), http2).await;
    let mut client = Client::new(silent.channel.clone());
    for _ in 0..4 {
        let ended = silent.call(&mut client, Duration::from_secs(6)).await;
        assert_eq!(ended, Ok(()));
    }
    calls(&mut client, 500).await.unwrap();
    assert_eq!(silent.server.seen().retries(), 1, "one call was there");
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_unavailable_at_once_gets_five_calls_and_then_probes() {
    for has_retries in [false, true] {
        let _stopped = StoppedClock::new();
        let servers = servers(2).await;
        let config = match has_retries {
            true => config("round_robin", &retrying(r#""UNAVAILABLE""#)),
            false => ROUND_ROBIN.to_owned(),
        };
        let channel = builder(addresses(&servers)).service_config(config);
        let channel = channel.breaker(BreakerConfig::default()).build().unwrap();
        all_ready(&channel, 2).await;
        servers[1].behave(Behaviour::fail(Code::Unavailable));
        let dead = servers[1].socket_address();
        let mut client = Client::new(channel.clone());
        // Between two attempts.
        let waits = || {
            channel
                .endpoints()
                .iter()
                .all(|one| one.stats.in_flight() == 0)
        };
        let tick = Duration::from_millis(1);
        let mut asked = 0;
        // 99.9 % are answered, even if nothing is retried.
        let first = if has_retries { 500 } else { 5_000 };
        for (open, count, fail) in [(0, first, 5), (6, 50, 1), (12, 50, 1), (24, 50, 1)] {
            if open > 0 {
                advance(Duration::from_secs(open)).await;
                until_breaker(&channel, dead, BreakerState::HalfOpen).await;
            }
            let mut failures = 0;
            let mut made = 0;
            while report(&channel, dead).breaker != Some(BreakerState::Open) {
                let ended = call_while(&mut client, waits, tick).await;
                failures += u64::from(ended.is_err());
                made += 1;
            }
            assert_eq!(failures, if has_retries { 0 } else { fail });
            calls(&mut client, count - made).await.unwrap();
            asked += fail;
            assert_eq!(servers[1].seen().total_calls(), asked);
        }
        assert_eq!(servers[1].seen().retries(), 0, "no call comes twice");
        let retried = if has_retries { asked } else { 0 };
        assert_eq!(servers[0].seen().retries(), retried);
    }
}

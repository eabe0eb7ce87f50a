//! What a breaker or a picker refuses was never sent: it is no attempt at that endpoint, and no failure
//! of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use evenkeel::policy::lb::petiole;
use evenkeel::{
    BreakerConfig, BreakerState, Channel, EndpointIndex, Pick, PickArgs, Picker, Policy,
    PolicyRegistry, Update, View,
};
use evenkeel_testkit::{Behaviour, StoppedClock, within};
use evenkeel_tests::{Client, addresses, all_ready, builder, call, config, servers, shares, until};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::advance;
use tonic::{Code, Status};

use crate::{ROUND_ROBIN, retrying};

/// What the channel has counted of each endpoint: running, succeeded, failed.
fn counted(channel: &Channel) -> Vec<(u32, u64, u64)> {
    let endpoints = channel.endpoints().into_iter();
    endpoints
        .map(|one| {
            (
                one.stats.in_flight(),
                one.stats.succeeded(),
                one.stats.failed(),
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn who_meets_a_breaker_whose_probe_runs_goes_elsewhere_at_once() {
    let _stopped = StoppedClock::new();
    let servers = servers(2).await;
    let builder = builder(addresses(&servers)).service_config(ROUND_ROBIN);
    let channel = builder.build().unwrap();
    all_ready(&channel, 2).await;
    let mut client = Client::new(channel.clone());
    servers[0].behave(Behaviour::fail(Code::Unavailable));
    for _ in 0..10 {
        // Every other one.
        let _ = call(&mut client).await;
    }
    let is = |state| move |channel: &Channel| channel.endpoints()[0].breaker == Some(state);
    until(&channel, "open", is(BreakerState::Open)).await;
    servers[0].behave(Behaviour::Hang);
    advance(BreakerConfig::default().open_time * 2).await;
    until(&channel, "half-open", is(BreakerState::HalfOpen)).await;

    // All of them go by the snapshot in which it may be probed, and half of them are its.
    let mut calls: FuturesUnordered<_> = (0..20)
        .map(|_| {
            let mut client = Client::new(channel.clone());
            async move { call(&mut client).await }
        })
        .collect();
    for _ in 0..19 {
        let answer = within("an answer", calls.next()).await.unwrap();
        assert_eq!(answer.unwrap(), servers[1].name());
    }
    let probe = servers[0].wait_for("the probe", |seen| seen.in_flight == 1);
    probe.await;
    assert_eq!(shares(&servers), [5 + 1, 5 + 19]);
    assert_eq!(counted(&channel), [(1, 0, 5), (0, 5 + 19, 0)]);
    assert_eq!(servers[1].seen().retries(), 0, "they are first attempts");

    servers[0].behave(Behaviour::Answer);
    let answer = within("the probe's answer", calls.next()).await.unwrap();
    assert_eq!(answer.unwrap(), servers[0].name());
    until(&channel, "closed", is(BreakerState::Closed)).await;
    assert_eq!(counted(&channel), [(0, 1, 5), (0, 5 + 19, 0)]);
}

#[tokio::test]
async fn while_all_breakers_are_open_nothing_is_sent_or_counted() {
    let servers = servers(2).await;
    let breaker = BreakerConfig {
        open_time: Duration::from_secs(600),
        ..BreakerConfig::default()
    };
    let builder = builder(addresses(&servers)).breaker(breaker);
    let config = config("round_robin", &retrying(r#""UNAVAILABLE""#));
    let channel = builder.service_config(config).build().unwrap();
    all_ready(&channel, 2).await;
    for server in &servers {
        server.behave(Behaviour::fail(Code::Unavailable));
    }
    let mut client = Client::new(channel.clone());
    let is_open = |one: &evenkeel::EndpointReport| one.breaker == Some(BreakerState::Open);
    while !channel.endpoints().iter().all(is_open) {
        call(&mut client).await.unwrap_err();
    }
    assert_eq!(shares(&servers), [5, 5]);
    let before = counted(&channel);
    assert_eq!(before, [(0, 0, 5); 2]);
    for _ in 0..20 {
        let status = call(&mut client).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
    }
    assert_eq!(shares(&servers), [5, 5]);
    assert_eq!(counted(&channel), before);
}

/// Gives the first READY endpoint, or another answer as often as it is told to.
#[derive(Clone, Debug)]
struct Moody {
    moods: Arc<AtomicU32>,
    answer: Pick,
    ready: Option<EndpointIndex>,
}

impl Policy for Moody {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        petiole(view, |endpoints| {
            let mut picker = self.clone();
            picker.ready = endpoints.first().map(|(index, _)| *index);
            Arc::new(picker)
        })
    }
}

impl Picker for Moody {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        let less = |moods: u32| moods.checked_sub(1);
        match self
            .moods
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        {
            Ok(_) => self.answer.clone(),
            Err(_) => Pick::Endpoint(self.ready.unwrap()),
        }
    }
}

#[tokio::test]
async fn a_picker_that_fails_a_call_is_asked_again_and_one_that_drops_it_is_not() {
    let not_now = || Status::unavailable("not now");
    for (answer, moods, result, left) in [
        (Pick::Fail(not_now()), 2, Ok(2), 0),
        (Pick::Fail(not_now()), 9, Err(()), 5),
        (Pick::Drop(not_now()), 2, Err(()), 1),
    ] {
        let servers = servers(1).await;
        let moody = Moody {
            moods: Arc::default(),
            answer,
            ready: None,
        };
        let asked = moody.moods.clone();
        let mut policies = PolicyRegistry::default();
        policies.register_fn("test.moody", move |_| {
            let moody = moody.clone();
            Ok(move || moody.clone())
        });
        let channel = builder(addresses(&servers))
            .policies(policies)
            .service_config(config("test.moody", &retrying(r#""UNAVAILABLE""#)))
            .build()
            .unwrap();
        all_ready(&channel, 1).await;
        asked.store(moods, Ordering::Relaxed);
        let answer = call(&mut Client::new(channel.clone())).await;
        assert_eq!(asked.load(Ordering::Relaxed), left);
        let seen = servers[0].seen();
        match (answer, result) {
            (Ok(_), Ok(before)) => {
                assert_eq!((seen.total_calls(), seen.previous_attempts[before]), (1, 1));
                assert_eq!(counted(&channel), [(0, 1, 0)]);
            }
            (Err(status), Err(())) => {
                assert!(status.message().contains("not now"), "{status}");
                assert_eq!(seen.total_calls(), 0);
                assert_eq!(counted(&channel), [(0, 0, 0)]);
            }
            (answer, _) => panic!("{answer:?}"),
        }
    }
}

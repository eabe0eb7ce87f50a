//! What an endpoint is asked and told about attempts.

use std::sync::atomic::Ordering;

use evenkeel_core::error::{BreakerOpen, cause};
use evenkeel_core::observe::abandon;
use evenkeel_core::{Attempt, Outcome, WaitForReady};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tonic::Code;

use super::*;

fn settled(endpoint: &FakeEndpoint) -> Vec<(Outcome, String)> {
    std::mem::take(&mut *endpoint.shared.settled.lock())
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_hears_the_outcome_of_each_attempt_that_it_admitted() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    for (answer, outcome, message) in [
        (Answer::Ok, Outcome::Success, ""),
        (
            Answer::TrailersOnly(Code::ResourceExhausted),
            Outcome::Failure(Code::ResourceExhausted),
            "",
        ),
        (
            Answer::Lost,
            Outcome::Failure(Code::Unavailable),
            "connection reset",
        ),
    ] {
        endpoint.script([answer]);
        drop(call(&channel, request()).await);
        assert_eq!(settled(&endpoint), [(outcome, message.to_owned())]);
    }
    endpoint.script([Answer::Hang]);
    let mut hanging = Box::pin(channel.clone().call(request()));
    assert!(hanging.as_mut().now_or_never().is_none());
    drop(hanging);
    assert_eq!(settled(&endpoint), [(Outcome::Abandoned, String::new())]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_outlives_its_deadline_was_too_slow() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.script([Answer::Hang]);
    let second = Duration::from_secs(1);
    let mut request = request();
    let deadline = tokio::time::Instant::now() + second;
    request
        .extensions_mut()
        .insert(Deadline(deadline.into_std()));
    let mut hanging = Box::pin(channel.clone().call(request));
    assert!(hanging.as_mut().now_or_never().is_none());
    tokio::time::advance(second).await;
    drop(hanging);
    let too_slow = Outcome::Failure(Code::DeadlineExceeded);
    assert_eq!(settled(&endpoint), [(too_slow, String::new())]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_at_its_endpoint_until_its_deadline_never_was() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.shared.stuck.store(true, Ordering::Relaxed);
    let second = Duration::from_secs(1);
    let mut request = request();
    let deadline = tokio::time::Instant::now() + second;
    request
        .extensions_mut()
        .insert(Deadline(deadline.into_std()));
    let mut waiting = Box::pin(channel.clone().call(request));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(channel.endpoints()[0].stats.in_flight(), 1);
    tokio::time::advance(second).await;
    assert!(abandon(|| drop(waiting)).is_empty(), "nobody was too slow");
    assert_eq!(settled(&endpoint), [(Outcome::Abandoned, String::new())]);
    let stats = &channel.endpoints()[0].stats;
    assert_eq!(
        (stats.in_flight(), stats.failed(), stats.abandoned()),
        (0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_at_an_endpoint_that_loses_its_connections_goes_elsewhere() {
    for waits in [false, true] {
        let (a, b) = (
            FakeEndpoint::ready("10.0.0.1:1"),
            FakeEndpoint::ready("10.0.0.2:1"),
        );
        let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
        ready(&channel).await;
        a.shared.stuck.store(waits, Ordering::Relaxed);
        a.shared.lost.store(!waits, Ordering::Relaxed);
        let mut calls = [(); 2].map(|()| in_background(&channel, request()));
        // Both are placed; nothing else happens meanwhile.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        if waits {
            a.shared.lost.store(true, Ordering::Relaxed);
            a.shared.waiting.lock().take().unwrap().wake();
        }
        for call in &mut calls {
            let answer = call.0.join_next().await.unwrap().unwrap();
            assert_eq!(answer.unwrap(), Code::Ok);
        }
        assert_eq!((a.calls(), b.calls()), (0, 2));
        assert_eq!(settled(&a)[0], (Outcome::Abandoned, String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_at_the_only_endpoint_when_its_connections_are_lost_waits_for_its_next_report() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.shared.lost.store(true, Ordering::Relaxed);
    let mut waiting = in_background(&channel, request());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(!waiting.is_finished());
    endpoint.shared.lost.store(false, Ordering::Relaxed);
    endpoint.set(ConnectivityState::Connecting, None);
    state(&channel, ConnectivityState::Connecting).await;
    endpoint.set(ConnectivityState::Ready, None);
    assert_eq!(waiting.end().await.unwrap(), Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn what_never_left_says_nothing_about_its_endpoint() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:1"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    a.script([Answer::Unsent]);
    for _ in 0..2 {
        assert_eq!(call(&channel, request()).await.unwrap(), Code::Ok);
    }
    assert_eq!(settled(&a)[0], (Outcome::Abandoned, String::new()));
    for report in channel.endpoints() {
        assert_eq!((report.stats.failed(), report.stats.in_flight()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_refused_goes_elsewhere_and_was_never_admitted() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:1"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    a.shared.refuses.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        assert_eq!(call(&channel, request()).await.unwrap(), Code::Ok);
    }
    assert_eq!((a.calls(), b.calls()), (0, 4));
    assert_eq!((settled(&a).len(), settled(&b).len()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_admits_waits_for_the_next_report() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:1"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    for endpoint in [&a, &b] {
        endpoint.shared.refuses.store(true, Ordering::Relaxed);
    }
    let mut waiting = in_background(&channel, request());
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    b.shared.refuses.store(false, Ordering::Relaxed);
    // It says nothing new, but it speaks.
    b.set(ConnectivityState::Ready, None);
    assert_eq!(waiting.end().await.unwrap(), Code::Ok);
    assert_eq!((a.calls(), b.calls()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_one_endpoint_sheds_goes_elsewhere_and_fails_at_once_where_there_is_no_elsewhere() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:1"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    a.shared.sheds.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        assert_eq!(call(&channel, request()).await.unwrap(), Code::Ok);
    }
    assert_eq!((a.calls(), b.calls()), (0, 4));

    // No report is due that would change anything: who waits would wait for ever.
    b.shared.sheds.store(true, Ordering::Relaxed);
    for waits in [false, true] {
        let mut request = request();
        request.extensions_mut().insert(WaitForReady(waits));
        let status = call(&channel, request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let refusal = cause::<BreakerOpen>(&status).unwrap();
        assert_eq!(refusal.shed, Some(0.9));
    }
    // Nor does one that refuses for a moment keep it waiting beside one that sheds.
    a.shared.sheds.store(false, Ordering::Relaxed);
    a.shared.refuses.store(true, Ordering::Relaxed);
    call(&channel, request()).await.unwrap_err();
    assert_eq!((a.calls(), b.calls()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_retry_rather_goes_where_it_was_than_where_it_is_refused() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:1"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    let endpoints = channel.endpoints();
    let tried = endpoints.iter().find(|one| {
        let first = a.shared.report.borrow().endpoint.clone();
        one.endpoint == first
    });
    let tried = tried.unwrap().id;
    for refusal in [&b.shared.sheds, &b.shared.refuses] {
        refusal.store(true, Ordering::Relaxed);
        for _ in 0..10 {
            let mut request = request();
            let attempt = Attempt::new(2, [tried].into_iter().collect());
            request.extensions_mut().insert(attempt);
            assert_eq!(call(&channel, request).await.unwrap(), Code::Ok);
        }
        refusal.store(false, Ordering::Relaxed);
    }
    assert_eq!((a.calls(), b.calls()), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_many_endpoints_shed_asks_no_more_of_them() {
    let names: Vec<&'static str> = (1..=40).map(|n| &*format!("10.0.0.{n}:1").leak()).collect();
    let endpoints: Vec<_> = names.iter().map(|name| FakeEndpoint::ready(name)).collect();
    let keyed: Vec<_> = names.iter().copied().zip(&endpoints).collect();
    let (channel, _changes) = round_robin(&keyed);
    ready(&channel).await;
    for endpoint in &endpoints {
        endpoint.shared.sheds.store(true, Ordering::Relaxed);
    }
    let status = call(&channel, request()).await.unwrap_err();
    assert!(cause::<BreakerOpen>(&status).is_some());
    let asked = endpoints
        .iter()
        .map(|one| one.shared.shed.load(Ordering::Relaxed));
    assert_eq!(asked.sum::<usize>(), 16);
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_at_once_let_others_run() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.shared.sheds.store(true, Ordering::Relaxed);
    let mut others = JoinSet::new();
    let reset = endpoint.clone();
    others.spawn(async move { reset.shared.sheds.store(false, Ordering::Relaxed) });
    // None of them waits for anything.
    let mut failed = 0;
    while call(&channel, request()).await.is_err() {
        failed += 1;
        assert!(failed < 10_000, "nobody else has run");
    }
}

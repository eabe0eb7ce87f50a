use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{AttemptError, BreakerOpen, cause};
use evenkeel_core::{
    Address, Admit, BoxError, BreakerState, Connectivity, ConnectivityState, Deadline, Endpoint,
    Outcome, Progress, Report,
};
use evenkeel_policy::breaker::BreakerConfig;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::scripted::{
    Answer, Scripted, TestBody, body, collect, data, endless, refusal, trailers, unary,
};
use BreakerState::{Closed, HalfOpen, Open};
use ConnectivityState::{Connecting, Ready, TransientFailure};

mod last_resort;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> BreakerConfig {
    BreakerConfig {
        consecutive_failures: 2,
        open_time: SECOND,
        jitter: 0.0,
        ..Default::default()
    }
}

fn layer() -> BreakerLayer {
    BreakerLayer::new(config())
}

type Inner = Scripted<TestBody>;

fn service() -> (Inner, Breaker<Inner>) {
    let inner = Scripted::new();
    (inner.clone(), layer().named("user-service").layer(inner))
}

fn lost() -> Answer {
    Err(AttemptError::new(Progress::Sent, "connection lost").into_status(Code::Unavailable))
}

async fn fail(inner: &Inner, service: &Breaker<Inner>, answer: Answer) {
    inner.reply(|| answer);
    if let Ok(response) = service.clone().oneshot(unary("hello")).await {
        drop(response.into_body().collect().await);
    }
}

async fn trip(inner: &Inner, service: &Breaker<Inner>) {
    fail(inner, service, lost()).await;
    fail(inner, service, lost()).await;
    assert_eq!(service.handle().status().state, Open);
}

async fn succeed(inner: &Inner, service: &Breaker<Inner>) {
    inner.echo();
    let response = service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await, ("hello".into(), Some(Code::Ok)));
}

#[tokio::test(start_paused = true)]
async fn closed_passes_through_unchanged() {
    let (inner, service) = service();
    succeed(&inner, &service).await;
    assert_eq!(inner.heads()[0].headers, *unary("hello").headers());
}

#[tokio::test(start_paused = true)]
async fn open_refuses_without_calling_inner_and_gives_the_request_back() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND / 4).await;
    let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(inner.calls(), 2);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.message(),
        "circuit breaker of user-service is open, it probes in 750 ms; \
         tripped by: UNAVAILABLE: connection lost (2 consecutive failures)"
    );
    assert!(cause::<BreakerOpen>(&status).is_some());
    let attempt = cause::<AttemptError>(&status).unwrap();
    assert_eq!(attempt.progress(), Progress::NotSent);
    let request = attempt.take_request::<TestBody>().unwrap();
    assert_eq!(request.uri().path(), "/test.Service/Method");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_counts_where_it_shows() {
    let proxy = || Ok(Response::builder().status(503).body(body([])).unwrap());
    let in_trailers = || Ok(Response::new(body([data("x"), trailers(Code::Internal)])));
    let cut = || {
        let frames = [data("x"), Err(Status::unknown("cut"))];
        Ok(Response::new(body(frames)))
    };
    type Kind = (&'static str, fn() -> Answer);
    let kinds: [Kind; 5] = [
        ("UNAVAILABLE: connection lost", lost),
        ("RESOURCE_EXHAUSTED: full", || {
            refusal(Code::ResourceExhausted).map(|mut response| {
                let headers = response.headers_mut();
                headers.insert("grpc-message", HeaderValue::from_static("full"));
                response
            })
        }),
        ("UNAVAILABLE", proxy),
        ("INTERNAL", in_trailers),
        ("UNKNOWN", cut),
    ];
    for (text, answer) in kinds {
        let (inner, service) = service();
        fail(&inner, &service, answer()).await;
        assert_eq!(service.handle().status().state, Closed);
        fail(&inner, &service, answer()).await;
        let status = service.handle().status();
        assert_eq!(status.state, Open, "{text}");
        let expected = format!("{text} (2 consecutive failures)");
        assert_eq!(status.tripped_by.as_deref(), Some(&*expected));
    }
}

#[tokio::test(start_paused = true)]
async fn business_errors_and_unsent_attempts_do_not_trip() {
    let (inner, service) = service();
    for _ in 0..5 {
        fail(&inner, &service, refusal(Code::NotFound)).await;
        let unsent = AttemptError::new(Progress::NotSent, "connection lost");
        fail(&inner, &service, Err(unsent.into_status(Code::Unavailable))).await;
    }
    assert_eq!(service.handle().status().state, Closed);
}

#[tokio::test(start_paused = true)]
async fn a_success_at_the_trailers_forgets_failures() {
    let (inner, service) = service();
    for _ in 0..3 {
        fail(&inner, &service, lost()).await;
        succeed(&inner, &service).await;
    }
    assert_eq!(service.handle().status().state, Closed);

    fail(&inner, &service, lost()).await;
    inner.echo();
    drop(service.clone().oneshot(unary("unread")).await.unwrap());
    fail(&inner, &service, lost()).await;
    assert_eq!(
        service.handle().status().state,
        Open,
        "unread is no success"
    );
}

#[tokio::test(start_paused = true)]
async fn dropped_attempts_count_only_when_their_deadline_has_passed() {
    let (inner, service) = service();
    let hang = |deadline: Option<Duration>| {
        inner.hang();
        let mut request = unary("hello");
        if let Some(deadline) = deadline {
            let at = Instant::now() + deadline;
            request.extensions_mut().insert(Deadline(at.into_std()));
        }
        let mut call = Box::pin(service.clone().oneshot(request));
        assert!(call.as_mut().now_or_never().is_none());
        call
    };
    for _ in 0..5 {
        drop(hang(None));
        drop(hang(Some(SECOND)));
    }
    assert_eq!(service.handle().status().state, Closed);
    for _ in 0..2 {
        let call = hang(Some(SECOND));
        tokio::time::advance(SECOND).await;
        drop(call);
    }
    let status = service.handle().status();
    assert_eq!(status.state, Open);
    let text = status.tripped_by.unwrap();
    assert!(text.starts_with("DEADLINE_EXCEEDED"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_decides_and_a_dropped_one_gives_its_place_back() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    inner.hang();
    let mut probe = Box::pin(service.clone().oneshot(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert!(status.message().contains("is probing"), "{status}");
    assert_eq!(service.handle().status().state, HalfOpen);

    drop(probe);
    inner.reply_with(async |_| Ok(Response::new(endless([data("x")]))));
    let response = service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(
        service.handle().status().state,
        HalfOpen,
        "not before the trailers"
    );
    drop(response);
    assert!(service.handle().status().admits);

    succeed(&inner, &service).await;
    assert_eq!(service.handle().status().state, Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_doubles_the_open_time() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    fail(&inner, &service, lost()).await;
    let status = service.handle().status();
    assert_eq!(status.state, Open);
    assert_eq!(
        status.wake_at,
        Some((Instant::now() + 2 * SECOND).into_std())
    );
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_breaker() {
    let (inner, service) = service();
    let mut other = service.clone();
    trip(&inner, &service).await;
    let status = other.ready().await.unwrap().call(unary("hello")).await;
    assert!(cause::<BreakerOpen>(&status.unwrap_err()).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_handle_moves_and_watches_it() {
    let (inner, service) = service();
    let handle = service.handle();
    let mut changes = handle.watch();
    handle.hold_open();
    changes.changed().await.unwrap();
    let status = changes.borrow_and_update().clone();
    assert_eq!((status.state, status.wake_at), (Open, None));
    let error = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert!(
        error.message().ends_with("tripped by: opened by hand"),
        "{error}"
    );

    handle.hold_closed();
    for _ in 0..5 {
        fail(&inner, &service, lost()).await;
    }
    changes.changed().await.unwrap();
    assert_eq!(changes.borrow_and_update().state, Closed);
    handle.reset();
    trip(&inner, &service).await;
    changes.changed().await.unwrap();
    let status = changes.borrow_and_update().clone();
    assert_eq!(status.state, Open);
    assert!(status.tripped_by.unwrap().starts_with("UNAVAILABLE"));
}

#[tokio::test(start_paused = true)]
async fn a_pending_inner_service_is_not_called_and_open_is_no_error_of_readiness() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<TestBody>, Response<TestBody>, _>(layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    service.get_ref().handle().hold_open();
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
}

/// A subchannel of sorts.
struct Subchannel {
    reports: mpsc::UnboundedReceiver<Report>,
    inner: Inner,
}

impl Connectivity for Subchannel {
    type Sender = Inner;
    type Admission = ();

    fn admit(&self, _: Admit) -> Result<(Inner, ()), BoxError> {
        Ok((self.inner.clone(), ()))
    }

    fn settle(&self, (): (), _: Outcome, _: &str) {}

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        self.reports.poll_recv(cx)
    }

    fn connect(&self) {}

    fn disconnect(&self) {}

    fn reset_backoff(&self) {}
}

impl Service<Request<TestBody>> for Subchannel {
    type Response = Response<TestBody>;
    type Error = Status;
    type Future = <Inner as Service<Request<TestBody>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<TestBody>) -> Self::Future {
        self.inner.call(request)
    }
}

/// A breaker around a subchannel, and what the balancer sees of it.
struct Watched {
    states: mpsc::UnboundedSender<Report>,
    breaker: Breaker<Subchannel>,
    inner: Inner,
}

fn watched() -> Watched {
    watched_with(config())
}

fn watched_with(config: BreakerConfig) -> Watched {
    let (states, reports) = mpsc::unbounded_channel();
    let inner = Scripted::new();
    let subchannel = Subchannel {
        reports,
        inner: inner.clone(),
    };
    Watched {
        states,
        breaker: BreakerLayer::new(config).layer(subchannel),
        inner,
    }
}

impl Watched {
    fn is(&self, state: ConnectivityState) {
        let endpoint = Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap());
        let report = Report::new(Arc::new(endpoint), state);
        self.states.send(report).unwrap();
    }

    async fn next(&mut self) -> Report {
        poll_fn(|cx| self.breaker.poll_report(cx)).await.unwrap()
    }

    async fn report(&mut self) -> (ConnectivityState, BreakerState, Option<String>) {
        let report = self.next().await;
        let error = report.error.map(|error| error.to_string());
        (report.state, report.breaker.unwrap(), error)
    }

    fn nothing_new(&mut self) {
        assert!(
            poll_fn(|cx| self.breaker.poll_report(cx))
                .now_or_never()
                .is_none()
        );
    }

    /// What the balancer gives back to its queue, to wait for a report.
    async fn is_refused(&mut self) {
        let status = self.breaker.call(unary("hello")).await.unwrap_err();
        assert!(cause::<BreakerOpen>(&status).is_some(), "{status}");
    }

    /// The balancer knows that it is half-open and may be probed.
    async fn half_open(&mut self) {
        self.is(Ready);
        self.report().await;
        self.attempt(lost()).await;
        self.attempt(lost()).await;
        self.report().await;
        assert_eq!(self.report().await, (Ready, HalfOpen, None));
    }

    async fn attempt(&mut self, answer: Answer) {
        self.inner.reply(|| answer);
        let response = self.breaker.call(unary("hello")).await;
        if let Ok(response) = response {
            drop(response.into_body().collect().await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_leaves_the_pick_set_and_comes_back_to_probe() {
    let mut it = watched();
    it.is(Connecting);
    assert_eq!(it.report().await, (Connecting, Closed, None));
    it.is(Ready);
    assert_eq!(it.report().await, (Ready, Closed, None));
    it.attempt(lost()).await;
    it.nothing_new();
    it.attempt(lost()).await;
    let (state, breaker, error) = it.report().await;
    assert_eq!((state, breaker), (TransientFailure, Open));
    assert_eq!(
        error.unwrap(),
        "circuit breaker of 10.0.0.1:80 is open, it probes in 1000 ms; \
         tripped by: UNAVAILABLE: connection lost (2 consecutive failures)"
    );
    it.nothing_new();

    // The timer, not a call, makes it half-open.
    let start = Instant::now();
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    assert_eq!(start.elapsed(), SECOND);

    it.inner.hang();
    let mut probe = Box::pin(it.breaker.call(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    let (state, breaker, _) = it.report().await;
    assert_eq!(
        (state, breaker),
        (TransientFailure, HalfOpen),
        "the probe is out"
    );
    drop(probe);
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    it.attempt(Ok(Response::new(body([trailers(Code::Ok)]))))
        .await;
    assert_eq!(it.report().await, (Ready, Closed, None));
}

#[tokio::test(start_paused = true)]
async fn states_other_than_ready_pass_an_open_breaker() {
    let mut it = watched();
    it.is(Ready);
    it.report().await;
    it.breaker.handle().hold_open();
    let (state, breaker, _) = it.report().await;
    assert_eq!((state, breaker), (TransientFailure, Open));
    it.is(ConnectivityState::Idle);
    assert_eq!(it.report().await, (ConnectivityState::Idle, Open, None));
    it.is(Ready);
    assert_eq!(it.report().await.0, TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn a_change_wakes_whoever_waits_for_a_report() {
    let mut it = watched();
    it.is(Ready);
    it.report().await;
    let handle = it.breaker.handle();
    let (report, ()) = tokio::join!(it.report(), async {
        tokio::task::yield_now().await;
        handle.hold_open();
    });
    assert_eq!(report.0, TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_endpoint_is_passed_on() {
    let mut it = watched();
    drop(it.states);
    assert!(poll_fn(|cx| it.breaker.poll_report(cx)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_lets_the_next_one_start() {
    let mut it = watched();
    it.is(Ready);
    it.report().await;
    it.attempt(lost()).await;
    it.attempt(lost()).await;
    it.report().await;
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    it.inner.hang();
    let mut probe = Box::pin(it.breaker.call(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    assert_eq!(it.report().await.0, TransientFailure);
    let start = Instant::now();
    assert_eq!(it.report().await, (Ready, HalfOpen, None));
    assert_eq!(start.elapsed(), SECOND);
    it.attempt(Ok(Response::new(body([trailers(Code::Ok)]))))
        .await;
    assert_eq!(it.report().await, (Ready, Closed, None));
    drop(probe);
    it.nothing_new();
}

/// What becomes of a probe before the balancer's driver looks.
#[derive(Clone, Copy, Debug)]
enum Probe {
    Dropped,
    Succeeds,
    Fails,
    Hangs,
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_hears_of_the_next_place_although_nothing_looks_changed() {
    let cases = [
        (Probe::Dropped, 1, HalfOpen),
        (Probe::Dropped, 2, HalfOpen),
        (Probe::Succeeds, 1, Closed),
        (Probe::Succeeds, 2, HalfOpen),
        (Probe::Fails, 1, HalfOpen),
        (Probe::Hangs, 1, HalfOpen),
    ];
    for (ending, probes_to_close, then) in cases {
        let mut it = watched_with(BreakerConfig {
            probes_to_close,
            ..config()
        });
        it.half_open().await;
        let (answer, answered) = tokio::sync::oneshot::channel();
        it.inner.reply_with(async |_| answered.await.unwrap());
        let mut probe = Box::pin(it.breaker.call(unary("hello")));
        assert!(probe.as_mut().now_or_never().is_none());
        it.is_refused().await;

        match ending {
            Probe::Dropped => drop(probe),
            Probe::Succeeds => {
                let ok = Response::new(body([trailers(Code::Ok)]));
                answer.send(Ok(ok)).unwrap();
                drop(probe.await.unwrap().into_body().collect().await);
            }
            Probe::Fails => {
                answer.send(lost()).unwrap();
                probe.await.unwrap_err();
                it.is_refused().await;
                tokio::time::advance(2 * SECOND).await;
            }
            Probe::Hangs => tokio::time::advance(SECOND).await,
        }
        let report = it.report().now_or_never();
        let expected = Some((Ready, then, None));
        assert_eq!(report, expected, "{ending:?}, {probes_to_close} to close");
        it.nothing_new();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_hears_of_a_breaker_that_was_open_for_a_moment() {
    let mut it = watched();
    it.is(Ready);
    assert_eq!(it.report().await, (Ready, Closed, None));
    it.breaker.handle().hold_open();
    it.is_refused().await;
    it.breaker.handle().reset();
    assert_eq!(it.report().now_or_never(), Some((Ready, Closed, None)));
    it.nothing_new();
}

#[tokio::test(start_paused = true)]
async fn refusals_are_no_news_while_nothing_is_admitted() {
    let mut it = watched();
    it.half_open().await;
    it.inner.hang();
    let mut probe = Box::pin(it.breaker.call(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    assert_eq!(it.report().await.0, TransientFailure);
    it.is_refused().await;
    it.nothing_new();
    drop(probe);
    assert_eq!(it.report().now_or_never(), Some((Ready, HalfOpen, None)));
    it.nothing_new();
}

#[tokio::test(start_paused = true)]
async fn a_response_keeps_its_message() {
    let (inner, service) = service();
    inner.reply(|| Ok(Response::new(body([data("x"), trailers(Code::Ok)]))));
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await, (Bytes::from("x"), Some(Code::Ok)));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_whose_balancer_settles_trips_and_recovers_all_the_same() {
    let mut watched = watched();
    watched.is(Ready);
    assert_eq!(watched.report().await, (Ready, Closed, None));
    let failures = config().consecutive_failures;
    let refused = Outcome::Failure(Code::Unavailable);
    for _ in 0..failures {
        let (_sender, admission) = watched.breaker.admit(Admit::Normally).unwrap();
        watched.breaker.settle(admission, refused, "server lost");
    }
    let Err(error) = watched.breaker.admit(Admit::Normally) else {
        panic!("it is open");
    };
    assert!(error.downcast_ref::<BreakerOpen>().is_some(), "{error}");
    let (state, breaker, error) = watched.report().await;
    assert_eq!((state, breaker), (TransientFailure, Open));
    assert!(error.unwrap().contains("UNAVAILABLE: server lost"));

    // A probe that says nothing gives its place back.
    assert_eq!(watched.report().await, (Ready, HalfOpen, None));
    let (_sender, probe) = watched.breaker.admit(Admit::Normally).unwrap();
    assert!(
        watched.breaker.admit(Admit::Normally).is_err(),
        "one probe at a time"
    );
    watched.breaker.settle(probe, Outcome::Abandoned, "");
    let (_sender, probe) = watched.breaker.admit(Admit::Normally).unwrap();
    watched.breaker.settle(probe, Outcome::Success, "");
    assert_eq!(watched.report().await, (Ready, Closed, None));
    assert_eq!(watched.inner.calls(), 0, "the balancer has the sender");
}

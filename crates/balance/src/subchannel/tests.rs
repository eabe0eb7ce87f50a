use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use evenkeel_core::error::{cause, chain};
use evenkeel_core::{Address, Metadata};
use evenkeel_transport::{CloseReason, ConnectError, ConnectStep, Connected};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, timeout};

use super::*;

mod several;

/// Dials that wait until the test answers them.
#[derive(Clone)]
struct FakeConnector {
    dials: mpsc::UnboundedSender<Dial>,
}

struct Dial {
    at: Instant,
    answer: oneshot::Sender<Result<Connected<FakeConnection>, ConnectError>>,
}

#[derive(Clone)]
struct FakeConnection(Arc<AtomicUsize>);

impl Connect for FakeConnector {
    type Connection = FakeConnection;
    type Future = BoxFuture<'static, Result<Connected<FakeConnection>, ConnectError>>;

    fn connect(&self, _address: &Address, _endpoint: &Endpoint) -> Self::Future {
        let (answer, answered) = oneshot::channel();
        self.dials
            .send(Dial {
                at: Instant::now(),
                answer,
            })
            .unwrap();
        async { answered.await.expect("the test answers") }.boxed()
    }
}

impl Connection for FakeConnection {
    type ResponseBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Status>;
    type Future<B: RequestBody> = BoxFuture<'static, Result<Response<Self::ResponseBody>, Status>>;

    fn send<B: RequestBody>(&self, _request: Request<B>) -> Self::Future<B> {
        self.0.fetch_add(1, Ordering::Relaxed);
        async { Err(Status::unimplemented("nothing answers here")) }.boxed()
    }
}

struct Test {
    subchannel: Subchannel<FakeConnector>,
    dials: mpsc::UnboundedReceiver<Dial>,
    sent: Arc<AtomicUsize>,
}

fn endpoint() -> Arc<Endpoint> {
    Arc::new(Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap()))
}

impl Test {
    fn new() -> Self {
        let (sender, dials) = mpsc::unbounded_channel();
        let mut config = SubchannelConfig::default();
        config.backoff.jitter = 0.0;
        let subchannel = Subchannel::new(endpoint(), FakeConnector { dials: sender }, config);
        Self {
            subchannel,
            dials,
            sent: Arc::default(),
        }
    }

    async fn report(&mut self) -> Report {
        let next = poll_fn(|cx| self.subchannel.poll_report(cx));
        timeout(Duration::from_secs(600), next)
            .await
            .expect("a report comes")
            .expect("not ended")
    }

    async fn wait_for(&mut self, state: ConnectivityState) -> Report {
        loop {
            let report = self.report().await;
            if report.state == state {
                return report;
            }
        }
    }

    /// Waits until an attempt has failed; the next may have begun already.
    async fn failure(&mut self) -> Report {
        loop {
            let report = self.report().await;
            if report.failing {
                return report;
            }
        }
    }

    async fn dial(&mut self) -> Dial {
        timeout(Duration::from_secs(600), self.dials.recv())
            .await
            .expect("it dials")
            .unwrap()
    }

    async fn connect(&mut self) -> oneshot::Sender<CloseReason> {
        self.subchannel.connect();
        let dial = self.dial().await;
        let (close, closed) = oneshot::channel();
        let connected = Connected::new(FakeConnection(self.sent.clone()), closed);
        dial.answer.send(Ok(connected)).ok().unwrap();
        self.wait_for(ConnectivityState::Ready).await;
        close
    }

    async fn call(&mut self) -> Status {
        let request = Request::new(Full::new(Bytes::new()));
        self.subchannel.call(request).await.map(drop).unwrap_err()
    }
}

#[tokio::test(start_paused = true)]
async fn stays_idle_until_it_is_asked() {
    let mut test = Test::new();
    assert_eq!(test.report().await.state, ConnectivityState::Idle);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(test.dials.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn requests_go_out_only_while_ready_and_come_back_whole_otherwise() {
    let mut test = Test::new();
    let status = test.call().await;
    let error = cause::<AttemptError>(&status).unwrap();
    assert!(error.take_request::<Full<Bytes>>().is_some());
    assert!(
        status
            .message()
            .contains("not connected to 10.0.0.1:80: IDLE"),
        "{status}"
    );

    let close = test.connect().await;
    assert!(test.subchannel.report().connected);
    assert_eq!(test.call().await.code(), Code::Unimplemented);
    assert_eq!(test.sent.load(Ordering::Relaxed), 1);

    drop(close);
    let report = test.wait_for(ConnectivityState::Idle).await;
    assert!(report.error.is_some(), "it says why");
    assert!(!report.connected);
    assert_eq!(test.call().await.code(), Code::Unavailable);
    assert_eq!(test.sent.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_from_the_start_of_the_attempt_and_name_the_reason() {
    let mut test = Test::new();
    let begun = Instant::now();
    test.subchannel.connect();
    let mut starts = Vec::new();
    for _ in 0..4 {
        let dial = test.dial().await;
        starts.push((dial.at - begun).as_millis());
        tokio::time::advance(Duration::from_millis(100)).await;
        drop(dial.answer.send(Err(refused())));
        let report = test.wait_for(ConnectivityState::TransientFailure).await;
        let text = chain(&*report.error.unwrap());
        assert_eq!(text, "10.0.0.1:80: cannot connect: connection refused");
    }
    // tokio's timers have a resolution of 1 ms.
    let expected = [0, 1000, 2600, 5160];
    for (start, expected) in starts.iter().zip(expected) {
        assert!(start.abs_diff(expected) <= 5, "{starts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_ends_after_twenty_seconds() {
    let mut test = Test::new();
    test.subchannel.connect();
    let _dial = test.dial().await;
    let begun = Instant::now();
    let report = test.failure().await;
    assert_eq!(begun.elapsed().as_secs(), 20);
    let text = chain(&*report.error.unwrap());
    assert!(text.contains("no connection within 20"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn resetting_the_backoff_dials_at_once() {
    let mut test = Test::new();
    test.subchannel.connect();
    drop(test.dial().await.answer.send(Err(refused())));
    test.wait_for(ConnectivityState::TransientFailure).await;
    let before = Instant::now();
    test.subchannel.reset_backoff();
    assert_eq!(test.dial().await.at, before);
}

#[tokio::test(start_paused = true)]
async fn disconnecting_gives_up_a_dial() {
    let mut test = Test::new();
    test.subchannel.connect();
    let dial = test.dial().await;
    test.wait_for(ConnectivityState::Connecting).await;
    test.subchannel.disconnect();
    test.wait_for(ConnectivityState::Idle).await;
    assert!(dial.answer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn asking_again_does_not_disturb_a_dial() {
    let mut test = Test::new();
    test.subchannel.connect();
    let dial = test.dial().await;
    test.subchannel.connect();
    test.subchannel.clone().connect();
    tokio::task::yield_now().await;
    assert!(!dial.answer.is_closed());
    assert!(test.dials.try_recv().is_err(), "exactly one dial");
}

#[tokio::test(start_paused = true)]
async fn new_metadata_is_reported_without_a_new_connection() {
    let mut test = Test::new();
    let close = test.connect().await;
    let heavier = Endpoint::clone(&endpoint()).with_metadata(Metadata::default().with_weight(7.0));
    test.subchannel.set_endpoint(Arc::new(heavier));
    let report = test.report().await;
    assert_eq!(report.endpoint.metadata().weight, Some(7.0));
    assert_eq!(report.state, ConnectivityState::Ready);
    assert!(!close.is_closed());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_clone_ends_the_task_and_the_dial() {
    let mut test = Test::new();
    test.subchannel.connect();
    let mut dial = test.dial().await;
    let clone = test.subchannel.clone();
    let Test { subchannel, .. } = test;
    drop(subchannel);
    tokio::task::yield_now().await;
    assert!(!dial.answer.is_closed());
    drop(clone);
    timeout(Duration::from_secs(1), dial.answer.closed())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn asking_for_what_is_so_already_tells_nobody() {
    let mut test = Test::new();
    test.subchannel.disconnect();
    assert_eq!(test.report().await.state, ConnectivityState::Idle);
    test.subchannel.connect();
    drop(test.dial().await.answer.send(Err(refused())));
    test.wait_for(ConnectivityState::TransientFailure).await;
    for _ in 0..10 {
        test.subchannel.connect();
        tokio::task::yield_now().await;
    }
    let next = poll_fn(|cx| test.subchannel.poll_report(cx));
    assert!(next.now_or_never().is_none(), "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn resetting_the_backoff_while_dialling_lets_the_next_attempt_follow_at_once() {
    let mut test = Test::new();
    test.subchannel.connect();
    let dial = test.dial().await;
    test.subchannel.reset_backoff();
    tokio::task::yield_now().await;
    drop(dial.answer.send(Err(refused())));
    assert_eq!(test.dial().await.at, dial.at);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_connector_panics_is_given_up() {
    let mut test = Test::new();
    test.subchannel.connect();
    // The fake dial panics when nobody answers it.
    drop(test.dial().await);
    let report = test.wait_for(ConnectivityState::Shutdown).await;
    assert!(report.error.unwrap().to_string().contains("panicked"));
    assert_eq!(test.call().await.code(), Code::Unavailable);
}

fn refused() -> ConnectError {
    let error = ConnectError::new("10.0.0.1:80".parse().unwrap(), ConnectStep::Dial);
    error.with_source("connection refused")
}

#[tokio::test]
async fn an_endpoint_has_no_task_until_it_is_asked_to_connect() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let mut test = Test::new();
    assert_eq!(test.report().await.state, ConnectivityState::Idle);
    test.subchannel.disconnect();
    test.subchannel.reset_backoff();
    assert_eq!(tasks(), 0);
    test.subchannel.connect();
    test.subchannel.clone().connect();
    assert_eq!(tasks(), 1);
    test.wait_for(ConnectivityState::Connecting).await;
    drop(test);
    while tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_watcher_sees_the_newest_report_once() {
    let mut test = Test::new();
    let (mut other, mut gone) = (test.subchannel.clone(), test.subchannel.clone());
    for watcher in [&mut test.subchannel, &mut other, &mut gone] {
        let report = poll_fn(|cx| watcher.poll_report(cx)).await.unwrap();
        assert_eq!(report.state, ConnectivityState::Idle);
        assert!(
            poll_fn(|cx| watcher.poll_report(cx))
                .now_or_never()
                .is_none()
        );
    }
    drop(gone);
    let _close = test.connect().await;
    let report = poll_fn(|cx| other.poll_report(cx)).await.unwrap();
    assert_eq!(
        report.state,
        ConnectivityState::Ready,
        "CONNECTING is passed over"
    );
    assert!(poll_fn(|cx| other.poll_report(cx)).now_or_never().is_none());
}

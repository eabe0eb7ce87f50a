use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::error::{ProbeFailed, cause};
use evenkeel_core::{
    Address, Admit, BoxError, Connectivity, ConnectivityState, Endpoint, EndpointStats, LoadStream,
    Metadata, Outcome, Report,
};
use evenkeel_policy::probe::ProbeConfig;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tower_layer::Layer;

use super::*;
use ConnectivityState::{Connecting, Idle, Ready, TransientFailure};

mod sockets;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(600);

/// A subchannel of sorts.
struct Subchannel {
    reports: mpsc::UnboundedReceiver<Report>,
}

impl Connectivity for Subchannel {
    type Sender = ();
    type Admission = u8;

    fn admit(&self, _: Admit) -> Result<((), u8), BoxError> {
        Ok(((), 7))
    }

    fn settle(&self, admission: u8, _: Outcome, _: &str) {
        assert_eq!(admission, 7);
    }

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        self.reports.poll_recv(cx)
    }

    fn connect(&self) {}

    fn disconnect(&self) {}

    fn reset_backoff(&self) {}

    fn stream_load(&self, _: Option<&LoadStream>, _: &Arc<EndpointStats>) {}

    fn check_health(&self, _: Option<&Arc<str>>) {}

    fn allow_connections(&self, _: u32) {}
}

/// A probe that waits for its answer.
struct Asked {
    at: Instant,
    answer: oneshot::Sender<Result<(), BoxError>>,
}

impl Asked {
    fn succeed(self) {
        self.answer.send(Ok(())).unwrap();
    }

    fn fail(self) {
        self.answer.send(Err("no answer".into())).unwrap();
    }

    async fn given_up(mut self) {
        self.answer.closed().await;
    }
}

struct Test {
    states: mpsc::UnboundedSender<Report>,
    probes: mpsc::UnboundedReceiver<Asked>,
    probed: Probed<Subchannel>,
}

fn config() -> ProbeConfig {
    ProbeConfig {
        jitter: 0.0,
        ..ProbeConfig::default()
    }
}

fn endpoint() -> Arc<Endpoint> {
    Arc::new(Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap()))
}

impl Test {
    fn new(config: ProbeConfig) -> Self {
        let (to_probes, probes) = mpsc::unbounded_channel();
        let probe = move |_| {
            let (answer, answered) = oneshot::channel();
            let at = Instant::now();
            to_probes.send(Asked { at, answer }).unwrap();
            async move {
                match answered.await {
                    Ok(result) => result,
                    Err(_) => pending().await,
                }
            }
        };
        Self::by(probe, config, probes)
    }

    fn by(probe: impl Probe, config: ProbeConfig, probes: mpsc::UnboundedReceiver<Asked>) -> Self {
        let (states, reports) = mpsc::unbounded_channel();
        let layer = ProbeLayer::new(probe).with_config(config);
        Self {
            states,
            probes,
            probed: layer.layer(Subchannel { reports }),
        }
    }

    async fn ready(config: ProbeConfig) -> Self {
        let mut test = Self::new(config);
        test.is(Ready);
        assert_eq!(test.report().await.state, Ready);
        test
    }

    /// READY for its connection, and taken out by its probes.
    async fn out(config: ProbeConfig) -> Self {
        let failures = config.failures;
        let mut test = Self::ready(config).await;
        for _ in 0..failures {
            test.probe().await.fail();
        }
        assert_eq!(test.report().await.state, TransientFailure);
        test
    }

    /// What the connection says.
    fn is(&self, state: ConnectivityState) {
        self.states.send(Report::new(endpoint(), state)).unwrap();
    }

    async fn report(&mut self) -> Report {
        let report = poll_fn(|cx| self.probed.poll_report(cx));
        timeout(LONG, report).await.expect("a report").unwrap()
    }

    /// The next probe.
    async fn probe(&mut self) -> Asked {
        let next = timeout(LONG, self.probes.recv());
        next.await.expect("it is probed").unwrap()
    }

    async fn is_never_probed(&mut self) -> bool {
        timeout(LONG, self.probes.recv()).await.is_err()
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_take_it_out_and_a_success_brings_it_back() {
    let mut test = Test::ready(config()).await;
    test.probe().await.fail();
    test.probe().await.fail();
    test.probe().await.succeed();
    for _ in 0..3 {
        test.probe().await.fail();
    }
    let report = test.report().await;
    assert_eq!(report.state, TransientFailure);
    assert_eq!((report.connected, report.held_back), (true, false));
    let error = report.error.unwrap();
    assert_eq!(
        error.to_string(),
        "10.0.0.1:80: taken out by its probe, which failed 3 times in a row: no answer"
    );
    assert_eq!(cause::<ProbeFailed>(&*error).unwrap().failures, 3);
    test.probe().await.fail();
    test.probe().await.succeed();
    let report = test.report().await;
    assert_eq!(report.state, Ready);
    assert!(report.error.is_none());
    let (_, admission) = test.probed.admit(Admit::Normally).unwrap();
    test.probed.settle(admission, Outcome::Success, "");
}

#[tokio::test(start_paused = true)]
async fn probes_are_an_interval_apart_and_a_hanging_one_fails_after_its_timeout() {
    let mut test = Test::ready(ProbeConfig {
        failures: 1,
        ..config()
    })
    .await;
    let first = test.probe().await;
    let at = first.at;
    first.succeed();
    let second = test.probe().await;
    assert_eq!(second.at - at, 10 * SECOND);
    second.given_up().await;
    assert_eq!(at.elapsed(), 11 * SECOND);
    let report = test.report().await;
    let text = report.error.unwrap().to_string();
    assert!(
        text.ends_with("failed 1 time in a row: no answer in time"),
        "{text}"
    );
    assert_eq!(test.probe().await.at - at, 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_probed_while_it_is_not_ready() {
    let mut test = Test::new(config());
    for state in [Idle, Connecting, TransientFailure] {
        test.is(state);
        assert_eq!(test.report().await.state, state);
        assert!(test.is_never_probed().await, "{state}");
    }
    test.is(Ready);
    assert_eq!(test.report().await.state, Ready);
    let probe = test.probe().await;
    test.is(Idle);
    assert_eq!(test.report().await.state, Idle);
    probe.given_up().await;
    assert!(test.is_never_probed().await);
}

#[tokio::test(start_paused = true)]
async fn who_is_out_stays_so_over_a_new_connection_and_is_probed_at_once() {
    let mut test = Test::out(config()).await;
    test.is(Idle);
    assert_eq!(test.report().await.state, Idle, "that is true all the same");
    tokio::time::sleep(LONG).await;
    assert!(test.probes.try_recv().is_err());
    test.is(Ready);
    let connected = Instant::now();
    assert_eq!(test.report().await.state, TransientFailure);
    let probe = test.probe().await;
    assert!(connected.elapsed() < SECOND / 10);
    probe.succeed();
    assert_eq!(test.report().await.state, Ready);
}

#[tokio::test(start_paused = true)]
async fn who_is_out_stays_so_when_its_metadata_change() {
    let mut test = Test::out(config()).await;
    let metadata = Metadata::default().with_weight(2.0);
    let heavier = Arc::new(Endpoint::clone(&endpoint()).with_metadata(metadata));
    test.states
        .send(Report::new(heavier.clone(), Ready))
        .unwrap();
    let report = test.report().await;
    assert_eq!(report.state, TransientFailure);
    assert_eq!(report.endpoint, heavier);
}

#[tokio::test(start_paused = true)]
async fn when_it_is_to_be_a_last_resort_it_is_held_back() {
    let mut test = Test::ready(ProbeConfig {
        failures: 1,
        last_resort: true,
        ..config()
    })
    .await;
    test.probe().await.fail();
    let report = test.report().await;
    assert_eq!((report.state, report.held_back), (TransientFailure, true));
}

/// Says once that it is READY, to each clone.
#[derive(Clone)]
struct Always(bool);

impl Connectivity for Always {
    type Sender = ();
    type Admission = ();

    fn admit(&self, _: Admit) -> Result<((), ()), BoxError> {
        Ok(((), ()))
    }

    fn settle(&self, (): (), _: Outcome, _: &str) {}

    fn poll_report(&mut self, _: &mut Context<'_>) -> Poll<Option<Report>> {
        match std::mem::take(&mut self.0) {
            true => Poll::Ready(Some(Report::new(endpoint(), Ready))),
            false => Poll::Pending,
        }
    }

    fn connect(&self) {}

    fn disconnect(&self) {}

    fn reset_backoff(&self) {}

    fn stream_load(&self, _: Option<&LoadStream>, _: &Arc<EndpointStats>) {}

    fn check_health(&self, _: Option<&Arc<str>>) {}

    fn allow_connections(&self, _: u32) {}
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_probes_and_the_last_one_ends_them() {
    let (to_probes, mut probes) = mpsc::unbounded_channel();
    let probe = move |_| {
        let (answer, answered) = oneshot::channel::<Result<(), BoxError>>();
        to_probes.send(answer).unwrap();
        async move { answered.await.expect("it is answered") }
    };
    let layer = ProbeLayer::new(probe).with_config(ProbeConfig {
        failures: 1,
        ..config()
    });
    let mut clones = [(); 2].map(|()| layer.layer(Always(true)));
    clones[1] = clones[0].clone();
    for clone in &mut clones {
        let report = poll_fn(|cx| clone.poll_report(cx)).await.unwrap();
        assert_eq!(report.state, Ready);
    }
    let answer = probes.recv().await.unwrap();
    assert!(probes.try_recv().is_err(), "one for both");
    answer.send(Err("no answer".into())).unwrap();
    for clone in &mut clones {
        let report = poll_fn(|cx| clone.poll_report(cx)).await.unwrap();
        assert_eq!(report.state, TransientFailure);
    }
    let mut running = probes.recv().await.unwrap();
    let [first, second] = clones;
    let of_a_call = first.clone();
    drop(first);
    assert!(timeout(SECOND / 2, running.closed()).await.is_err());
    drop(second);
    let given_up = timeout(SECOND / 4, running.closed()).await;
    given_up.expect("nobody wants to know");
    assert!(
        timeout(LONG, probes.recv()).await.is_err(),
        "nor begins another"
    );
    drop((layer, of_a_call));
    assert!(probes.recv().await.is_none(), "nobody can probe any more");
}

#[tokio::test(start_paused = true)]
async fn without_a_probe_reports_pass_as_they_are() {
    let mut probed = ProbeLayer::default().layer(Always(true));
    let report = poll_fn(|cx| probed.poll_report(cx)).await.unwrap();
    assert_eq!(report.state, Ready);
    assert!(probed.probes.is_none());
    assert_eq!(size_of_val(&probed), size_of::<(Always, usize)>());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_leaves_its_endpoint_in() {
    let calls = AtomicUsize::new(0);
    let probe = move |_| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_eq!(call, 0, "the test wants it to panic");
            Err("no answer".into())
        }
    };
    let (_, probes) = mpsc::unbounded_channel();
    let failures = 1;
    let mut test = Test::by(
        probe,
        ProbeConfig {
            failures,
            ..config()
        },
        probes,
    );
    test.is(Ready);
    for state in [Ready, TransientFailure, Ready] {
        assert_eq!(test.report().await.state, state);
    }
}

use std::future::poll_fn;

use bytes::Bytes;
use evenkeel_core::{
    Address, Admit, Connectivity, ConnectivityState, Endpoint, EndpointStats, LoadStream, ReadLoad,
};
use evenkeel_transport::CloseReason;
use http_body::Frame;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Code;

use super::super::scripted::{Call, Script, Scripted, message, trailers};
use super::*;
use crate::{Subchannel, SubchannelConfig};

/// Weighs a report by its length.
#[derive(Debug)]
struct Length(f64);

impl ReadLoad for Length {
    fn weight(&self, report: &[u8]) -> Option<f64> {
        (!report.is_empty()).then_some(report.len() as f64 * self.0)
    }
}

fn every(seconds: u64, factor: f64) -> LoadStream {
    LoadStream {
        interval: Duration::from_secs(seconds),
        reader: Arc::new(Length(factor)),
    }
}

fn request(call: &Call) -> Request {
    Request::decode(call.message.clone()).unwrap()
}

struct Test {
    subchannel: Subchannel<Scripted>,
    stats: Arc<EndpointStats>,
    script: Script,
}

impl Test {
    fn new() -> Self {
        Self::with_streams(usize::MAX)
    }

    /// With so many streams to a connection.
    fn with_streams(streams: usize) -> Self {
        let (scripted, script) = Scripted::new();
        let scripted = scripted.with_streams(streams);
        let endpoint = Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap());
        let config = SubchannelConfig::default();
        Self {
            subchannel: Subchannel::new(Arc::new(endpoint), scripted, config),
            stats: Arc::default(),
            script,
        }
    }

    /// READY, and asked for a report each ten seconds.
    async fn asked() -> (Self, oneshot::Sender<CloseReason>) {
        let mut test = Self::new();
        test.want(Some(&every(10, 1.0)));
        let close = test.connect().await;
        (test, close)
    }

    fn want(&self, wanted: Option<&LoadStream>) {
        self.subchannel.stream_load(wanted, &self.stats);
    }

    async fn connect(&mut self) -> oneshot::Sender<CloseReason> {
        self.subchannel.connect();
        let close = self.script.closes.recv().await.unwrap();
        self.reach(ConnectivityState::Ready).await;
        close
    }

    async fn reach(&mut self, state: ConnectivityState) {
        loop {
            let report = poll_fn(|cx| self.subchannel.poll_report(cx)).await;
            if report.unwrap().state == state {
                return;
            }
        }
    }

    async fn call(&mut self) -> Call {
        let next = timeout(Duration::from_secs(600), self.script.calls.recv());
        next.await.expect("it calls").unwrap()
    }

    /// For as long as any backoff lasts.
    async fn is_never_called(&mut self) -> bool {
        timeout(Duration::from_secs(600), self.script.calls.recv())
            .await
            .is_err()
    }

    async fn weighs(&self, weight: f64) {
        let weighs = async {
            while self.stats.load().is_none_or(|load| load.weight != weight) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let timed = timeout(Duration::from_secs(60), weighs).await;
        timed.unwrap_or_else(|_| panic!("{:?}, not {weight}", self.stats.load()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_ready_connection_streams_what_it_was_asked_for() {
    let (mut test, _close) = Test::asked().await;
    let call = test.call().await;
    assert_eq!(
        call.path,
        "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics"
    );
    assert_eq!(request(&call), Request::every(Duration::from_secs(10)));
    let stream = call.open();
    stream.send(message(b"one")).unwrap();
    test.weighs(3.0).await;
    // What makes no weight changes nothing.
    stream.send(message(b"")).unwrap();
    stream.send(message(b"three")).unwrap();
    test.weighs(5.0).await;
    assert!(test.script.calls.try_recv().is_err(), "one stream");
    assert_eq!(test.stats.in_flight(), 0, "it counts as no attempt");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_streamed_before_it_is_ready_or_before_it_is_asked_for() {
    let mut test = Test::new();
    test.want(Some(&every(10, 1.0)));
    assert!(test.is_never_called().await, "IDLE");
    test.want(None);
    let _close = test.connect().await;
    assert!(test.is_never_called().await, "not asked");
    test.want(Some(&every(10, 1.0)));
    test.call().await.open();
}

#[tokio::test(start_paused = true)]
async fn another_interval_is_another_stream_and_another_reader_is_not() {
    let (mut test, _close) = Test::asked().await;
    let first = test.call().await.open();
    test.want(Some(&every(10, 100.0)));
    first.send(message(b"one")).unwrap();
    test.weighs(300.0).await;
    assert!(test.script.calls.try_recv().is_err(), "the stream goes on");

    test.want(Some(&every(20, 100.0)));
    let call = test.call().await;
    assert_eq!(request(&call), Request::every(Duration::from_secs(20)));
    first.closed().await;
    call.open().send(message(b"three")).unwrap();
    test.weighs(500.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_reset_when_nobody_asks_any_more() {
    let (mut test, _close) = Test::asked().await;
    let stream = test.call().await.open();
    test.want(None);
    stream.closed().await;
    assert!(test.is_never_called().await);
    test.want(Some(&every(10, 1.0)));
    test.call().await.open();
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_reset_with_its_connection_and_opened_on_the_next() {
    let (mut test, close) = Test::asked().await;
    let stream = test.call().await.open();
    drop(close);
    stream.closed().await;
    test.reach(ConnectivityState::Idle).await;
    let close = test.connect().await;
    let stream = test.call().await.open();
    test.subchannel.disconnect();
    stream.closed().await;
    drop(close);
    test.reach(ConnectivityState::Idle).await;
    let _close = test.connect().await;
    let stream = test.call().await.open();
    let Test { subchannel, .. } = test;
    drop(subchannel);
    stream.closed().await;
}

#[tokio::test(start_paused = true)]
async fn the_reports_of_a_new_connection_are_a_row_of_their_own() {
    let (mut test, close) = Test::asked().await;
    test.call().await.open().send(message(b"one")).unwrap();
    test.weighs(3.0).await;
    assert!(test.stats.load().unwrap().since.is_some());
    drop(close);
    test.reach(ConnectivityState::Idle).await;
    let _close = test.connect().await;
    assert_eq!(test.stats.load().unwrap().since, None);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_service_is_asked_once_per_connection() {
    let (mut test, close) = Test::asked().await;
    test.call().await.fail(Code::Unimplemented);
    assert!(test.is_never_called().await);
    for wanted in [Some(&every(20, 1.0)), None, Some(&every(10, 1.0))] {
        test.want(wanted);
        assert!(test.is_never_called().await);
    }
    drop(close);
    test.reach(ConnectivityState::Idle).await;
    let _close = test.connect().await;
    test.call().await.open();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_is_opened_again_at_once_if_a_message_came_and_else_with_backoff() {
    let (mut test, _close) = Test::asked().await;
    let mut last = test.call().await;
    for (received, code, seconds) in [
        (false, Code::Unavailable, 1.0),
        (false, Code::Ok, 1.6),
        (true, Code::Internal, 0.0),
        (true, Code::Ok, 0.0),
        (false, Code::Internal, 1.0),
    ] {
        let at = last.at;
        let stream = last.open();
        if received {
            stream.send(message(b"one")).unwrap();
        }
        stream.send(trailers(code)).unwrap();
        last = test.call().await;
        let delay = (last.at - at).as_secs_f64();
        // tokio's timers have a resolution of 1 ms.
        let (least, most) = (seconds * 0.8, seconds * 1.2 + 0.005);
        assert!((least..=most).contains(&delay), "{code:?}: {delay}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_report_ends_its_stream_only() {
    const LONGEST_MESSAGE: usize = 1 << 20;
    let (mut test, _close) = Test::asked().await;
    let long = vec![7; LONGEST_MESSAGE + 1];
    for garbage in [message(&long), Ok(Frame::data(Bytes::from_static(b"none")))] {
        let stream = test.call().await.open();
        stream.send(garbage).unwrap();
        drop(stream);
    }
    let stream = test.call().await.open();
    stream.send(message(&long[1..])).unwrap();
    test.weighs(LONGEST_MESSAGE as f64).await;
}

#[tokio::test(start_paused = true)]
async fn reports_without_end_keep_nobody_from_being_heard() {
    let (mut test, _close) = Test::asked().await;
    let stream = test.call().await.open();
    let flood = async {
        while stream.send(message(b"one")).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    for _ in 0..10_000 {
        stream.send(message(b"one")).unwrap();
    }
    test.want(None);
    timeout(Duration::from_secs(1), flood).await.unwrap();
}

#[test]
fn the_longest_interval_is_what_a_duration_can_be() {
    let request = Request::every(Duration::MAX).report_interval.unwrap();
    assert_eq!((request.seconds, request.nanos), (315_576_000_000, 0));
    let request = Request::every(Duration::from_millis(1_500));
    assert_eq!(
        request.encode_to_vec(),
        [10, 8, 8, 1, 16, 128, 202, 181, 238, 1]
    );
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_the_oldest_of_several_connections_leaves_what_is_known_of_the_load() {
    let mut test = Test::with_streams(1);
    test.subchannel.allow_connections(2);
    test.want(Some(&every(10, 1.0)));
    let close = test.connect().await;
    let stream = test.call().await.open();
    stream.send(message(b"one")).unwrap();
    test.weighs(3.0).await;
    let since = test.stats.load().unwrap().since;
    // One of them finds no stream.
    let _calls = [(); 2].map(|()| test.subchannel.admit(Admit::Normally).unwrap());
    let second = test.script.closes.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;

    drop(close);
    let stream = test.call().await.open();
    stream.send(message(b"other")).unwrap();
    test.weighs(5.0).await;
    assert_eq!(test.stats.load().unwrap().since, since);

    // The last one is lost: what comes next is new.
    drop((second, stream));
    test.reach(ConnectivityState::Idle).await;
    let _close = test.connect().await;
    let stream = test.call().await.open();
    stream.send(message(b"another")).unwrap();
    test.weighs(7.0).await;
    assert!(test.stats.load().unwrap().since > since);
}

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::error::{NotHealthyReason, cause};
use evenkeel_core::{Address, Admit, Connectivity, Endpoint, Report};
use evenkeel_transport::CloseReason;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Code;

use super::super::scripted::{Call, Frames, Script, Scripted, message, trailers};
use super::*;
use crate::{Subchannel, SubchannelConfig};

const SERVING: &[u8] = &[8, 1];
const NOT_SERVING: &[u8] = &[8, 2];

/// For as long as any backoff lasts.
const LONG: Duration = Duration::from_secs(600);

struct Test {
    subchannel: Subchannel<Scripted>,
    script: Script,
}

impl Test {
    fn new(config: SubchannelConfig) -> Self {
        Self::with_streams(usize::MAX, config)
    }

    /// With so many streams to a connection.
    fn with_streams(streams: usize, config: SubchannelConfig) -> Self {
        let (scripted, script) = Scripted::new();
        let scripted = scripted.with_streams(streams);
        let endpoint = Endpoint::new("10.0.0.1:80".parse::<Address>().unwrap());
        Self {
            subchannel: Subchannel::new(Arc::new(endpoint), scripted, config),
            script,
        }
    }

    /// Connected, and asked for the health of `UserService`.
    async fn asked() -> (Self, oneshot::Sender<CloseReason>) {
        let mut test = Self::new(SubchannelConfig::default());
        test.check(Some("UserService"));
        let close = test.connect().await;
        (test, close)
    }

    /// READY because its server says so.
    async fn serving() -> (Self, oneshot::Sender<CloseReason>, Frames) {
        let (mut test, close) = Self::asked().await;
        let stream = test.call().await.open();
        stream.send(message(SERVING)).unwrap();
        test.reach(Ready).await;
        (test, close, stream)
    }

    fn check(&self, service: Option<&str>) {
        let service = service.map(Arc::from);
        self.subchannel.check_health(service.as_ref());
    }

    async fn connect(&mut self) -> oneshot::Sender<CloseReason> {
        self.subchannel.connect();
        self.script.closes.recv().await.unwrap()
    }

    async fn report(&mut self) -> Report {
        let report = poll_fn(|cx| self.subchannel.poll_report(cx));
        timeout(LONG, report).await.expect("a report").unwrap()
    }

    async fn reach(&mut self, state: ConnectivityState) -> Report {
        loop {
            let report = self.report().await;
            if report.state == state {
                return report;
            }
        }
    }

    /// The next call to the server.
    async fn call(&mut self) -> Call {
        let next = timeout(LONG, self.script.calls.recv());
        next.await.expect("it calls").unwrap()
    }

    async fn is_never_called(&mut self) -> bool {
        timeout(LONG, self.script.calls.recv()).await.is_err()
    }

    /// Lets everything happen that is due now.
    async fn settle(&mut self) -> Report {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.subchannel.report()
    }
}

fn service(call: &Call) -> String {
    Request::decode(call.message.clone()).unwrap().service
}

fn reason(report: &Report) -> NotHealthyReason {
    let error = report.error.as_deref().expect("it says why");
    cause::<NotHealthy>(error)
        .expect("for its health")
        .reason
        .clone()
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_connecting_until_its_server_says_that_it_is_serving() {
    let (mut test, _close) = Test::asked().await;
    let call = test.call().await;
    assert_eq!(call.path, "/grpc.health.v1.Health/Watch");
    assert_eq!(service(&call), "UserService");
    let report = test.settle().await;
    assert_eq!((report.state, report.connected), (Connecting, false));
    assert!(!report.failing, "it is no failure yet");
    assert_eq!(reason(&report), NotAnswered);

    let stream = call.open();
    assert_eq!(
        test.settle().await.state,
        Connecting,
        "headers are no answer"
    );
    stream.send(message(SERVING)).unwrap();
    let report = test.reach(Ready).await;
    assert!(report.connected && report.error.is_none());
    assert!(test.is_never_called().await, "one stream");
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_is_shown_and_the_connection_is_kept() {
    let (mut test, _close, stream) = Test::serving().await;
    for _ in 0..3 {
        stream.send(message(NOT_SERVING)).unwrap();
        let report = test.report().await;
        assert_eq!((report.state, report.connected), (TransientFailure, false));
        assert!(!report.failing, "nothing has failed to connect");
        assert_eq!(
            report.error.unwrap().to_string(),
            r#"10.0.0.1:80: health check failed, status=NOT_SERVING (service "UserService")"#
        );
        // Who has picked it already is not refused.
        assert!(test.subchannel.admit(Admit::Normally).is_ok());
        stream.send(message(SERVING)).unwrap();
        assert_eq!(test.report().await.state, Ready, "with no stop between");
    }
    assert!(test.script.closes.try_recv().is_err(), "one connection");
}

#[tokio::test(start_paused = true)]
async fn the_same_answer_again_wakes_nobody() {
    let (mut test, _close, stream) = Test::serving().await;
    for (answer, state) in [(SERVING, Ready), (NOT_SERVING, TransientFailure)] {
        stream.send(message(answer)).unwrap();
        assert_eq!(test.settle().await.state, state);
    }
    assert_eq!(test.report().await.state, TransientFailure);
    for _ in 0..10 {
        stream.send(message(NOT_SERVING)).unwrap();
    }
    test.settle().await;
    let next = timeout(LONG, poll_fn(|cx| test.subchannel.poll_report(cx)));
    assert!(next.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_service_is_healthy_and_asked_once_per_connection() {
    let (mut test, close) = Test::asked().await;
    test.call().await.fail(Code::Unimplemented);
    test.reach(Ready).await;
    for service in [Some("another"), None, Some("UserService")] {
        test.check(service);
        assert!(test.is_never_called().await);
        assert_eq!(test.subchannel.report().state, Ready);
    }
    drop(close);
    test.reach(Idle).await;
    let _close = test.connect().await;
    let stream = test.call().await.open();
    stream.send(message(SERVING)).unwrap();
    test.reach(Ready).await;
}

#[tokio::test(start_paused = true)]
async fn unimplemented_in_trailers_counts_as_well() {
    let (mut test, _close) = Test::asked().await;
    let stream = test.call().await.open();
    stream.send(trailers(Code::Unimplemented)).unwrap();
    test.reach(Ready).await;
    assert!(test.is_never_called().await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_is_opened_again_at_once_if_an_answer_came_and_else_with_backoff() {
    let (mut test, _close) = Test::asked().await;
    let mut last = test.call().await;
    for (answered, code, seconds) in [
        (false, Code::Unavailable, 1.0),
        (false, Code::Ok, 1.6),
        (true, Code::Internal, 0.0),
        (true, Code::Ok, 0.0),
        (false, Code::Internal, 1.0),
    ] {
        let at = last.at;
        let stream = last.open();
        if answered {
            stream.send(message(SERVING)).unwrap();
            test.reach(Ready).await;
        }
        stream.send(trailers(code)).unwrap();
        if seconds > 0.0 {
            let report = test.reach(TransientFailure).await;
            assert!(matches!(
                reason(&report),
                NotHealthyReason::Ended { code: ended, .. } if ended == code
            ));
        }
        last = test.call().await;
        let report = test.settle().await;
        assert_eq!(report.state, Connecting, "while the next attempt runs");
        assert!(report.error.is_some(), "why the last one ended");
        let delay = (last.at - at).as_secs_f64();
        // tokio's timers have a resolution of 1 ms, and settling takes one.
        let (least, most) = (seconds * 0.8, seconds * 1.2 + 0.010);
        assert!((least..=most).contains(&delay), "{code:?}: {delay}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_with_its_connection_and_is_opened_on_the_next() {
    let (mut test, close, stream) = Test::serving().await;
    // GOAWAY: the connection takes no new calls.
    drop(close);
    stream.closed().await;
    test.reach(Idle).await;

    let close = test.connect().await;
    let call = test.call().await;
    test.subchannel.disconnect();
    call.given_up().await;
    test.reach(Idle).await;
    drop(close);

    let _close = test.connect().await;
    let stream = test.call().await.open();
    let Test { subchannel, .. } = test;
    drop(subchannel);
    stream.closed().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_unless_it_is_wanted() {
    let mut test = Test::new(SubchannelConfig::default());
    test.check(Some("a"));
    assert!(test.is_never_called().await, "IDLE");
    test.check(None);
    let _close = test.connect().await;
    test.reach(Ready).await;
    assert!(test.is_never_called().await, "not wanted");

    let mut test = Test::new(SubchannelConfig {
        health_checks: false,
        ..SubchannelConfig::default()
    });
    test.check(Some("a"));
    let _close = test.connect().await;
    test.reach(Ready).await;
    assert!(test.is_never_called().await, "switched off");
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_stays_ready_until_the_first_answer() {
    let mut test = Test::new(SubchannelConfig::default());
    let _close = test.connect().await;
    test.reach(Ready).await;
    test.check(Some(""));
    let call = test.call().await;
    assert_eq!(service(&call), "", "the server as a whole");
    assert_eq!(test.settle().await.state, Ready);
    let stream = call.open();
    stream.send(message(NOT_SERVING)).unwrap();
    test.reach(TransientFailure).await;
}

#[tokio::test(start_paused = true)]
async fn another_service_is_another_stream_and_none_is_ready_at_once() {
    let (mut test, _close, first) = Test::serving().await;
    first.send(message(NOT_SERVING)).unwrap();
    test.reach(TransientFailure).await;
    test.check(Some("AdminService"));
    let call = test.call().await;
    assert_eq!(service(&call), "AdminService");
    first.closed().await;
    let report = test.settle().await;
    assert_eq!(report.state, TransientFailure, "until it has answered");
    let second = call.open();
    second.send(message(SERVING)).unwrap();
    test.reach(Ready).await;

    second.send(message(NOT_SERVING)).unwrap();
    test.reach(TransientFailure).await;
    test.check(None);
    second.closed().await;
    let report = test.reach(Ready).await;
    assert!(report.connected && report.error.is_none());
    assert!(test.script.closes.try_recv().is_err(), "one connection");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_the_place_of_another_keeps_its_state_until_the_first_answer() {
    for (first, second) in [
        ((SERVING, Ready), (NOT_SERVING, TransientFailure)),
        ((NOT_SERVING, TransientFailure), (SERVING, Ready)),
    ] {
        let mut test = Test::with_streams(1, SubchannelConfig::default());
        test.subchannel.allow_connections(2);
        test.check(Some("UserService"));
        let close = test.connect().await;
        let stream = test.call().await.open();
        stream.send(message(SERVING)).unwrap();
        test.reach(Ready).await;
        // One of them finds no stream.
        let _calls = [(); 2].map(|()| test.subchannel.admit(Admit::Normally).unwrap());
        let _close = test.script.closes.recv().await.unwrap();
        stream.send(message(first.0)).unwrap();
        assert_eq!(test.settle().await.state, first.1);

        drop(close);
        let call = test.call().await;
        stream.closed().await;
        assert_eq!(test.settle().await.state, first.1);
        let stream = call.open();
        stream.send(message(second.0)).unwrap();
        assert_eq!(test.settle().await.state, second.1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_is_no_health() {
    let (mut test, _close, stream) = Test::serving().await;
    stream.send(message(&[8])).unwrap();
    let report = test.reach(TransientFailure).await;
    assert_eq!(reason(&report), NotHealthyReason::Unreadable);
    stream.send(message(SERVING)).unwrap();
    test.reach(Ready).await;
    stream
        .send(Ok(http_body::Frame::data(Bytes::from_static(b"none"))))
        .unwrap();
    drop(stream);
    let stream = test.call().await.open();
    stream.send(message(SERVING)).unwrap();
    test.reach(Ready).await;
}

#[tokio::test(start_paused = true)]
async fn answers_without_end_keep_nobody_from_being_heard() {
    let (test, _close, stream) = Test::serving().await;
    let flood = async {
        while stream.send(message(SERVING)).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    for answer in [SERVING, NOT_SERVING].iter().cycle().take(10_000) {
        stream.send(message(answer)).unwrap();
    }
    test.check(None);
    timeout(Duration::from_secs(1), flood).await.unwrap();
    assert_eq!(test.subchannel.report().state, Ready);
}

#[test]
fn the_request_has_the_name_of_the_service() {
    let request = |service: &str| Request {
        service: service.to_owned(),
    };
    assert_eq!(request("a.B").encode_to_vec(), *b"\x0a\x03a.B");
    assert!(request("").encode_to_vec().is_empty());
}

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tonic::{Code, Status};

use super::*;
use crate::Outcome;

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Outcome>>>);

impl Ticket for Log {
    fn settle(self, outcome: Outcome) {
        self.0.lock().push(outcome);
    }
}

fn trailers(status: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        "grpc-status".parse().unwrap(),
        HeaderValue::from_static(status),
    )])
}

type Frames = Vec<Result<Frame<Bytes>, Status>>;

/// Runs one attempt answered with `frames`, reading `read` of them.
fn outcomes(head: Response<()>, frames: Frames, read: usize) -> Vec<Outcome> {
    let log = Log::default();
    let response = head.map(|()| StreamBody::new(stream::iter(frames)));
    let future = ObservedFuture::new(async { Ok::<_, Infallible>(response) }, log.clone());
    let mut body = future.now_or_never().unwrap().unwrap().into_body();
    for _ in 0..read {
        drop(body.frame().now_or_never().unwrap());
    }
    drop(body);
    log.0.lock().clone()
}

fn data() -> Result<Frame<Bytes>, Status> {
    Ok(Frame::data(Bytes::from_static(b"x")))
}

#[test]
fn the_trailers_decide() {
    let ok = vec![data(), Ok(Frame::trailers(trailers("0")))];
    assert_eq!(outcomes(Response::new(()), ok, 3), [Outcome::Success]);
    let failed = vec![data(), Ok(Frame::trailers(trailers("14")))];
    assert_eq!(
        outcomes(Response::new(()), failed, 3),
        [Outcome::Failure(Code::Unavailable)]
    );
}

#[test]
fn trailers_only_is_settled_at_the_head() {
    let mut head = Response::new(());
    *head.headers_mut() = trailers("8");
    assert_eq!(
        outcomes(head, vec![], 0),
        [Outcome::Failure(Code::ResourceExhausted)]
    );
}

/// Notes what failures said.
struct Told(Arc<Mutex<Vec<String>>>);

impl Ticket for Told {
    fn settle(self, outcome: Outcome) {
        self.0.lock().push(format!("{outcome:?}"));
    }

    fn fail(self, outcome: Outcome, message: &str) {
        self.0.lock().push(format!("{outcome:?}: {message}"));
    }
}

#[test]
fn whoever_settles_is_told_what_a_failure_said_wherever_it_shows() {
    let told = |status, message| {
        let mut trailers = trailers(status);
        trailers.insert("grpc-message", HeaderValue::from_static(message));
        trailers
    };
    let mut refused = Response::new(());
    *refused.headers_mut() = told("8", "too%20much");
    let ended = |trailers| {
        (
            Response::new(()),
            vec![data(), Ok(Frame::trailers(trailers))],
        )
    };
    let cases = [
        ((refused, vec![]), "Failure(ResourceExhausted): too much"),
        (ended(told("13", "bug")), "Failure(Internal): bug"),
        (ended(trailers("13")), "Failure(Internal): "),
        (ended(told("0", "fine")), "Success"),
        (
            (Response::new(()), vec![Err(Status::unavailable("cut"))]),
            "Failure(Unavailable): cut",
        ),
        ((Response::new(()), vec![data()]), "Failure(Unknown)"),
    ];
    for ((head, frames), expected) in cases {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let mut guard = Guard::new(Told(log.clone()));
        let response = head.map(|()| StreamBody::new(stream::iter(frames)));
        let mut body = guard.watch(response).into_body();
        while body.frame().now_or_never().unwrap().is_some() {}
        assert_eq!(*log.lock(), [expected]);
    }
}

/// Notes what the response ended with.
struct Last(Arc<Mutex<Vec<HeaderMap>>>);

impl Ticket for Last {
    fn ends_with(&mut self, trailers: &HeaderMap) {
        self.0.lock().push(trailers.clone());
    }

    fn settle(self, _: Outcome) {}
}

#[test]
fn a_ticket_reads_trailers_and_the_head_of_a_trailers_only_response_once() {
    let frames = || stream::iter(vec![data(), Ok(Frame::trailers(trailers("0")))]);
    let log = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let mut guard = Guard::new(Last(log.clone()));
    let mut body = guard
        .watch(Response::new(StreamBody::new(frames())))
        .into_body();
    while let Some(Some(_)) = body.frame().now_or_never() {}
    assert_eq!(*log.lock(), [trailers("0")]);

    let mut head = Response::new(StreamBody::new(frames()));
    *head.headers_mut() = trailers("8");
    drop(Guard::new(Last(log.clone())).watch(head));
    assert_eq!(*log.lock(), [trailers("0"), trailers("8")]);
}

#[test]
fn an_http_status_that_is_not_grpc_is_mapped() {
    let head = Response::builder().status(503).body(()).unwrap();
    assert_eq!(
        outcomes(head, vec![data()], 2),
        [Outcome::Failure(Code::Unavailable)]
    );
}

#[test]
fn missing_or_unreadable_status_is_unknown() {
    assert_eq!(
        outcomes(Response::new(()), vec![data()], 2),
        [Outcome::Failure(Code::Unknown)]
    );
    let bad = vec![Ok(Frame::trailers(trailers("what")))];
    assert_eq!(
        outcomes(Response::new(()), bad, 1),
        [Outcome::Failure(Code::Unknown)]
    );
}

#[test]
fn a_body_that_is_cut_has_the_code_of_its_error() {
    let cut = vec![data(), Err(Status::unavailable("connection lost"))];
    assert_eq!(
        outcomes(Response::new(()), cut, 2),
        [Outcome::Failure(Code::Unavailable)]
    );
}

#[test]
fn dropping_body_or_future_abandons() {
    assert_eq!(
        outcomes(Response::new(()), vec![data()], 1),
        [Outcome::Abandoned]
    );
    let log = Log::default();
    let pending = std::future::pending::<Result<Response<String>, Status>>();
    drop(ObservedFuture::new(pending, log.clone()));
    assert_eq!(*log.0.lock(), [Outcome::Abandoned]);
}

#[test]
fn a_failed_attempt_has_the_code_of_its_error() {
    let log = Log::default();
    let failed = async { Err::<Response<String>, _>(Status::unavailable("refused")) };
    let error = ObservedFuture::new(failed, log.clone())
        .now_or_never()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(*log.0.lock(), [Outcome::Failure(Code::Unavailable)]);
}

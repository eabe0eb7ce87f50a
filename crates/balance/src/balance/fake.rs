//! Endpoints without a network: their states and answers are the test's.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{AttemptError, BreakerOpen};
use evenkeel_core::{
    Address, Admit, BoxError, Connectivity, ConnectivityState, Endpoint, EndpointStats, LoadStream,
    Metadata, Outcome, Report,
};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{UnboundedReceiverStream, WatchStream};
use tonic::{Code, Status};
use tower::discover::Change;
use tower_service::Service;

use crate::subchannel::LeftBehind;

pub(super) type RequestBody = Full<Bytes>;
pub(super) type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>;
type ResponseBody = StreamBody<UnboundedReceiverStream<Result<Frame<Bytes>, Status>>>;

/// How a fake endpoint answers one request; without a script it answers OK.
#[derive(Debug)]
pub(super) enum Answer {
    Ok,
    TrailersOnly(Code),
    /// Nothing but these headers.
    Head(HeaderMap),
    /// Lost after it was sent.
    Lost,
    /// Given back: it never left.
    Unsent,
    /// Headers now, the rest when the test says so.
    Stream,
    Hang,
}

#[derive(Clone)]
pub(super) struct FakeEndpoint {
    pub(super) shared: Arc<Fake>,
    reports: Option<Arc<Mutex<WatchStream<Report>>>>,
}

pub(super) struct Fake {
    pub(super) report: watch::Sender<Report>,
    script: Mutex<VecDeque<Answer>>,
    pub(super) streams: Mutex<Vec<Frames>>,
    pub(super) waiting: Mutex<Option<Waker>>,
    pub(super) admitted: Mutex<Vec<Admit>>,
    pub(super) settled: Mutex<Vec<(Outcome, String)>>,
    /// How often it was to report its load, and where to.
    pub(super) load_streams: Mutex<Vec<(Option<Duration>, Arc<EndpointStats>)>>,
    /// The services whose health it was asked for.
    pub(super) health_services: Mutex<Vec<Option<Arc<str>>>>,
    /// How many connections it was allowed.
    pub(super) connections: Mutex<Vec<u32>>,
    pub(super) calls: AtomicUsize,
    pub(super) connects: AtomicUsize,
    pub(super) disconnects: AtomicUsize,
    pub(super) unready: AtomicBool,
    /// It admits nothing, though it is READY.
    pub(super) refuses: AtomicBool,
    /// It admits nothing, as a breaker that sheds, which will say nothing new.
    pub(super) sheds: AtomicBool,
    /// How often it has.
    pub(super) shed: AtomicUsize,
    /// Its layers fail before they are ready.
    pub(super) broken: AtomicBool,
    /// Calls wait at it for ever.
    pub(super) stuck: AtomicBool,
    /// It has lost its connection while calls waited for a stream.
    pub(super) lost: AtomicBool,
}

impl FakeEndpoint {
    pub(super) fn new(address: &str, state: ConnectivityState) -> Self {
        let endpoint = Arc::new(Endpoint::new(address.parse::<Address>().unwrap()));
        let mut report = Report::new(endpoint, state);
        report.failing = state == ConnectivityState::TransientFailure;
        let shared = Fake {
            report: watch::Sender::new(report),
            script: Mutex::default(),
            streams: Mutex::default(),
            waiting: Mutex::default(),
            admitted: Mutex::default(),
            settled: Mutex::default(),
            load_streams: Mutex::default(),
            health_services: Mutex::default(),
            connections: Mutex::default(),
            calls: AtomicUsize::new(0),
            connects: AtomicUsize::new(0),
            disconnects: AtomicUsize::new(0),
            unready: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            sheds: AtomicBool::new(false),
            shed: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            reports: None,
        }
    }

    pub(super) fn ready(address: &str) -> Self {
        Self::new(address, ConnectivityState::Ready)
    }

    pub(super) fn set(&self, state: ConnectivityState, error: Option<&str>) {
        self.shared.report.send_modify(|report| {
            report.state = state;
            report.connected = state == ConnectivityState::Ready;
            report.failing = match state {
                ConnectivityState::TransientFailure => true,
                ConnectivityState::Connecting => report.failing,
                _ => false,
            };
            report.error = error.map(|error| BoxError::from(error).into());
        });
    }

    /// Connected, with a layer around it that wants no calls.
    pub(super) fn hold_back(&self) {
        self.shared.report.send_modify(|report| {
            report.state = ConnectivityState::TransientFailure;
            report.held_back = true;
        });
    }

    pub(super) fn set_metadata(&self, metadata: Metadata) {
        self.shared.report.send_modify(|report| {
            let endpoint = Endpoint::clone(&report.endpoint).with_metadata(metadata);
            report.endpoint = Arc::new(endpoint);
        });
    }

    pub(super) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.script.lock().extend(answers);
    }

    pub(super) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }
}

impl Connectivity for FakeEndpoint {
    type Sender = Self;
    type Admission = ();

    fn admit(&self, admit: Admit) -> Result<(Self, ()), BoxError> {
        self.shared.admitted.lock().push(admit);
        if self.shared.refuses.load(Ordering::Relaxed) {
            return Err("not now".into());
        }
        if self.shared.sheds.load(Ordering::Relaxed) {
            self.shared.shed.fetch_add(1, Ordering::Relaxed);
            let refusal = BreakerOpen::new("a".into(), Duration::ZERO, "UNAVAILABLE".into());
            return Err(refusal.shedding(0.9).into());
        }
        Ok((self.clone(), ()))
    }

    fn settle(&self, (): (), outcome: Outcome, message: &str) {
        self.shared
            .settled
            .lock()
            .push((outcome, message.to_owned()));
    }

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        let subscribe = || Arc::new(Mutex::new(WatchStream::new(self.shared.report.subscribe())));
        let reports = self.reports.get_or_insert_with(subscribe);
        Pin::new(&mut *reports.lock()).poll_next(cx)
    }

    fn connect(&self) {
        self.shared.connects.fetch_add(1, Ordering::Relaxed);
    }

    fn disconnect(&self) {
        self.shared.disconnects.fetch_add(1, Ordering::Relaxed);
    }

    fn reset_backoff(&self) {}

    fn stream_load(&self, wanted: Option<&LoadStream>, stats: &Arc<EndpointStats>) {
        let told = (wanted.map(|stream| stream.interval), stats.clone());
        self.shared.load_streams.lock().push(told);
    }

    fn check_health(&self, service: Option<&Arc<str>>) {
        self.shared.health_services.lock().push(service.cloned());
    }

    fn allow_connections(&self, most: u32) {
        self.shared.connections.lock().push(most);
    }
}

impl Service<Request<RequestBody>> for FakeEndpoint {
    type Response = Response<ResponseBody>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Self::Response, Status>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.shared.broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(Status::internal("the buffer's worker is gone")));
        }
        if self.shared.lost.load(Ordering::Relaxed) {
            let mut status = Status::unavailable(LeftBehind.to_string());
            status.set_source(Arc::new(LeftBehind));
            return Poll::Ready(Err(status));
        }
        if self.shared.stuck.load(Ordering::Relaxed) {
            *self.shared.waiting.lock() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.shared.unready.swap(false, Ordering::Relaxed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.shared.script.lock().pop_front().unwrap_or(Answer::Ok);
        let shared = self.shared.clone();
        async move {
            let (frames, body) = mpsc::unbounded_channel();
            let mut response = Response::new(StreamBody::new(UnboundedReceiverStream::new(body)));
            match answer {
                Answer::Ok => {
                    frames.send(Ok(Frame::data(Bytes::from_static(b"x")))).ok();
                    frames.send(Ok(Frame::trailers(status(Code::Ok)))).ok();
                }
                Answer::TrailersOnly(code) => *response.headers_mut() = status(code),
                Answer::Head(headers) => *response.headers_mut() = headers,
                Answer::Lost => return Err(Status::unavailable("connection reset")),
                Answer::Unsent => {
                    let error = AttemptError::unsent(request, "connection closed");
                    return Err(error.into_status(Code::Unavailable));
                }
                Answer::Stream => shared.streams.lock().push(frames),
                Answer::Hang => std::future::pending().await,
            }
            Ok(response)
        }
        .boxed()
    }
}

pub(super) fn status(code: Code) -> HeaderMap {
    let value = HeaderValue::from(code as i32);
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), value)])
}

pub(super) type Changes =
    mpsc::UnboundedSender<Result<Change<&'static str, FakeEndpoint>, BoxError>>;
pub(super) type FakeDiscover =
    UnboundedReceiverStream<Result<Change<&'static str, FakeEndpoint>, BoxError>>;

pub(super) fn discover() -> (Changes, FakeDiscover) {
    let (changes, stream) = mpsc::unbounded_channel();
    (changes, UnboundedReceiverStream::new(stream))
}

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_testkit::eventually;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower_service::Service;

/// Servers in memory that speak HTTP/2, and the connections to them.
#[derive(Clone)]
pub(super) struct Network {
    servers: Arc<[Arc<Server>]>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

/// Answers each call with an empty message, when its time is over.
pub(super) struct Server {
    latency: fn(u64) -> Duration,
    hangs: AtomicBool,
    begun: AtomicU64,
    running: AtomicU64,
}

impl Network {
    /// The n-th call of a server takes `latency` of n.
    pub(super) fn new(servers: usize, latency: fn(u64) -> Duration) -> Self {
        let server = |_| {
            Arc::new(Server {
                latency,
                hangs: AtomicBool::new(false),
                begun: AtomicU64::new(0),
                running: AtomicU64::new(0),
            })
        };
        Self {
            servers: (0..servers).map(server).collect(),
            tasks: Arc::default(),
        }
    }

    /// Where a server is.
    pub(super) fn address(server: usize) -> String {
        format!("10.0.0.1:{}", 1 + server)
    }

    pub(super) fn server(&self, at: usize) -> &Server {
        &self.servers[at]
    }
}

impl Service<Uri> for Network {
    type Response = TokioIo<DuplexStream>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let at = usize::from(uri.port_u16().unwrap()) - 1;
        let (ours, theirs) = duplex(64 << 10);
        self.tasks
            .lock()
            .spawn(serve(self.servers[at].clone(), theirs));
        std::future::ready(Ok(TokioIo::new(ours)))
    }
}

async fn serve(server: Arc<Server>, io: DuplexStream) {
    let mut connection = h2::server::handshake(io).await.unwrap();
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(server.clone().answer(request, respond));
    }
}

impl Server {
    pub(super) fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }

    /// Calls that have come to it.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits until it has no calls any more.
    pub(super) async fn is_left_alone(&self) {
        let is_idle = || self.running.load(Ordering::Relaxed) == 0;
        eventually("the end of its calls", is_idle).await;
    }

    async fn answer(
        self: Arc<Self>,
        _request: Request<h2::RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        let call = self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        let time = async {
            match self.hangs.load(Ordering::Relaxed) {
                true => std::future::pending().await,
                false => sleep((self.latency)(call)).await,
            }
        };
        tokio::select! {
            biased;
            _ = poll_fn(|cx| respond.poll_reset(cx)) => {}
            () = time => answer(&mut respond),
        }
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answer(respond: &mut SendResponse<Bytes>) {
    let grpc = HeaderValue::from_static("application/grpc");
    let head = Response::builder()
        .header("content-type", grpc)
        .body(())
        .unwrap();
    let mut body = respond.send_response(head, false).unwrap();
    let empty_message = Bytes::from_static(&[0; 5]);
    body.send_data(empty_message, false).unwrap();
    let ok = (
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    );
    body.send_trailers(HeaderMap::from_iter([ok])).unwrap();
}

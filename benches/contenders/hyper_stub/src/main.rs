//! hyper under tonic's stub, round robin.

use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use evenkeel_bench_harness::{Options, framing};
use evenkeel_bench_stub::Stub;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::body::Body;
use tower_service::Service;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let mut drivers = JoinSet::new();
        let mut connections = Vec::new();
        for address in &options.endpoints {
            connections.push(connect(*address, &options, &mut drivers).await);
        }
        let channel = Channel {
            connections,
            next: Arc::new(AtomicUsize::new(0)),
            picked: 0,
        };
        move || {
            // The connections end with the drivers, which this holds.
            let _ = &drivers;
            Stub::new(channel.clone(), options.shape)
        }
    })
}

async fn connect(address: SocketAddr, options: &Options, drivers: &mut JoinSet<()>) -> Connection {
    let socket = TcpStream::connect(address).await.expect("a server listens");
    socket.set_nodelay(true).expect("TCP has this option");
    let (send, connection) = Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(socket))
        .await
        .expect("the server speaks HTTP/2");
    drivers.spawn(async move { connection.await.expect("the server stays") });
    let uri = format!("http://{address}{}", framing::path(options.shape));
    Connection {
        send,
        uri: uri.parse().expect("an address makes a URI"),
    }
}

#[derive(Clone)]
struct Connection {
    send: SendRequest<Body>,
    /// Ready to be cloned, path included.
    uri: Uri,
}

#[derive(Clone)]
struct Channel {
    connections: Vec<Connection>,
    next: Arc<AtomicUsize>,
    /// The one that is ready.
    picked: usize,
}

type ResponseFuture = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.picked = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        self.connections[self.picked].send.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> ResponseFuture {
        let Connection { send, uri } = &mut self.connections[self.picked];
        *request.uri_mut() = uri.clone();
        let user_agent = HeaderValue::from_static("by-hand/1");
        request.headers_mut().insert(header::USER_AGENT, user_agent);
        Box::pin(send.send_request(request))
    }
}

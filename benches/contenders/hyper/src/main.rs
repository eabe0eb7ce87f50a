//! Raw hyper, round robin, with frames made by hand.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use evenkeel_bench_harness::{Caller, Options, framing};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

fn main() -> ExitCode {
    evenkeel_bench_harness::run(async |options: Options| {
        let mut drivers = JoinSet::new();
        let mut connections = Vec::new();
        for address in &options.endpoints {
            connections.push(connect(*address, &options, &mut drivers).await);
        }
        let next = Arc::new(AtomicUsize::new(0));
        move || {
            // The connections end with the drivers, which this holds.
            let _ = &drivers;
            Client {
                connections: connections.clone(),
                next: next.clone(),
                message: framing::request(options.shape),
                least: framing::least_answer(options.shape),
            }
        }
    })
}

async fn connect(address: SocketAddr, options: &Options, drivers: &mut JoinSet<()>) -> Connection {
    let socket = TcpStream::connect(address).await.expect("a server listens");
    socket.set_nodelay(true).expect("TCP has this option");
    // Its windows are 2 MiB for a stream and 5 MiB for a connection, as they come.
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
    send: SendRequest<Full<Bytes>>,
    uri: Uri,
}

struct Client {
    connections: Vec<Connection>,
    next: Arc<AtomicUsize>,
    message: Bytes,
    least: usize,
}

impl Caller for Client {
    async fn call(&mut self) {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let Connection { send, uri } = &mut self.connections[place];
        send.ready().await.expect("the connection is open");
        let mut request = Request::new(Full::new(self.message.clone()));
        framing::head(&mut request, uri.clone());
        let response = send.send_request(request).await;
        let mut body = response.expect("the servers answer every call").into_body();
        let (mut received, mut trailers) = (0, None);
        while let Some(frame) = body.frame().await {
            match frame.expect("a whole body").into_data() {
                Ok(data) => received += data.len(),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        framing::check(received, self.least, trailers.as_ref());
    }
}

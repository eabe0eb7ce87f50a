//! Raw `h2`, round robin, with frames made by hand: what HTTP/2 alone costs.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use evenkeel_bench_harness::{Caller, Options, framing};
use h2::client::SendRequest;
use http::{Request, Uri};
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
    // With windows as hyper has them: at the default ones, h2 takes many small answers for an
    // attack and closes the connection.
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(2 << 20)
        .initial_connection_window_size(5 << 20)
        .enable_push(false)
        .handshake(socket)
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
    send: SendRequest<Bytes>,
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
        poll_fn(|cx| send.poll_ready(cx))
            .await
            .expect("the connection is open");
        let mut request = Request::new(());
        framing::head(&mut request, uri.clone());
        let (response, mut stream) = send
            .send_request(request, false)
            .expect("the connection is open");
        stream
            .send_data(self.message.clone(), true)
            .expect("the stream is open");
        let response = response.await.expect("the servers answer every call");
        let mut body = response.into_body();
        let mut received = 0;
        while let Some(data) = body.data().await {
            let length = data.expect("a whole body").len();
            received += length;
            body.flow_control()
                .release_capacity(length)
                .expect("no more than was received");
        }
        let trailers = body.trailers().await.expect("a whole answer");
        framing::check(received, self.least, trailers.as_ref());
    }
}

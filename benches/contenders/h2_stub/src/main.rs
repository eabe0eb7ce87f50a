//! `h2` under tonic's stub, round robin: the floor of what a user of tonic's stubs can have.

mod channel;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use evenkeel_bench_harness::{Options, framing};
use evenkeel_bench_stub::Stub;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use channel::{Channel, Connection};

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

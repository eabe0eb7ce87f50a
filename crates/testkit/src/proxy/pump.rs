use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::{Fault, Orders};

/// Passes data between `client` and `upstream` until both have said all, one is gone, or the
/// sender of `cut` is dropped. Only the first of these is a graceful end.
pub(super) async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    orders: watch::Receiver<Orders>,
    mut cut: watch::Receiver<()>,
) {
    let graceful = tokio::select! {
        biased;
        _ = cut.changed() => false,
        ended = pass(&mut client, upstream, orders) => ended.is_ok(),
    };
    if !graceful {
        // Closing resets. An error means that the other side has done so.
        let _ = client.set_zero_linger();
    }
}

async fn pass(
    client: &mut TcpStream,
    upstream: SocketAddr,
    orders: watch::Receiver<Orders>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        one_way(from_client, to_server, orders.clone()),
        one_way(from_server, to_client, orders),
    )?;
    Ok(())
}

async fn one_way(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut orders: watch::Receiver<Orders>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let paused = |orders: &Orders| orders.fault == Fault::Pause;
        orders
            .wait_for(|orders| !paused(orders))
            .await
            .map_err(gone)?;
        let read = tokio::select! {
            biased;
            pause = orders.wait_for(paused) => {
                pause.map_err(gone)?;
                continue;
            }
            read = from.read(&mut buffer) => read?,
        };
        if read == 0 {
            return to.shutdown().await;
        }
        let latency = orders.borrow().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

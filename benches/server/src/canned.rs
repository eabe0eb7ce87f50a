//! Answers every call with prepared frames, in 1 to 2 µs, so that the client is the bottleneck.
//!
//! It speaks HTTP/2 as far as clients see: SETTINGS, PING and both sides' flow control. It never
//! decodes a request's headers, since it knows what is asked; its own go through the client's
//! header table as those of real servers do.

mod connection;
mod frame;
mod frames;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use connection::Connection;
pub use frames::Frames;

const READ_BUFFER: usize = 64 << 10;

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, frames: Arc<Frames>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.expect("a listening socket accepts");
        while connections.try_join_next().is_some() {}
        connections.spawn(speak(socket, frames.clone()));
    }
}

/// Ends with the connection, whoever closes it.
async fn speak(mut socket: TcpStream, frames: Arc<Frames>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut connection = Connection::new(frames);
    let mut input = Vec::with_capacity(READ_BUFFER);
    let mut output = Vec::new();
    loop {
        // What is left is less than a frame, and a frame is less than the buffer.
        if socket.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let received = connection.receive(&input, &mut output);
        if let Ok(consumed) = received {
            input.drain(..consumed);
        }
        loop {
            let more = connection.answer(&mut output);
            socket.write_all(&output).await?;
            output.clear();
            if !more {
                break;
            }
        }
        if let Err(violation) = received {
            eprintln!("a client broke HTTP/2: {violation}");
            return socket.shutdown().await;
        }
    }
}

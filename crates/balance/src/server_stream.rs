//! A server-streaming call of our own on one connection, kept open for as long as the connection lives.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes};
use evenkeel_policy::backoff::BackoffConfig;
use evenkeel_policy::watch_stream::{Machine, Step};
use evenkeel_transport::Connection;
use http::uri::PathAndQuery;
use tokio::task::coop::consume_budget;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status, Streaming};

use crate::Connected;

/// What comes of such a call.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The stream is being opened, for the first time or again.
    Opening,
    /// An encoded message.
    Message(Bytes),
    /// The stream has ended, or could not be opened, and will be opened again.
    Ended(Status),
    /// The server does not know the method: it is not asked again.
    Unimplemented(Status),
}

/// Calls `method` with one encoded message, and calls it again as [`Machine`] says. Ends after
/// [`Heard::Unimplemented`]; dropping it before resets the stream.
pub(crate) async fn keep_open<H: Connection>(
    connection: Arc<H>,
    method: PathAndQuery,
    request: Bytes,
    mut hear: impl FnMut(Heard),
) {
    let mut machine = Machine::new(BackoffConfig::default());
    loop {
        match machine.step() {
            Step::Call => {
                hear(Heard::Opening);
                let opened = open(Connected::over(connection.clone()), &method, &request).await;
                let status = match opened {
                    Ok(stream) => {
                        let heard = |message| {
                            machine.received();
                            hear(Heard::Message(message));
                        };
                        read(stream, heard).await
                    }
                    Err(status) => status,
                };
                machine.ended(now(), status.code(), fastrand::f64());
                match machine.step() {
                    Step::GiveUp => hear(Heard::Unimplemented(status)),
                    _ => hear(Heard::Ended(status)),
                }
                // It may have ended at once, and begin again at once.
                consume_budget().await;
            }
            Step::Wait { until } => {
                tokio::time::sleep_until(until.into()).await;
                machine.waited(now());
            }
            Step::GiveUp => return,
        }
    }
}

async fn open<H: Connection>(
    connection: Connected<H>,
    method: &PathAndQuery,
    request: &Bytes,
) -> Result<Streaming<Bytes>, Status> {
    let mut call = Grpc::new(connection).max_decoding_message_size(LONGEST_MESSAGE);
    let request = Request::new(request.clone());
    let response = call.server_streaming(request, method.clone(), Encoded);
    Ok(response.await?.into_inner())
}

/// What a server can make us keep in memory per connection; load reports and health are some
/// hundred bytes.
const LONGEST_MESSAGE: usize = 1 << 20;

/// The status at the end of the stream.
async fn read(mut stream: Streaming<Bytes>, mut take: impl FnMut(Bytes)) -> Status {
    loop {
        match stream.message().await {
            Ok(Some(message)) => take(message),
            Ok(None) => return Status::ok(""),
            Err(status) => return status,
        }
        // Other tasks get their turn, however much the server says.
        consume_budget().await;
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Messages that were encoded before, and are decoded later.
#[derive(Debug)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Small ones: they are kept for as long as the stream is open, for every connection.
fn buffers() -> BufferSettings {
    BufferSettings::new(512, 32 * 1024)
}

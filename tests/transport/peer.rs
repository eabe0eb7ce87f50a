//! A server that speaks HTTP/2 frame by frame, as a test dictates.

use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel_testkit::within;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;

/// A port of 127.0.0.1 that is listened on.
pub(crate) struct Peer {
    listener: TcpListener,
}

/// One connection, past the preface.
pub(crate) struct Wire<IO = TcpStream> {
    io: IO,
    /// What the client's connection window had room for when its frames were read last.
    room: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Bytes,
}

impl Frame {
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The error code of a RST_STREAM.
    pub(crate) fn code(&self) -> u32 {
        assert_eq!(self.kind, RST_STREAM);
        u32::from_be_bytes(self.payload[..].try_into().unwrap())
    }
}

impl Peer {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// A connection that has not said anything.
    pub(crate) async fn accept_silently(&self) -> TcpStream {
        let (stream, _) = within("a connection", self.listener.accept())
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) async fn accept(&self) -> Wire {
        self.accept_with(&[]).await
    }

    pub(crate) async fn accept_with(&self, settings: &[(u16, u32)]) -> Wire {
        Wire::begin(self.accept_silently().await, settings).await
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    /// Sends SETTINGS and reads the client's preface.
    pub(crate) async fn begin(io: IO, settings: &[(u16, u32)]) -> Self {
        let mut wire = Self { io, room: 65_535 };
        wire.settings(settings).await;
        let mut preface = [0; 24];
        let read = wire.io.read_exact(&mut preface);
        within("the preface", read).await.unwrap();
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        wire
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        within("a frame", self.read_patiently()).await
    }

    /// The same, however long it takes: for tests with a paused clock.
    pub(crate) async fn read_patiently(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let [l0, l1, l2, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(id);
        if (kind, stream) == (WINDOW_UPDATE, 0) {
            self.room += u32::from_be_bytes(payload[..].try_into().unwrap()) as usize;
        }
        Some(Frame {
            kind,
            flags,
            stream,
            payload: payload.into(),
        })
    }

    /// The next frame of this kind; those before it are skipped, SETTINGS acknowledged.
    pub(crate) async fn next(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.read().await.expect("the connection is open");
            self.acknowledge(&frame).await;
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The stream id of the next request, when it has come in full.
    pub(crate) async fn request(&mut self) -> u32 {
        self.requests(1).await[0]
    }

    /// The stream ids of the next requests, when they have come in full.
    pub(crate) async fn requests(&mut self, count: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let frame = self.read().await.expect("the connection is open");
            self.acknowledge(&frame).await;
            if frame.ends_stream() {
                ids.push(frame.stream);
            }
        }
        ids
    }

    async fn acknowledge(&mut self, frame: &Frame) {
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            self.write(SETTINGS, ACK, 0, &[]).await;
        }
    }

    /// Everything until the client closes the connection.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.read().await {
            frames.push(frame);
        }
        frames
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let frame = frame(kind, flags, stream, payload);
        within("room for a frame", self.io.write_all(&frame))
            .await
            .unwrap();
    }

    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) {
        within("room for frames", self.io.write_all(bytes))
            .await
            .unwrap();
    }

    pub(crate) async fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.write(SETTINGS, 0, 0, &payload).await;
    }

    /// `:status: 200` of a gRPC response.
    pub(crate) async fn head(&mut self, stream: u32) {
        self.write(HEADERS, END_HEADERS, stream, &head_block())
            .await;
    }

    /// One frame of a response, when there is room for it.
    pub(crate) async fn data(&mut self, stream: u32, payload: &[u8]) {
        while self.room < payload.len() {
            self.next(WINDOW_UPDATE).await;
        }
        self.room -= payload.len();
        self.write(DATA, 0, stream, payload).await;
    }

    /// `grpc-status: 0` and the end.
    pub(crate) async fn trailers(&mut self, stream: u32) {
        let block = literal("grpc-status", "0");
        self.write(HEADERS, END_HEADERS | END_STREAM, stream, &block)
            .await;
    }

    /// Head and trailers in one.
    pub(crate) async fn trailers_only(&mut self, stream: u32, trailers: &[(&str, &str)]) {
        let mut block = head_block();
        for (name, value) in trailers {
            block.extend(literal(name, value));
        }
        self.write(HEADERS, END_HEADERS | END_STREAM, stream, &block)
            .await;
    }

    /// A whole response without a message.
    pub(crate) async fn respond(&mut self, stream: u32) {
        self.trailers_only(stream, &[("grpc-status", "0")]).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.write(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last: u32, code: u32, debug: &str) {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend(code.to_be_bytes());
        payload.extend(debug.as_bytes());
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    /// Room for so many more bytes, of the stream and of the connection.
    pub(crate) async fn window(&mut self, stream: u32, bytes: u32) {
        for id in [0, stream] {
            self.write(WINDOW_UPDATE, 0, id, &bytes.to_be_bytes()).await;
        }
    }

    pub(crate) async fn answer_ping(&mut self, ping: &Frame) {
        assert_eq!(ping.kind, PING);
        self.write(PING, ACK, 0, &ping.payload).await;
    }
}

/// A frame as it goes over the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn head_block() -> Vec<u8> {
    // HPACK's static table has `:status: 200` at 8.
    let mut block = vec![0x88];
    block.extend(literal("content-type", "application/grpc"));
    block
}

/// HPACK: a literal header field without indexing, no Huffman coding.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127, "one byte of length");
        field.push(text.len() as u8);
        field.extend(text.as_bytes());
    }
    field
}

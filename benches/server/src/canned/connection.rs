#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::frame::{Frame, PREFACE, flag, kind, number};
use super::frames::{Frames, Table};

/// Bytes of requests that may be on the way: what hyper's servers give a stream and a connection.
const RECEIVE_WINDOW: u32 = 1 << 20;
/// The window of a connection, or a stream, before anyone has said otherwise.
const DEFAULT_WINDOW: u32 = 65_535;
const MAX_WINDOW: i64 = (1 << 31) - 1;
const MAX_STREAMS: u32 = 1_000;
/// What is written at once, so that a client that does not read costs no memory.
const OUTPUT: usize = 256 << 10;
const TABLE_SIZE: u32 = 4_096;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// The state of one connection; it neither reads nor writes itself.
#[derive(Debug)]
pub(super) struct Connection {
    frames: Arc<Frames>,
    greeted: bool,
    table: Table,
    /// The last stream that was opened.
    last: u32,
    /// The block of headers that goes on in the next frame, and whether its stream ends with it.
    unfinished: Option<(u32, bool)>,
    streams: HashMap<u32, Stream>,
    /// Whose answers can go on, as far as the streams are concerned.
    ready: VecDeque<u32>,
    window: i64,
    initial_window: i64,
    /// Bytes of DATA not given back to the client yet.
    received: u32,
}

#[derive(Debug)]
struct Stream {
    window: i64,
    received: u32,
    answer: Option<Answer>,
}

#[derive(Debug, Default)]
struct Answer {
    headers_sent: bool,
    /// Bytes of the body.
    sent: usize,
    /// DATA frames that are sent in full.
    frames: usize,
    /// Not in `ready`: its stream's window is used up.
    blocked: bool,
}

type Violation = &'static str;

impl Connection {
    pub(super) fn new(frames: Arc<Frames>) -> Self {
        Self {
            frames,
            greeted: false,
            table: Table::default(),
            last: 0,
            unfinished: None,
            streams: HashMap::new(),
            ready: VecDeque::new(),
            window: DEFAULT_WINDOW.into(),
            initial_window: DEFAULT_WINDOW.into(),
            received: 0,
        }
    }

    /// Takes in all whole frames, and says how many bytes these were. Replies to the connection
    /// go to `output`, also the last, when the client has broken the protocol.
    pub(super) fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<usize, Violation> {
        let mut consumed = 0;
        if !self.greeted {
            if input.len() < PREFACE.len() {
                return Ok(0);
            }
            if !input.starts_with(PREFACE) {
                return Err("no preface");
            }
            consumed = PREFACE.len();
            self.greeted = true;
            greet(output);
        }
        let received = loop {
            match Frame::first(&input[consumed..]) {
                Ok(None) => return Ok(consumed),
                Ok(Some(frame)) => {
                    consumed += frame.size();
                    if let Err(violation) = self.take(&frame, output) {
                        break violation;
                    }
                }
                Err(_) => break (FRAME_SIZE_ERROR, "a frame of more than 16 KiB"),
            }
        };
        let (code, violation) = received;
        let payload = [self.last.to_be_bytes(), code.to_be_bytes()].concat();
        write(kind::GOAWAY, 0, 0, &payload, output);
        self.ready.clear();
        Err(violation)
    }

    fn take(&mut self, frame: &Frame<'_>, output: &mut Vec<u8>) -> Result<(), (u32, Violation)> {
        if self.unfinished.is_some() && frame.kind != kind::CONTINUATION {
            return Err((PROTOCOL_ERROR, "a block of headers that does not go on"));
        }
        match frame.kind {
            kind::DATA => self.data(frame, output),
            kind::HEADERS => self.headers(frame, output),
            kind::CONTINUATION => self.continuation(frame),
            kind::RST_STREAM => {
                self.streams.remove(&frame.stream);
                Ok(())
            }
            kind::SETTINGS => self.settings(frame, output),
            kind::PING if frame.payload.len() == 8 => {
                if !frame.has(flag::ACK) {
                    write(kind::PING, flag::ACK, 0, frame.payload, output);
                }
                Ok(())
            }
            kind::WINDOW_UPDATE if frame.payload.len() == 4 => self.window_update(frame),
            kind::PING | kind::WINDOW_UPDATE => Err((FRAME_SIZE_ERROR, "a frame of a wrong size")),
            kind::PUSH_PROMISE => Err((PROTOCOL_ERROR, "a push from a client")),
            // GOAWAY: the client closes the connection itself. PRIORITY and what is not known
            // mean nothing here.
            _ => Ok(()),
        }
    }

    fn headers(&mut self, frame: &Frame<'_>, output: &mut Vec<u8>) -> Result<(), (u32, Violation)> {
        let (id, ends) = (frame.stream, frame.has(flag::END_STREAM));
        if id % 2 == 0 {
            return Err((PROTOCOL_ERROR, "a stream with an even number"));
        }
        // Else the trailers of a request, or what is left of one that was refused or reset.
        if id > self.last {
            self.last = id;
            if self.streams.len() < MAX_STREAMS as usize {
                let stream = Stream {
                    window: self.initial_window,
                    received: 0,
                    answer: None,
                };
                self.streams.insert(id, stream);
            } else {
                let code = REFUSED_STREAM.to_be_bytes();
                write(kind::RST_STREAM, 0, id, &code, output);
            }
        }
        if frame.has(flag::END_HEADERS) {
            self.request_ended(id, ends);
        } else {
            self.unfinished = Some((id, ends));
        }
        Ok(())
    }

    fn continuation(&mut self, frame: &Frame<'_>) -> Result<(), (u32, Violation)> {
        match self.unfinished {
            Some((id, ends)) if id == frame.stream => {
                if frame.has(flag::END_HEADERS) {
                    self.unfinished = None;
                    self.request_ended(id, ends);
                }
                Ok(())
            }
            _ => Err((PROTOCOL_ERROR, "a continuation of nothing")),
        }
    }

    fn data(&mut self, frame: &Frame<'_>, output: &mut Vec<u8>) -> Result<(), (u32, Violation)> {
        let (id, ends) = (frame.stream, frame.has(flag::END_STREAM));
        if id == 0 || id > self.last {
            return Err((PROTOCOL_ERROR, "data of a stream that is not open"));
        }
        let length = u32::try_from(frame.payload.len()).expect("frames are small");
        self.received += length;
        give_back(0, &mut self.received, output);
        if !ends && let Some(stream) = self.streams.get_mut(&id) {
            stream.received += length;
            give_back(id, &mut stream.received, output);
        }
        self.request_ended(id, ends);
        Ok(())
    }

    fn request_ended(&mut self, id: u32, ends: bool) {
        if ends
            && let Some(stream) = self.streams.get_mut(&id)
            && stream.answer.is_none()
        {
            stream.answer = Some(Answer::default());
            self.ready.push_back(id);
        }
    }

    fn settings(
        &mut self,
        frame: &Frame<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), (u32, Violation)> {
        if frame.has(flag::ACK) {
            return Ok(());
        }
        for setting in frame.payload.chunks(6) {
            let Some((id, value)) = setting.split_at_checked(2).filter(|_| setting.len() == 6)
            else {
                return Err((FRAME_SIZE_ERROR, "half a setting"));
            };
            match (id, number(value)) {
                (b"\0\x01", size) if size < TABLE_SIZE => {
                    return Err((COMPRESSION_ERROR, "a header table smaller than usual"));
                }
                (b"\0\x04", window) => {
                    let window = i64::from(window);
                    let change = window - std::mem::replace(&mut self.initial_window, window);
                    for (id, stream) in &mut self.streams {
                        stream.window += change;
                        stream.go_on(*id, &mut self.ready);
                    }
                }
                _ => {}
            }
        }
        write(kind::SETTINGS, flag::ACK, 0, &[], output);
        Ok(())
    }

    fn window_update(&mut self, frame: &Frame<'_>) -> Result<(), (u32, Violation)> {
        let more = i64::from(number(frame.payload) & 0x7fff_ffff);
        if frame.stream == 0 {
            self.window += more;
            if self.window > MAX_WINDOW {
                return Err((FLOW_CONTROL_ERROR, "a window of more than 2 GiB"));
            }
        } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.window += more;
            stream.go_on(frame.stream, &mut self.ready);
        }
        Ok(())
    }

    /// Writes as much of the answers as the windows have room for, and not much at once; whether
    /// there is more to write.
    pub(super) fn answer(&mut self, output: &mut Vec<u8>) -> bool {
        while let Some(id) = self.ready.front().copied() {
            if output.len() >= OUTPUT {
                return true;
            }
            let Some(stream) = self.streams.get_mut(&id) else {
                self.ready.pop_front();
                continue;
            };
            let answer = stream.answer.as_mut().expect("its request has ended");
            if !answer.headers_sent {
                answer.headers_sent = true;
                let block = self.table.headers();
                write(kind::HEADERS, flag::END_HEADERS, id, block, output);
            }
            let Some(end) = self.frames.ends.get(answer.frames) else {
                let block = self.table.trailers();
                let flags = flag::END_HEADERS | flag::END_STREAM;
                write(kind::HEADERS, flags, id, block, output);
                self.streams.remove(&id);
                self.ready.pop_front();
                continue;
            };
            if self.window <= 0 {
                return false;
            }
            if stream.window <= 0 {
                answer.blocked = true;
                self.ready.pop_front();
                continue;
            }
            let room = usize::try_from(self.window.min(stream.window)).expect("it is positive");
            let upto = (*end).min(answer.sent + room);
            let piece = &self.frames.body[answer.sent..upto];
            write(kind::DATA, 0, id, piece, output);
            let length = i64::try_from(piece.len()).expect("frames are small");
            self.window -= length;
            stream.window -= length;
            answer.sent = upto;
            answer.frames += usize::from(upto == *end);
        }
        false
    }
}

impl Stream {
    /// Its window has changed.
    fn go_on(&mut self, id: u32, ready: &mut VecDeque<u32>) {
        if let Some(answer) = &mut self.answer
            && answer.blocked
            && self.window > 0
        {
            answer.blocked = false;
            ready.push_back(id);
        }
    }
}

fn write(kind: u8, flags: u8, stream: u32, payload: &[u8], output: &mut Vec<u8>) {
    let frame = Frame {
        kind,
        flags,
        stream,
        payload,
    };
    frame.write(output);
}

fn greet(output: &mut Vec<u8>) {
    let mut settings = Vec::new();
    for (id, value) in [(3_u16, MAX_STREAMS), (4, RECEIVE_WINDOW)] {
        settings.extend_from_slice(&id.to_be_bytes());
        settings.extend_from_slice(&value.to_be_bytes());
    }
    write(kind::SETTINGS, 0, 0, &settings, output);
    let more = RECEIVE_WINDOW - DEFAULT_WINDOW;
    write(kind::WINDOW_UPDATE, 0, 0, &more.to_be_bytes(), output);
}

/// Gives received bytes back once they are half of the window.
fn give_back(stream: u32, received: &mut u32, output: &mut Vec<u8>) {
    if *received >= RECEIVE_WINDOW / 2 {
        let bytes = std::mem::take(received).to_be_bytes();
        write(kind::WINDOW_UPDATE, 0, stream, &bytes, output);
    }
}

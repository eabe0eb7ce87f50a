use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link::Link;

/// What the frames on the socket say beyond what `h2` tells.
///
/// Written by the connection's task only. Who reads it after `h2` has reported an error of the
/// connection sees everything before that error: the report passes through a mutex.
#[derive(Debug, Default)]
pub(super) struct Wire {
    bytes_read: AtomicBool,
    eof: AtomicBool,
    /// The highest id, not the latest: the trailers of a request are HEADERS of an older stream.
    last_opened: AtomicU32,
}

impl Wire {
    /// Whether bytes have arrived since this was asked last.
    pub(super) fn take_bytes_read(&self) -> bool {
        self.bytes_read.load(Ordering::Relaxed) && self.bytes_read.swap(false, Ordering::Relaxed)
    }

    /// Whether the peer has closed its side.
    pub(super) fn is_eof(&self) -> bool {
        self.eof.load(Ordering::Relaxed)
    }

    /// Whether the HEADERS of this stream have begun to leave; final once the connection is lost.
    pub(super) fn has_opened(&self, stream_id: u32) -> bool {
        stream_id <= self.last_opened.load(Ordering::Relaxed)
    }
}

/// A socket that notes what passes.
#[derive(Debug)]
pub(super) struct Tapped<IO> {
    io: IO,
    link: Arc<Link>,
    frames: Frames,
}

impl<IO> Tapped<IO> {
    pub(super) fn new(io: IO, link: Arc<Link>) -> Self {
        Self {
            io,
            link,
            frames: Frames::after_preface(),
        }
    }

    /// Nothing is sent to a peer that cannot answer any more: so a stream that has not left when
    /// the end is seen never will.
    fn refuse_after_eof(&self) -> io::Result<()> {
        if self.link.wire.is_eof() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn note_written(&mut self, bytes: &[u8]) {
        if let Some(id) = self.frames.highest_headers(bytes) {
            self.link.wire.last_opened.fetch_max(id, Ordering::Relaxed);
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Tapped<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.link.wire.bytes_read.store(true, Ordering::Relaxed);
        } else if buf.remaining() > 0 {
            self.link.wire.eof.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Tapped<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.refuse_after_eof()?;
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.note_written(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.refuse_after_eof()?;
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let part = left.min(buf.len());
            self.note_written(&buf[..part]);
            left -= part;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Walks over the frames of a byte stream that comes in pieces; reads their heads only.
#[derive(Debug)]
struct Frames {
    /// Bytes of a payload (or the preface) still to come.
    skip: usize,
    head: [u8; 9],
    filled: usize,
}

impl Frames {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 0x1;

    const fn after_preface() -> Self {
        Self {
            skip: Self::PREFACE,
            head: [0; 9],
            filled: 0,
        }
    }

    /// The highest stream id of the HEADERS frames whose heads end in `bytes`.
    fn highest_headers(&mut self, mut bytes: &[u8]) -> Option<u32> {
        let mut highest = None;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.filled == 0
                && let Some((head, rest)) = bytes.split_first_chunk()
            {
                bytes = rest;
                highest = highest.max(self.enter(*head));
                continue;
            }
            let taken = bytes.len().min(self.head.len() - self.filled);
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == self.head.len() {
                self.filled = 0;
                highest = highest.max(self.enter(self.head));
            }
        }
        highest
    }

    /// Goes past the head of a frame; says which stream it is about, if it is HEADERS.
    fn enter(&mut self, head: [u8; 9]) -> Option<u32> {
        let [l0, l1, l2, kind, _flags, id @ ..] = head;
        self.skip = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        (kind == Self::HEADERS).then_some(u32::from_be_bytes(id) & 0x7fff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, id: u32, payload: usize) -> Vec<u8> {
        let mut bytes = (payload as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, 0]);
        bytes.extend(id.to_be_bytes());
        bytes.extend(vec![0x1; payload]);
        bytes
    }

    #[test]
    fn a_stream_has_opened_when_the_head_of_its_headers_is_out_however_it_is_cut() {
        let mut bytes = vec![0; Frames::PREFACE];
        bytes.extend(frame(0x4, 0, 6));
        bytes.extend(frame(Frames::HEADERS, 1, 20));
        bytes.extend(frame(0x0, 1, 300));
        let end_of_second_head = bytes.len() + 9;
        bytes.extend(frame(Frames::HEADERS, 3, 20));
        for piece in 1..bytes.len() {
            let mut frames = Frames::after_preface();
            let mut last = 0;
            let mut seen = 0;
            for part in bytes.chunks(piece) {
                seen += part.len();
                last = frames.highest_headers(part).unwrap_or(last);
                assert_eq!(last == 3, seen >= end_of_second_head, "{piece} {seen}");
            }
            assert_eq!(last, 3);
        }
    }

    #[test]
    fn trailers_of_an_older_stream_open_nothing_and_close_nothing() {
        let mut bytes = vec![0; Frames::PREFACE];
        bytes.extend(frame(Frames::HEADERS, 3, 20));
        bytes.extend(frame(Frames::HEADERS, 1, 20));
        for piece in [1, bytes.len()] {
            let mut tapped = Tapped::new((), Arc::default());
            for part in bytes.chunks(piece) {
                tapped.note_written(part);
            }
            assert!(tapped.link.wire.has_opened(3) && !tapped.link.wire.has_opened(5));
        }
    }
}

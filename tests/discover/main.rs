//! Sources of endpoints over what they really ask: a DNS server, and files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod channel;
mod dns;
mod file;
mod said;

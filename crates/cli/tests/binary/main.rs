//! The commands as their users run them: as a process, against a real etcd.
//!
//! Without etcd on the machine those that need one are reported as skipped, by name.
#![expect(clippy::unwrap_used, reason = "a test panics when its set-up fails")]

mod check;
mod docs;
mod doctor;
mod ran;
mod registry;
mod tls;
mod watch;

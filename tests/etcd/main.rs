//! Suite `etcd`: discovery and registration against a real etcd, through what happens to one.
//!
//! Without etcd on the machine every test is reported as skipped, by name.
#![expect(clippy::unwrap_used, reason = "a test panics when its set-up fails")]

mod auth;
mod combined;
mod discover;
mod doctor;
mod layouts;
mod loss;
mod members;
mod outage;
mod register;
mod resume;
mod seen;
mod serve;
mod share;
mod snapshot;
mod tls;
mod watchdog;

//! A real tonic server of `UserService` that does what a test tells it.
//!
//! It runs on a thread of its own. [`UserServer::kill`] is a killed process: the port refuses,
//! connections break without a GOAWAY. [`UserServer::shut_down`] is a graceful end: GOAWAY, then
//! the running calls finish. After either, [`UserServer::restart`] brings it back on its port,
//! with the same script and the same counters.

mod builder;
mod health;
mod incarnation;
mod io;
mod load_report;
mod open_rca;
mod record;
mod script;
mod seen;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_core::{Address, Endpoint, Metadata};
use tonic::Code;

pub use builder::Builder;
pub use health::Health;
pub use load_report::OrcaLoadReport;
pub use script::Behaviour;
pub use seen::{Method, Request, Seen};

use crate::wait::within;
use incarnation::{Incarnation, Setup};
use script::Script;
use seen::Counters;

/// The response metadata (and the attribute of each user) that says which server answered.
pub const SERVED_BY: &str = "served-by";

/// The request metadata, a whole number, by which [`UserServer::executed`] knows a call.
pub const CALL_ID: &str = "call-id";

/// One scripted server; dropping it kills it.
#[derive(Debug)]
pub struct UserServer {
    setup: Arc<Setup>,
    present: Option<Incarnation>,
    /// Told to go, still with calls.
    leaving: Vec<Incarnation>,
}

impl UserServer {
    /// A server on a port of its own, named by its address, that answers every call.
    ///
    /// # Errors
    ///
    /// When it cannot listen or has no thread.
    pub async fn start() -> std::io::Result<Self> {
        Self::builder().start().await
    }

    /// A server with other settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What it calls itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Where clients reach it; kept over restarts.
    #[must_use]
    pub fn address(&self) -> Address {
        self.setup.address.clone()
    }

    /// Where clients reach it, over TCP.
    ///
    /// # Panics
    ///
    /// When it listens on a Unix domain socket.
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        match self.setup.address {
            Address::Ip(address) => address,
            ref other => panic!("{other} is no TCP address"),
        }
    }

    /// It as an endpoint without metadata.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.address())
    }

    /// It as an endpoint with a weight.
    #[must_use]
    pub fn weighted(&self, weight: f64) -> Endpoint {
        self.endpoint()
            .with_metadata(Metadata::default().with_weight(weight))
    }

    /// Does `behaviour` from now on; calls that hang take it up as well.
    pub fn behave(&self, behaviour: Behaviour) {
        self.script().behave(behaviour);
    }

    /// Fails the next `count` calls with `code`, whatever the behaviour.
    pub fn fail_next(&self, count: u32, code: Code) {
        self.script().fail_next(count, code);
    }

    /// Reports this load with the end of each call from now on, or none.
    pub fn report_load(&self, report: Option<&OrcaLoadReport>) {
        self.script().report_load(report);
    }

    /// Streams this load, now and to whoever asks later, or none; a server with
    /// [`Builder::open_rca`].
    pub fn stream_load(&self, report: Option<&OrcaLoadReport>) {
        self.script().stream_load(report);
    }

    /// Says this of the health of `service` from now on, `""` being the server as a whole; a server
    /// with [`Builder::health`].
    pub fn set_health(&self, service: &str, health: Health) {
        self.script().set_health(service, health);
    }

    /// Holds back every message of a stream from now on.
    pub fn close_gate(&self) {
        self.script().gate.close();
    }

    /// Lets `count` more messages of streams through the closed gate.
    pub fn let_through(&self, count: usize) {
        self.script().gate.let_through(count);
    }

    /// Holds nothing back any more.
    pub fn open_gate(&self) {
        self.script().gate.open();
    }

    /// Makes each user of an answer this much bigger.
    pub fn set_avatar_len(&self, bytes: usize) {
        self.script().set_avatar_len(bytes);
    }

    /// What it has seen so far, over all restarts.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.counters().seen()
    }

    /// The [`CALL_ID`]s of the calls that it has begun, in their order, over all restarts. Attempts
    /// of one call have the same.
    #[must_use]
    pub fn executed(&self) -> Vec<u64> {
        self.counters().executed()
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    ///
    /// When it does not hold within [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for(&self, what: &str, condition: impl FnMut(&Seen) -> bool) -> Seen {
        within(what, self.counters().wait_for(condition)).await
    }

    /// Whether it listens.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.present.as_ref().is_some_and(|one| !one.is_finished())
    }

    /// Ends it as SIGKILL ends a process: when this returns, the port refuses and every
    /// connection is broken. Does nothing when it is not running.
    pub async fn kill(&mut self) {
        for incarnation in self.leaving.drain(..).chain(self.present.take()) {
            incarnation.kill().await;
        }
    }

    /// Ends it gracefully: stops listening, sends GOAWAY, and waits until the last call has
    /// ended, however long that takes. Does nothing when it is not running. Cancel safe: the
    /// server goes on ending, and another call waits for the rest.
    pub async fn shut_down(&mut self) {
        self.leaving.extend(self.present.take());
        for incarnation in &self.leaving {
            incarnation.leave();
        }
        while let Some(incarnation) = self.leaving.last_mut() {
            incarnation.finished().await;
            self.leaving.pop();
        }
    }

    /// Sends GOAWAY on every connection and lets their calls end, while new connections are
    /// welcome: as a server that limits the age of its connections. The GOAWAY may still be on
    /// its way when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot listen again or has no thread.
    pub async fn go_away(&mut self) -> std::io::Result<()> {
        if let Some(incarnation) = self.present.take() {
            incarnation.leave();
            incarnation.not_listening().await;
            self.leaving.push(incarnation);
        }
        self.restart().await
    }

    /// Listens again on its port. Does nothing when it is running.
    ///
    /// # Errors
    ///
    /// When it cannot listen or has no thread.
    pub async fn restart(&mut self) -> std::io::Result<()> {
        self.leaving
            .retain(|incarnation| !incarnation.is_finished());
        if !self.is_running() {
            self.present = Some(Incarnation::start(self.setup.clone(), None).await?);
        }
        Ok(())
    }

    fn script(&self) -> &Script {
        &self.setup.script
    }

    fn counters(&self) -> &Counters {
        &self.setup.counters
    }
}

#[cfg(test)]
mod tests;

//! The health that a server streams of itself (gRFC A17).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use evenkeel_core::error::NotHealthy;
use evenkeel_core::error::NotHealthyReason::NotAnswered;
use evenkeel_core::{BoxError, ConnectivityState};
use evenkeel_policy::health::{Health, Machine, WATCH};
use evenkeel_transport::Connection;
use http::uri::PathAndQuery;
use prost::Message;
use tracing::{debug, error, info, warn};

use super::state::State;
use crate::server_stream::{Heard, keep_open};

/// The stream of one connection that says whether its server is healthy, while that counts.
/// Dropping it ends the stream.
#[derive(Default)]
pub(super) struct HealthChecks {
    /// Boxed: most connections have none.
    watch: Option<Box<Watch>>,
    /// The server has no such service.
    is_unknown: bool,
}

struct Watch {
    service: Arc<str>,
    reading: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl HealthChecks {
    /// Over a connection that is new, which is shown from now on. One that takes the place of another
    /// (gRFC A105) is shown as that was until the server has answered.
    pub(super) fn new<H: Connection>(connection: &Arc<H>, state: &Arc<State<H>>) -> Self {
        let mut checks = Self::default();
        match state.health() {
            None => state.publish(ConnectivityState::Ready, None),
            Some(service) => {
                let machine = match state.report().state {
                    ConnectivityState::Connecting => Machine::new(),
                    _ => Machine::for_connection_in_use(),
                };
                let hearing = Hearing::new(service, state, machine);
                hearing.show(hearing.machine.health());
                checks.watch = Some(hearing.begin(connection));
            }
        }
        checks
    }

    /// Opens, closes or replaces the stream, if the health of another service counts now.
    pub(super) fn follow<H: Connection>(&mut self, connection: &Arc<H>, state: &Arc<State<H>>) {
        let wanted = state.health();
        let present = self.watch.as_ref().map(|watch| &watch.service);
        if wanted.as_ref() == present {
            return;
        }
        match wanted.filter(|_| !self.is_unknown) {
            None => {
                self.watch = None;
                state.publish(ConnectivityState::Ready, None);
            }
            Some(service) => {
                let machine = Machine::for_connection_in_use();
                let hearing = Hearing::new(service, state, machine);
                self.watch = Some(hearing.begin(connection));
            }
        }
    }

    /// Takes in what comes, for ever. Cancel safe.
    pub(super) fn run(&mut self) -> impl Future<Output = Infallible> {
        // Not an async block, which would keep more: every connection has one.
        poll_fn(|cx| {
            if let Some(watch) = &mut self.watch
                && watch.reading.as_mut().poll(cx).is_ready()
            {
                self.watch = None;
                self.is_unknown = true;
            }
            Poll::Pending
        })
    }
}

/// Shows what is heard on one stream.
struct Hearing<H> {
    service: Arc<str>,
    state: Arc<State<H>>,
    machine: Machine,
    /// The log was told that the server is not healthy: once, not at every try.
    is_told: bool,
}

impl<H: Connection> Hearing<H> {
    fn new(service: Arc<str>, state: &Arc<State<H>>, machine: Machine) -> Self {
        Self {
            service,
            state: state.clone(),
            machine,
            is_told: false,
        }
    }

    fn begin(mut self, connection: &Arc<H>) -> Box<Watch> {
        let service = self.service.clone();
        let method = PathAndQuery::from_static(WATCH);
        let request = Request {
            service: service.to_string(),
        };
        let request = request.encode_to_vec().into();
        let reading = keep_open(connection.clone(), method, request, move |heard| {
            self.hear(&heard);
        });
        Box::new(Watch {
            service,
            reading: Box::pin(reading),
        })
    }

    fn hear(&mut self, heard: &Heard) {
        let health = match heard {
            Heard::Opening => self.machine.opening(),
            Heard::Message(message) => self.machine.received(message),
            Heard::Ended(status) => self.machine.ended(status),
            Heard::Unimplemented(status) => {
                let endpoint = self.state.endpoint();
                error!(%endpoint, %status, "no health checks, taken for healthy: its server has none");
                self.machine.unimplemented()
            }
        };
        if let Some(health) = health.cloned() {
            self.show(&health);
            self.tell(&health);
        }
    }

    fn show(&self, health: &Health) {
        match health.state() {
            None => {}
            Some(ConnectivityState::Ready) => self.state.publish(ConnectivityState::Ready, None),
            Some(state) => self.state.publish_unhealthy(state, self.reason(health)),
        }
    }

    /// Why it is not READY. A stream that is opened again leaves the reason why the last one ended.
    fn reason(&self, health: &Health) -> Option<BoxError> {
        let reason = match health {
            Health::NotServing(reason) => reason.clone(),
            Health::Awaited if !self.is_told => NotAnswered,
            _ => return None,
        };
        let error = NotHealthy::new(self.state.endpoint(), self.service.clone(), reason);
        Some(error.into())
    }

    fn tell(&mut self, health: &Health) {
        let service = &*self.service;
        let endpoint = self.state.endpoint();
        match health {
            Health::NotServing(reason) if self.is_told => {
                debug!(%endpoint, service, "health check still {reason}");
            }
            Health::NotServing(reason) => {
                self.is_told = true;
                warn!(%endpoint, service, "gets no calls: health check {reason}");
            }
            Health::Serving if self.is_told => {
                self.is_told = false;
                info!(%endpoint, service, "is healthy again");
            }
            _ => {}
        }
    }
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "1")]
    service: String,
}

#[cfg(test)]
mod tests;

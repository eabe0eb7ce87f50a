//! Does what the subchannel's state machine says, and shows what came of it.

mod several;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::ConnectivityState;
use evenkeel_core::error::chain;
use evenkeel_policy::subchannel::{Machine, Step};
use evenkeel_transport::{CloseReason, Connect};
use tracing::{debug, info, warn};

use self::several::{Open, Several};
use super::Means;
use super::health::HealthChecks;
use super::oob::LoadReports;
use super::state::{Ask, State};
use crate::dial::DialError;

/// Runs until it is aborted.
pub(super) fn drive<C: Connect>(
    state: Arc<State<C::Connection>>,
    means: Arc<Means<C>>,
) -> impl Future<Output = ()> + Send + 'static {
    let mut driver = Driver {
        state: CloseOnDrop(state),
        machine: Machine::new(means.config.backoff),
        means,
        failing: false,
        several: None,
    };
    async move {
        loop {
            let open = match driver.machine.step() {
                Step::Idle => {
                    driver.idle().await;
                    None
                }
                Step::Dial { until } => driver.dial(until).await,
                Step::Serve => {
                    let oldest = driver.oldest();
                    if oldest.is_none() {
                        driver.machine.lost();
                    }
                    oldest
                }
                Step::Wait { until } => {
                    driver.wait(until).await;
                    None
                }
            };
            if let Some(open) = open {
                driver.serve(open).await;
            }
        }
    }
}

struct Driver<C: Connect> {
    state: CloseOnDrop<C::Connection>,
    means: Arc<Means<C>>,
    machine: Machine,
    /// Whether the last attempt failed: it is logged once, not at every retry.
    failing: bool,
    /// In a box: few have more than one connection.
    several: Option<Box<Several<C>>>,
}

impl<C: Connect> Driver<C> {
    async fn idle(&mut self) {
        self.state.publish(ConnectivityState::Idle, None);
        loop {
            match self.state.asked().await {
                Ask::Connect => return self.machine.connect(now(), fastrand::f64()),
                Ask::ResetBackoff => self.machine.reset_backoff(),
                Ask::Disconnect | Ask::Stream | Ask::Scale => {}
            }
        }
    }

    async fn dial(&mut self, until: Instant) -> Option<Open<C::Connection>> {
        self.state.publish(ConnectivityState::Connecting, None);
        let endpoint = self.state.endpoint();
        // Boxed, as is the backoff's timer: most of the time, an endpoint has neither.
        let mut attempt = self.dialling(until);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut attempt => break result,
                ask = self.state.asked() => match ask {
                    Ask::Connect | Ask::Stream | Ask::Scale => {}
                    Ask::ResetBackoff => self.machine.reset_backoff(),
                    Ask::Disconnect => {
                        self.machine.disconnect();
                        return None;
                    }
                },
            }
        };
        match result {
            Ok(connected) => {
                info!(%endpoint, "connected");
                self.failing = false;
                self.machine.connected();
                Some(Open::new(connected))
            }
            Err(error) => {
                self.failed(&error);
                self.state.publish(self.machine.state(), Some(error.into()));
                None
            }
        }
    }

    fn failed(&mut self, error: &DialError) {
        let (endpoint, reason) = (self.state.endpoint(), chain(error));
        match (self.failing, self.machine.state()) {
            (true, _) => debug!(%endpoint, %reason, "still not connected"),
            (false, ConnectivityState::Ready) => {
                warn!(%endpoint, %reason, "connected, but not once more for the calls that wait, trying again with backoff");
            }
            _ => warn!(%endpoint, %reason, "not connected, trying again with backoff"),
        }
        self.failing = true;
        self.machine.failed(now());
    }

    /// Until this connection, the oldest one, is lost.
    async fn serve(&mut self, mut open: Open<C::Connection>) {
        self.enter(&open.connection, &mut open.lane);
        // These end with the connection, before anything is said of that.
        let mut load = LoadReports::new(&open.connection, &self.state);
        let mut health = HealthChecks::new(&open.connection, &self.state);
        let reason = loop {
            tokio::select! {
                biased;
                reason = &mut open.closed => break reason.ok(),
                ask = self.state.asked() => match ask {
                    Ask::Connect => {}
                    // That of another one: a connection that lives has reset its own.
                    Ask::ResetBackoff => {
                        self.machine.skip_backoff(now(), fastrand::f64());
                        self.consider();
                    }
                    Ask::Stream => {
                        load.follow(&open.connection, &self.state);
                        health.follow(&open.connection, &self.state);
                    }
                    Ask::Scale => self.enter(&open.connection, &mut open.lane),
                    Ask::Disconnect => {
                        self.leave_all();
                        return self.machine.disconnect();
                    }
                },
                never = load.run() => match never {},
                never = health.run() => match never {},
                event = several::next(
                    self.state.pool.get().map(|pool| &**pool),
                    self.several.as_deref_mut(),
                    &open.connection,
                    open.lane.as_deref_mut(),
                ) => {
                    self.take(event);
                }
            }
        };
        drop((load, health));
        // From here on requests come back unsent, if there is no other connection; those on the old one
        // run to their end.
        self.leave(open.lane.take());
        drop(open);
        self.machine.lost();
        let endpoint = self.state.endpoint();
        let reason = reason.unwrap_or(CloseReason::ClosedByUs);
        info!(%endpoint, reason = %chain(&reason), "connection closed");
        match self.machine.state() {
            ConnectivityState::Ready => {}
            state => self.state.publish(state, Some(reason.into())),
        }
    }

    async fn wait(&mut self, until: Instant) {
        self.state
            .publish(ConnectivityState::TransientFailure, None);
        let mut backoff = Box::pin(tokio::time::sleep_until(until.into()));
        loop {
            tokio::select! {
                biased;
                ask = self.state.asked() => match ask {
                    // It connects by itself when the backoff is over.
                    Ask::Connect | Ask::Stream | Ask::Scale => {}
                    Ask::Disconnect => return self.machine.disconnect(),
                    Ask::ResetBackoff => {
                        return self.machine.skip_backoff(now(), fastrand::f64());
                    }
                },
                () = &mut backoff => return self.machine.waited(now(), fastrand::f64()),
            }
        }
    }
}

/// Leaves an endpoint whose task is gone in SHUTDOWN, so that nobody waits for it: after a panic of
/// the connector, or when the runtime ends.
struct CloseOnDrop<H>(Arc<State<H>>);

impl<H> Deref for CloseOnDrop<H> {
    type Target = Arc<State<H>>;

    fn deref(&self) -> &Arc<State<H>> {
        &self.0
    }
}

impl<H> Drop for CloseOnDrop<H> {
    fn drop(&mut self) {
        self.0.close();
        let error = if std::thread::panicking() {
            "its connector panicked, it is not tried again"
        } else {
            "its task was ended"
        };
        self.0
            .publish(ConnectivityState::Shutdown, Some(error.into()));
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

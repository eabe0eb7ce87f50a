use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::{BoxError, Endpoint, EndpointStats, LoadStream, Outcome};

/// gRPC's connectivity states, of a subchannel and of a whole channel.
///
/// ```text
/// IDLE ──call or connect()──► CONNECTING ──► READY ──connection lost, GOAWAY──► IDLE
///                                 │  ▲
///                          failed ▼  │ backoff over
///                         TRANSIENT_FAILURE            any ──dropped──► SHUTDOWN
/// ```
///
/// A connection that lives goes to TRANSIENT_FAILURE and back to READY with what its server says of
/// its health (gRFC A17), and with what layers around it say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "gRPC fixes the five states")]
pub enum ConnectivityState {
    /// Not connected and not trying to be.
    #[default]
    Idle,
    /// Trying to connect.
    Connecting,
    /// Connected: the server's SETTINGS have arrived, and nobody says that it is to get no calls.
    Ready,
    /// The last attempt failed, and the next waits for its backoff; or it is connected and is to
    /// get no calls.
    TransientFailure,
    /// Gone for good.
    Shutdown,
}

impl ConnectivityState {
    /// gRPC's name of the state, for example `TRANSIENT_FAILURE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "IDLE",
            Self::Connecting => "CONNECTING",
            Self::Ready => "READY",
            Self::TransientFailure => "TRANSIENT_FAILURE",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

impl fmt::Display for ConnectivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The state of a channel over endpoints in these states, as round_robin and its kin see it:
/// any READY wins, then CONNECTING or IDLE count as CONNECTING, else TRANSIENT_FAILURE
/// (also for no endpoints at all).
#[must_use]
pub fn aggregate(states: impl IntoIterator<Item = ConnectivityState>) -> ConnectivityState {
    let mut result = ConnectivityState::TransientFailure;
    for state in states {
        match state {
            ConnectivityState::Ready => return ConnectivityState::Ready,
            ConnectivityState::Connecting | ConnectivityState::Idle => {
                result = ConnectivityState::Connecting;
            }
            ConnectivityState::TransientFailure | ConnectivityState::Shutdown => {}
        }
    }
    result
}

/// What the breaker around an endpoint is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a breaker has these three states")]
pub enum BreakerState {
    /// Sending.
    Closed,
    /// Refusing.
    Open,
    /// Probing: a bounded number of calls decides.
    HalfOpen,
}

impl BreakerState {
    /// `closed`, `open`, `half-open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// How one endpoint is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The endpoint, with its present metadata.
    pub endpoint: Arc<Endpoint>,
    /// Its state, as layers around the connection want the balancer to see it.
    pub state: ConnectivityState,
    /// Whether an attempt to connect has failed since it was READY or IDLE last. Policies see it in
    /// TRANSIENT_FAILURE until then, also while it is CONNECTING again (gRFC A62).
    pub failing: bool,
    /// Why it is in TRANSIENT_FAILURE, or why its connection was lost last.
    pub error: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// What its breaker is doing, when there is one.
    pub breaker: Option<BreakerState>,
    /// Whether there is a connection, in whatever state layers around it show it. One whose server
    /// does not say that it is healthy (gRFC A17) does not count, as if it had yet to be made.
    pub connected: bool,
    /// Whether it is connected and would take a call as a last resort ([`Admit::LastResort`]),
    /// though a layer shows it in TRANSIENT_FAILURE.
    pub held_back: bool,
}

impl Report {
    /// A report without a failure, an error or a breaker; connected if it is READY.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, state: ConnectivityState) -> Self {
        Self {
            endpoint,
            state,
            failing: false,
            error: None,
            breaker: None,
            connected: state == ConnectivityState::Ready,
            held_back: false,
        }
    }

    /// The same report with the reason for its state.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<BoxError>) -> Self {
        self.error = Some(error.into().into());
        self
    }
}

/// How much an attempt is wanted at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a layer must decide for every case"
)]
pub enum Admit {
    /// As the endpoint's last report has it.
    Normally,
    /// Nothing is left but endpoints that are [held back](Report::held_back): whoever said so of
    /// this one lets the attempt pass. What it would not have admitted normally counts for nothing
    /// there.
    LastResort,
}

/// The side of an endpoint's service that the balancer deals with: watched and driven by its driver,
/// asked and told about each attempt, passed through (or changed) by the layers around the
/// connection.
///
/// # Attempts
///
/// The balancer [admits](Self::admit) an attempt, sends it through the sender that it got, and
/// [settles](Self::settle) it once, when its response has ended. A layer that counts attempts
/// needs no future and no body of its own then: its sender is that of the service it is around. A
/// layer that changes requests or responses is its own sender:
///
/// ```
/// # use std::sync::Arc;
/// # use std::task::{Context, Poll};
/// # use evenkeel_core::{EndpointStats, LoadStream};
/// use evenkeel_core::{Admit, BoxError, Connectivity, Outcome, Report};
///
/// #[derive(Clone)]
/// struct Changes<S>(S);
///
/// impl<S: Connectivity + Clone> Connectivity for Changes<S> {
///     type Sender = Self;
///     type Admission = ();
///
///     fn admit(&self, _: Admit) -> Result<(Self, ()), BoxError> {
///         Ok((self.clone(), ()))
///     }
///
///     fn settle(&self, (): (), _: Outcome, _: &str) {}
///     # fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> { self.0.poll_report(cx) }
///     # fn connect(&self) { self.0.connect() }
///     # fn disconnect(&self) { self.0.disconnect() }
///     # fn reset_backoff(&self) { self.0.reset_backoff() }
///     # fn stream_load(&self, wanted: Option<&LoadStream>, stats: &Arc<EndpointStats>) { self.0.stream_load(wanted, stats) }
///     # fn check_health(&self, service: Option<&Arc<str>>) { self.0.check_health(service) }
///     # fn allow_connections(&self, most: u32) { self.0.allow_connections(most) }
///     // and the others as those of the service it is around
/// }
/// ```
///
/// # Clone
///
/// Clones share the endpoint's connections, but each clone has its own place in the sequence of
/// reports: it starts with the present one.
pub trait Connectivity {
    /// What one attempt is sent through: a service.
    type Sender;

    /// What an admitted attempt is known by until it is settled; `()` where nothing is counted.
    type Admission;

    /// Takes in an attempt that the balancer is about to send.
    ///
    /// # Errors
    ///
    /// Why it takes none now, though its last report was READY. The balancer goes elsewhere with
    /// it, or waits for the next report. What is [shed](crate::error::BreakerOpen::shed) does not
    /// wait: the next attempt may be admitted without a report.
    fn admit(&self, admit: Admit) -> Result<(Self::Sender, Self::Admission), BoxError>;

    /// The response of an admitted attempt has begun, and does not say that it is a failure; its
    /// outcome comes later, for a stream perhaps never. At most once for each.
    ///
    /// A layer passes this on. Does nothing where that says nothing.
    #[inline]
    fn answered(&self, admission: &Self::Admission) {
        let _ = admission;
    }

    /// Takes the outcome of an admitted attempt: once for each, and
    /// [`Abandoned`](Outcome::Abandoned) for one that never left. `message` is what the failure
    /// said, if it is known.
    fn settle(&self, admission: Self::Admission, outcome: Outcome, message: &str);

    /// The present report first, then each newer one; intermediate ones may be skipped.
    ///
    /// `Ready(None)` when there will be none any more. Cancel safe.
    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>>;

    /// Leaves IDLE; in every other state it does nothing.
    fn connect(&self);

    /// Goes back to IDLE: a connection attempt is given up, a connection is closed once its
    /// calls have ended. A backoff keeps running.
    fn disconnect(&self);

    /// Ends a running backoff now and makes the next failure start again from the first delay.
    fn reset_backoff(&self);

    /// Has the server stream its load reports over the endpoint's oldest connection from now on (gRFC A51),
    /// for [`EndpointStats::load`]; `None`: no longer. A stream goes on if only the reader is another.
    ///
    /// A layer passes this on. Does nothing where there is no connection.
    fn stream_load(&self, wanted: Option<&LoadStream>, stats: &Arc<EndpointStats>);

    /// Has the server say from now on, over the endpoint's oldest connection, whether `service` is healthy
    /// (gRFC A17; `""` is the server as a whole), and shows the endpoint accordingly; `None`: no longer.
    /// An endpoint that is READY stays so until the server has answered.
    ///
    /// A layer passes this on. Does nothing where there is no connection.
    fn check_health(&self, service: Option<&Arc<str>>);

    /// Lets it have so many connections from now on, where calls wait for a stream (gRFC A105); 0 is as
    /// 1, which it begins with. None is closed.
    ///
    /// A layer passes this on. Does nothing where there is no connection.
    fn allow_connections(&self, most: u32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnectivityState::{Connecting, Idle, Ready, TransientFailure};

    #[test]
    fn aggregation_follows_round_robin() {
        for (states, expected) in [
            (&[][..], TransientFailure),
            (&[TransientFailure, TransientFailure], TransientFailure),
            (&[TransientFailure, Idle], Connecting),
            (&[TransientFailure, Connecting], Connecting),
            (&[Connecting, Ready, TransientFailure], Ready),
        ] {
            assert_eq!(aggregate(states.iter().copied()), expected, "{states:?}");
        }
    }
}

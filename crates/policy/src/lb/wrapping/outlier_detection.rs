mod algorithms;
mod config;
mod ejected;
mod machine;

use std::fmt;
use std::time::Instant;

use evenkeel_core::{ConnectivityState, EndpointView, Policy, Update, View};

pub use self::config::{FailurePercentageEjection, OutlierDetectionConfig, SuccessRateEjection};
pub use self::ejected::{Ejected, EjectionReason};
use self::machine::Machine;
use crate::lb::shared::merged::earlier;
use crate::lb::shared::shown::Shown;
use crate::lb::{GracefulSwitch, PickFirst, Wrapper};

/// Keeps calls from endpoints that fail much more often than the others do (gRPC's `outlier_detection_experimental`,
/// gRFC A50 and A61). Who picks among the rest is its child's affair.
///
/// Every [`interval`](OutlierDetectionConfig::interval) it compares how the calls went that ended
/// in it, ejects outliers, and lets those back in whose time is over. To the child an ejected
/// endpoint looks as if a breaker were open: in TRANSIENT_FAILURE, [held
/// back](EndpointView::held_back), with an [`Ejected`] that says why and for how long. It stays connected.
/// When no other endpoint is left it is used all the same: the [last resort](Update::last_resort).
///
/// # What counts
///
/// - A call that ended with OK is a success, one with any other status a failure, be it the
///   server's or ours. One that the caller dropped before its end, or that lost against its hedge, is
///   neither: it says nothing of the server. (gRPC counts it as a failure, with CANCELLED.)
/// - Endpoints are counted, not addresses: an endpoint with several addresses is ejected as one.
/// - An endpoint that goes and comes back is a new one.
///
/// # Where gRFC A50 leaves it open
///
/// - The worst are ejected first, so that
///   [`max_ejection_percent`](OutlierDetectionConfig::max_ejection_percent) spares the better ones.
/// - Who is ejected is not ejected again, neither by the other algorithm nor for calls that end
///   later: the ejection time does not grow by that.
/// - A [`PickFirst`] as the child sees no ejections, as in gRPC: it has chosen its endpoint by
///   connecting to it, and has no others to compare it with. One further down sees them, and keeps its
///   endpoint all the same.
pub struct OutlierDetection {
    machine: Machine,
    child: Box<dyn Policy>,
    shown: Shown,
}

impl OutlierDetection {
    /// Its name in a service config.
    pub const NAME: &'static str = "outlier_detection_experimental";
    /// Other names it goes by.
    pub const ALIASES: &'static [&'static str] = &["outlier_detection"];

    fn child_ignores_ejections(&self) -> bool {
        GracefulSwitch::serves::<PickFirst>(&*self.child)
    }
}

impl Wrapper for OutlierDetection {
    type Config = OutlierDetectionConfig;

    fn new(config: OutlierDetectionConfig, child: Box<dyn Policy>) -> Self {
        Self {
            machine: Machine::new(config),
            child,
            shown: Shown::default(),
        }
    }

    fn configure(&mut self, config: OutlierDetectionConfig) {
        self.machine.configure(config);
    }

    fn child_mut(&mut self) -> &mut Box<dyn Policy> {
        &mut self.child
    }
}

impl Policy for OutlierDetection {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        self.machine.update(now, view);
        let mut ejected = Vec::new();
        if !self.child_ignores_ejections() {
            ejected.extend(view.indexed().filter_map(|(index, _)| {
                let error = self.machine.ejected(index.0)?;
                Some((index, error.clone() as _))
            }));
        }
        let mut update = if ejected.is_empty() {
            self.shown.clear();
            self.child.update(now, view)
        } else {
            let eject = |place: usize, one: &EndpointView| {
                // Others are not connected, or held back already; the child deals with them as ever.
                let is_ready = one.state == ConnectivityState::Ready;
                let error = self.machine.ejected(place).filter(|_| is_ready)?;
                let mut shown = one.clone();
                shown.state = ConnectivityState::TransientFailure;
                shown.held_back = true;
                shown.error = Some(error.clone());
                Some(shown)
            };
            self.shown.show(&mut *self.child, now, view, eject)
        };
        update.ejected.append(&mut ejected);
        update.wake_at = earlier(update.wake_at, self.machine.wake_at());
        update
    }
}

impl fmt::Debug for OutlierDetection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutlierDetection")
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Instant;

use evenkeel_core::{ConnectivityState, EndpointView, Policy, Update, View};

use crate::lb::Wrapper;
use crate::lb::shared::shown::Shown;

/// Lets its child use endpoints that are [held back](EndpointView::held_back) when they have become
/// too many: then the few that are left would only be overrun, and fail as well.
///
/// It counts the endpoints that are connected, READY or held back. While fewer than
/// [`healthy_percent`](PanicThresholdConfig::healthy_percent) of them are READY, there is panic:
/// its child sees all of them READY, and [`Update::last_resort`] is set, so that their
/// breakers let calls pass. That field is also how others see that there is panic. It ends as
/// soon as enough of them are READY again; since a breaker and an ejection last for seconds, it does not flap.
///
/// An ejection can only be taken back by who sees it: put this between `outlier_detection_experimental` and the
/// policy that picks. What breakers hold back it sees anywhere.
///
/// Without it, endpoints that are held back are used only when no other one is left
/// ([`petiole`](crate::lb::petiole)).
pub struct PanicThreshold {
    config: PanicThresholdConfig,
    child: Box<dyn Policy>,
    shown: Shown,
}

/// When [`PanicThreshold`] panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PanicThresholdConfig {
    /// `healthyPercent`: there is panic while fewer than this many percent of the connected
    /// endpoints are READY. Default: 50. 0 is never; 100, and anything above, is when one is held back.
    pub healthy_percent: u32,
}

impl Default for PanicThresholdConfig {
    fn default() -> Self {
        Self {
            healthy_percent: 50,
        }
    }
}

impl PanicThreshold {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.panic_threshold";

    fn is_panic(&self, endpoints: &[EndpointView]) -> bool {
        let count =
            |counts: fn(&EndpointView) -> bool| endpoints.iter().filter(|it| counts(it)).count();
        let ready = count(|one| one.state == ConnectivityState::Ready);
        let held_back = count(is_held_back);
        let percent = self.config.healthy_percent.min(100) as usize;
        held_back > 0 && ready * 100 < percent * (ready + held_back)
    }
}

fn is_held_back(one: &EndpointView) -> bool {
    one.held_back && one.state != ConnectivityState::Ready
}

impl Wrapper for PanicThreshold {
    type Config = PanicThresholdConfig;

    fn new(config: PanicThresholdConfig, child: Box<dyn Policy>) -> Self {
        Self {
            config,
            child,
            shown: Shown::default(),
        }
    }

    fn configure(&mut self, config: PanicThresholdConfig) {
        self.config = config;
    }

    fn child_mut(&mut self) -> &mut Box<dyn Policy> {
        &mut self.child
    }
}

impl Policy for PanicThreshold {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        if !self.is_panic(view.endpoints) {
            self.shown.clear();
            return self.child.update(now, view);
        }
        let all = |_: usize, one: &EndpointView| {
            is_held_back(one).then(|| {
                let mut shown = one.clone();
                shown.state = ConnectivityState::Ready;
                shown.held_back = false;
                shown.error = None;
                shown
            })
        };
        let mut update = self.shown.show(&mut *self.child, now, view, all);
        update.last_resort = true;
        update
    }
}

impl fmt::Debug for PanicThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanicThreshold")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

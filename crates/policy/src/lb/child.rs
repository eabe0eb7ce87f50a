use std::any::Any;
use std::time::Instant;

use evenkeel_core::{
    BuildPolicy, ConnectivityState, Discovery, EndpointIndex, EndpointView, Policy, Update, View,
};

use super::Subset;

/// One of the children of a wrapper that has several, with the endpoints that it is shown.
///
/// It is asked only when there is something new for it, so that one change among many endpoints
/// concerns the children only that it belongs to.
pub(super) struct Child {
    policy: Box<dyn Policy>,
    subset: Subset,
    last: Option<Update>,
    /// Its config is new, or discovery's word was: nothing it said counts any more.
    stale: bool,
}

impl Child {
    pub(super) fn new(build: &dyn BuildPolicy) -> Self {
        Self {
            policy: build.build(),
            subset: Subset::default(),
            last: None,
            stale: true,
        }
    }

    /// Gives it another config; if it cannot take that, another policy takes its place.
    pub(super) fn reconfigure(&mut self, build: &dyn BuildPolicy) {
        let running: &mut dyn Any = &mut *self.policy;
        if !build.reconfigure(running) {
            self.policy = build.build();
        }
        self.stale = true;
    }

    /// Shows it these endpoints of `view`. The places in what it says are those of `view`.
    pub(super) fn update<'a>(
        &mut self,
        now: Instant,
        view: &View<'_>,
        endpoints: impl IntoIterator<Item = (EndpointIndex, &'a EndpointView)>,
    ) -> &Update {
        let changed = self.subset.refresh(endpoints);
        let failed = matches!(view.discovery, Discovery::Failed(_));
        let due = |last: &Update| {
            last.wake_at.is_some_and(|at| at <= now)
                // What makes it ask to be called is not in the view.
                || last.observe.failures
                || view.waker.is_some()
                || (view.call_waiting && last.state == ConnectivityState::Idle)
        };
        let last = self.last.take().filter(|last| {
            let same = !changed && !self.stale && !failed;
            same && !due(last)
        });
        self.stale = failed;
        let update = last.unwrap_or_else(|| self.subset.show(&mut *self.policy, now, view));
        self.last.insert(update)
    }

    /// What it said last.
    pub(super) const fn last(&self) -> Option<&Update> {
        self.last.as_ref()
    }

    pub(super) fn endpoints(&self) -> &[EndpointView] {
        self.subset.endpoints()
    }
}

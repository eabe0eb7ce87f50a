use std::time::Instant;

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};
use evenkeel_core::{BuildPolicy, EndpointIndex, EndpointView, Update, View};

use crate::lb::shared::child::Child;
use crate::lb::shared::merged::count_ready;

/// The endpoints of one level, and the policy that balances them.
pub(super) struct Level {
    pub(super) child: Child,
    pub(super) members: Vec<EndpointIndex>,
    /// When its child was shown endpoints after it had none; `None` while it is not asked.
    pub(super) asked_since: Option<Instant>,
    /// Since when the levels above it have taken all calls.
    pub(super) unneeded_since: Option<Instant>,
}

impl Level {
    pub(super) fn new(build: &dyn BuildPolicy) -> Self {
        Self {
            child: Child::new(build),
            members: Vec::new(),
            asked_since: None,
            unneeded_since: None,
        }
    }

    pub(super) fn ask(&mut self, now: Instant, view: &View<'_>) -> &Update {
        let members = self.members.iter();
        let endpoints = members.map(|index| (*index, &view.endpoints[index.0]));
        self.child.update(now, view, endpoints)
    }

    /// How many calls it can take; it is READY, as it has `said`.
    pub(super) fn capacity(
        &self,
        said: &Update,
        patient: bool,
        view: &View<'_>,
        percent: u32,
    ) -> u64 {
        let ready = count_ready(said, view, &self.members) as u64;
        let counts = |endpoint: &&EndpointView| match endpoint.state {
            Ready | TransientFailure => true,
            Connecting => !patient,
            Idle | Shutdown => false,
        };
        let all = self.child.endpoints().iter().filter(counts).count() as u64;
        let enough = (all * u64::from(percent)).div_ceil(100).max(1);
        (WHOLE * ready / enough).min(WHOLE)
    }
}

/// All calls.
pub(super) const WHOLE: u64 = 1 << 20;

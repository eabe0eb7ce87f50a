//! What its probes come to.

use std::time::Instant;

use super::{Machine, State};
use crate::breaker::Admission;

impl Machine {
    /// The response of an admitted attempt has begun, and does not say that it is a failure. A probe
    /// that goes on until it loses its place is a success then: a stream may never end, and what
    /// was to be learned is known. If it fails before, it is a failure.
    ///
    /// Only for [probes](Admission::is_probe) there is something to tell.
    pub fn answered(&mut self, now: Instant, admission: Admission) {
        self.advance(now);
        let Some(id) = admission.probe else { return };
        if admission.generation != self.generation {
            return;
        }
        if let State::HalfOpen { probes, .. } = &mut self.state {
            match probes.iter_mut().find(|probe| probe.id == id) {
                Some(probe) => probe.is_answered = true,
                None => self.count_outlived(&[id]),
            }
        }
    }

    /// These probes were answered, go on, and have no place any more: each is a success, once.
    pub(super) fn count_outlived(&mut self, ids: &[u64]) {
        let State::HalfOpen {
            succeeded,
            outlived,
            ..
        } = &mut self.state
        else {
            return;
        };
        for id in ids {
            if !outlived.contains(id) {
                outlived.push(*id);
                *succeeded += 1;
            }
        }
        self.close_if_due();
    }

    pub(super) fn close_if_due(&mut self) {
        if let State::HalfOpen { succeeded, .. } = &self.state
            && *succeeded >= self.config.probes_to_close.max(1)
        {
            self.reset();
        }
    }
}

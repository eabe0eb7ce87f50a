use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_core::BreakerState;
use evenkeel_policy::breaker::{Admission, Machine};

/// All that a call needs to know of a machine as long as nothing is wrong: its generation and some
/// flags. Written under the lock; reading an old one is as if the call had come a little earlier.
pub(super) struct Published(AtomicU64);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary(u64);

/// Admits without asking anything.
const CLOSED: u64 = 1;
/// Closed, and successes need not be settled.
const QUIET: u64 = 2;
/// Open, and passed by attempts for which nothing else is left.
const PASSED: u64 = 4;
/// Closed, and refuses a share of the attempts.
const SHEDS: u64 = 8;
/// Every call is to be counted.
const COUNTS: u64 = 16;
const FLAGS: u32 = 5;

impl Published {
    pub(super) fn new(machine: &Machine) -> Self {
        Self(AtomicU64::new(Summary::of(machine).0))
    }

    #[inline]
    pub(super) fn load(&self) -> Summary {
        Summary(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn store(&self, machine: &Machine) {
        self.0.store(Summary::of(machine).0, Ordering::Relaxed);
    }
}

impl Summary {
    fn of(machine: &Machine) -> Self {
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        let state = machine.state();
        let is_closed = state == BreakerState::Closed;
        let is_passed = state == BreakerState::Open && machine.is_last_resort();
        Self(
            machine.generation() << FLAGS
                | flag(machine.admits_all(), CLOSED)
                | flag(machine.ignores_successes(), QUIET)
                | flag(is_passed, PASSED)
                | flag(is_closed && !machine.admits_all(), SHEDS)
                | flag(machine.tally().is_some(), COUNTS),
        )
    }

    #[inline]
    pub(super) const fn generation(self) -> u64 {
        self.0 >> FLAGS
    }

    /// Whether every attempt is admitted.
    #[inline]
    pub(super) const fn admits_all(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Whether every attempt is admitted but for a share.
    pub(super) const fn sheds(self) -> bool {
        self.0 & SHEDS != 0
    }

    /// Whether attempts pass for which nothing else is left.
    pub(super) const fn is_passed(self) -> bool {
        self.0 & PASSED != 0
    }

    /// Whether a success of `admission` changes nothing, and is not even counted.
    #[inline]
    pub(super) const fn ignores(self, admission: Admission) -> bool {
        self.0 == (admission.generation() << FLAGS | CLOSED | QUIET)
    }

    /// Whether successes of `admission` are to be counted, and nothing else.
    pub(super) const fn counts(self, admission: Admission) -> bool {
        self.generation() == admission.generation() && self.0 & QUIET != 0
    }
}

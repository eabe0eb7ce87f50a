//! What calls tell the driver, and what it wants to be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use arc_swap::{ArcSwap, Guard};
use evenkeel_core::Observe;
use futures_util::task::AtomicWaker;

/// Shared by the driver, the calls that wait and the attempts that end.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    call_waiting: AtomicBool,
    attempt_failed: AtomicBool,
    picker_asks: AtomicBool,
    driver: AtomicWaker,
    wanted: Wanted,
}

/// What the policy wants to know of attempts, which each of them reads: apart from what is written.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Wanted {
    latency: AtomicBool,
    load: AtomicBool,
    failures: AtomicBool,
    observe: ArcSwap<Observe>,
}

impl Demand {
    /// A call waits for an endpoint.
    pub(crate) fn ask(&self) {
        if !self.call_waiting.swap(true, Ordering::AcqRel) {
            self.driver.wake();
        }
    }

    /// An attempt has failed whose failures the policy wants to know.
    pub(crate) fn tell_failure(&self) {
        if !self.attempt_failed.swap(true, Ordering::AcqRel) {
            self.driver.wake();
        }
    }

    /// Wakes the driver when there is something to tell; for it to look afterwards.
    pub(crate) fn register(&self, driver: &Waker) {
        self.driver.register(driver);
    }

    /// Whether a call waits, or a picker has had its policy asked again.
    pub(crate) fn is_asked(&self) -> bool {
        self.call_waiting.load(Ordering::Acquire) || self.picker_asks.load(Ordering::Acquire)
    }

    /// Whether there was a failure that the policy wants to know.
    pub(crate) fn has_failure(&self) -> bool {
        self.attempt_failed.load(Ordering::Acquire)
    }

    /// The policy is about to be asked: whether a call waits, and whether a picker wanted it.
    pub(crate) fn take(&self) -> (bool, bool) {
        self.attempt_failed.store(false, Ordering::Release);
        (
            self.call_waiting.swap(false, Ordering::AcqRel),
            self.picker_asks.swap(false, Ordering::AcqRel),
        )
    }

    /// What the policy wants to know from now on.
    pub(crate) fn set_observe(&self, observe: Observe) {
        let Wanted {
            latency,
            load,
            failures,
            observe: kept,
        } = &self.wanted;
        let flags = [
            (latency, observe.latency.is_some()),
            (load, observe.load.is_some()),
            (failures, !observe.failures.is_empty()),
        ];
        if flags
            .iter()
            .any(|(flag, wanted)| *wanted || flag.load(Ordering::Relaxed))
        {
            kept.store(Arc::new(observe));
            for (flag, wanted) in flags {
                flag.store(wanted, Ordering::Release);
            }
        }
    }

    /// Whether attempts are timed.
    #[inline]
    pub(crate) fn wants_latency(&self) -> bool {
        self.wanted.latency.load(Ordering::Acquire)
    }

    /// Whether load reports are read.
    #[inline]
    pub(crate) fn wants_load(&self) -> bool {
        self.wanted.load.load(Ordering::Acquire)
    }

    /// Whether some failures are told: those in [`Observe::failures`].
    #[inline]
    pub(crate) fn wants_failures(&self) -> bool {
        self.wanted.failures.load(Ordering::Acquire)
    }

    /// How latency is measured and load read.
    pub(crate) fn observe(&self) -> Guard<Arc<Observe>> {
        self.wanted.observe.load()
    }
}

/// For pickers: [`View::waker`](evenkeel_core::View::waker).
impl Wake for Demand {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.picker_asks.swap(true, Ordering::AcqRel) {
            self.driver.wake();
        }
    }
}

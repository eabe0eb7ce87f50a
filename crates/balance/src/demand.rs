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
    observe: ArcSwap<Observe>,
    /// Whether there is anything in `observe`: all that most attempts read.
    is_observing: AtomicBool,
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

    pub(crate) fn is_call_waiting(&self) -> bool {
        self.call_waiting.load(Ordering::Acquire)
    }

    pub(crate) fn take_call_waiting(&self) -> bool {
        self.call_waiting.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_failure(&self) -> bool {
        self.attempt_failed.load(Ordering::Acquire)
            && self.attempt_failed.swap(false, Ordering::AcqRel)
    }

    /// Whether a picker has had its policy asked again.
    pub(crate) fn take_picker_asks(&self) -> bool {
        self.picker_asks.load(Ordering::Acquire) && self.picker_asks.swap(false, Ordering::AcqRel)
    }

    /// What the policy wants to know from now on.
    pub(crate) fn set_observe(&self, observe: Observe) {
        let is_anything = observe.is_anything();
        if is_anything || self.is_observing() {
            self.observe.store(Arc::new(observe));
            self.is_observing.store(is_anything, Ordering::Release);
        }
    }

    #[inline]
    pub(crate) fn is_observing(&self) -> bool {
        self.is_observing.load(Ordering::Acquire)
    }

    pub(crate) fn observe(&self) -> Guard<Arc<Observe>> {
        self.observe.load()
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

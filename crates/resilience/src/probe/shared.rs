use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::Context;

use evenkeel_core::error::ProbeFailed;
use evenkeel_core::{ConnectivityState, Endpoint, Report, Waiter, Waiters};
use evenkeel_policy::probe::ProbeConfig;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Probe, driver};

/// The probes of one endpoint, shared by the clones of its service; ends their task.
pub(super) struct Shared {
    probe: Arc<dyn Probe>,
    config: ProbeConfig,
    findings: Arc<Findings>,
    /// The endpoint, while it is READY.
    ready: watch::Sender<Option<Arc<Endpoint>>>,
    /// From the first time it is READY: many of many endpoints may never be.
    driver: OnceLock<JoinHandle<()>>,
}

/// What the probes have found, and who waits for something else.
#[derive(Default)]
pub(super) struct Findings(Mutex<Told>);

#[derive(Default)]
struct Told {
    found: Found,
    waiters: Waiters,
    /// How many may wait.
    watchers: usize,
}

/// What the probes have found.
#[derive(Clone, Default)]
pub(super) struct Found {
    /// Grows with each change.
    pub(super) version: u64,
    /// Why the endpoint is out, if it is.
    pub(super) failed: Option<Arc<ProbeFailed>>,
}

impl Shared {
    pub(super) fn new(probe: Arc<dyn Probe>, config: ProbeConfig) -> Self {
        Self {
            probe,
            config,
            findings: Arc::default(),
            ready: watch::Sender::new(None),
            driver: OnceLock::new(),
        }
    }

    /// The endpoint's connection says this.
    pub(super) fn follow(&self, report: &Report) {
        let is_ready = report.state == ConnectivityState::Ready;
        let ready = is_ready.then(|| report.endpoint.clone());
        self.ready.send_if_modified(|present| {
            let changed = *present != ready;
            *present = ready;
            changed
        });
        if is_ready {
            self.driver.get_or_init(|| {
                let ready = self.ready.subscribe();
                let (probe, findings) = (self.probe.clone(), self.findings.clone());
                let driver = driver::drive(probe, self.config, ready, findings);
                Handle::current().spawn(driver)
            });
        }
    }

    /// What was found so far; `waiter` is woken when that changes.
    pub(super) fn found(&self, waiter: &Waiter, cx: &Context<'_>) -> Found {
        let mut told = self.findings.0.lock();
        told.waiters.wait(waiter, cx);
        told.found.clone()
    }

    pub(super) const fn is_last_resort(&self) -> bool {
        self.config.last_resort
    }

    /// Somebody who may wait for changes.
    pub(super) fn enter(&self) -> Waiter {
        let mut told = self.findings.0.lock();
        told.watchers += 1;
        told.waiters.enter()
    }

    /// `waiter` waits no longer. When nobody does, nobody says any more whether the endpoint is READY,
    /// nor wants to know what its probes find: its running calls may keep it for long.
    pub(super) fn leave(&self, waiter: &Waiter) {
        let mut told = self.findings.0.lock();
        told.waiters.leave(waiter);
        told.watchers -= 1;
        let is_watched = told.watchers > 0;
        drop(told);
        if !is_watched {
            self.ready.send_replace(None);
        }
    }
}

impl Findings {
    /// The endpoint is out because of this, or in.
    pub(super) fn set(&self, failed: Option<ProbeFailed>) {
        let mut told = self.0.lock();
        told.found.version += 1;
        told.found.failed = failed.map(Arc::new);
        let waited = told.waiters.take();
        drop(told);
        waited.wake();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.get() {
            driver.abort();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes")
            .field("config", &self.config)
            .field("endpoint", &*self.ready.borrow())
            .field("failed", &self.findings.0.lock().found.failed)
            .finish_non_exhaustive()
    }
}

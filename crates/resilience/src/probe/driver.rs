//! Does what the machine of the probes says, and shows what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::Endpoint;
use evenkeel_core::error::{BoxError, ProbeFailed, chain};
use evenkeel_policy::probe::{Change, Machine, ProbeConfig, Step};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

use super::Probe;
use super::shared::Findings;

/// Runs until it is aborted.
pub(super) async fn drive(
    probe: Arc<dyn Probe>,
    config: ProbeConfig,
    mut ready: watch::Receiver<Option<Arc<Endpoint>>>,
    findings: Arc<Findings>,
) {
    let mut probes = Probes {
        probe,
        machine: Machine::new(config),
        findings: InOnPanic(findings),
    };
    loop {
        match probes.machine.step() {
            Step::Rest => {
                // An error: there is nobody left to probe for.
                if ready.wait_for(Option::is_some).await.is_err() {
                    return;
                }
                probes.machine.connected(now(), fastrand::f64());
            }
            Step::Wait { until } => {
                tokio::select! {
                    biased;
                    () = gone(&mut ready) => probes.machine.disconnected(),
                    () = sleep_until(until.into()) => probes.machine.waited(now()),
                }
            }
            Step::Probe { until } => {
                let Some(endpoint) = ready.borrow().clone() else {
                    probes.machine.disconnected();
                    continue;
                };
                tokio::select! {
                    biased;
                    () = gone(&mut ready) => probes.machine.disconnected(),
                    result = probes.probe(&endpoint, until) => probes.ended(endpoint, result),
                }
            }
        }
    }
}

/// Resolves when the endpoint is not READY.
async fn gone(ready: &mut watch::Receiver<Option<Arc<Endpoint>>>) {
    // An error: there is nobody left to probe for.
    let _ = ready.wait_for(Option::is_none).await;
}

struct Probes {
    probe: Arc<dyn Probe>,
    machine: Machine,
    findings: InOnPanic,
}

impl Probes {
    fn probe(
        &self,
        endpoint: &Arc<Endpoint>,
        until: Instant,
    ) -> impl Future<Output = Result<(), BoxError>> + use<> {
        let probing = timeout_at(until.into(), self.probe.probe(endpoint.clone()));
        async {
            probing
                .await
                .unwrap_or_else(|_| Err("no answer in time".into()))
        }
    }

    fn ended(&mut self, endpoint: Arc<Endpoint>, result: Result<(), BoxError>) {
        let failures = self.machine.failures() + 1;
        let change = self.machine.ended(now(), result.is_ok(), fastrand::f64());
        let probe = Described(&*self.probe);
        match (change, result) {
            (Some(Change::Out), Err(reason)) => {
                let probe = probe.to_string();
                let failed = ProbeFailed::new(endpoint, probe, failures, chain(&*reason));
                warn!(endpoint = %failed.endpoint, reason = %failed, "gets no calls");
                self.findings.0.set(Some(failed));
            }
            (Some(Change::In), _) => {
                info!(%endpoint, %probe, "succeeds again, gets calls");
                self.findings.0.set(None);
            }
            (_, Err(reason)) => {
                debug!(%endpoint, %probe, failures, reason = %chain(&*reason), "failed");
            }
            (_, Ok(())) => {}
        }
    }
}

struct Described<'a>(&'a dyn Probe);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}

/// Brings an endpoint in whose probe has panicked: nobody else would.
struct InOnPanic(Arc<Findings>);

impl Drop for InOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("a probe panicked, its endpoint is not probed any more");
            self.0.set(None);
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

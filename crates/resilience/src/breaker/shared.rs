use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evenkeel_core::error::BreakerOpen;
use evenkeel_core::{BreakerState, Endpoint, Outcome};
use evenkeel_policy::breaker::{Admission, BreakerConfig, Machine};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::BreakerStatus;

/// One breaker, shared by the clones of its service, their calls and its handles.
pub(super) struct Shared {
    config: BreakerConfig,
    /// The machine's generation, [`CLOSED`] and [`QUIET`]: all that a call needs to know as long
    /// as nothing is wrong. Written under the lock; reading an old one is as if the call had come
    /// a little earlier.
    summary: AtomicU64,
    state: Mutex<State>,
    status: watch::Sender<BreakerStatus>,
}

struct State {
    machine: Machine,
    name: Name,
    tripped_by: Option<Arc<str>>,
    /// Counts the attempts it has refused.
    refusals: u64,
}

enum Name {
    Unknown,
    Given(Arc<str>),
    Endpoint(Arc<Endpoint>),
}

/// Admits without asking the machine.
const CLOSED: u64 = 1;
/// Successes need not be settled.
const QUIET: u64 = 2;
const FLAGS: u32 = 2;

impl Shared {
    pub(super) fn new(config: BreakerConfig, name: Option<Arc<str>>) -> Self {
        let machine = Machine::new(config);
        Self {
            config,
            summary: AtomicU64::new(summary(&machine)),
            status: watch::Sender::new(status(&machine, None)),
            state: Mutex::new(State {
                machine,
                name: name.map_or(Name::Unknown, Name::Given),
                tripped_by: None,
                refusals: 0,
            }),
        }
    }

    /// Admits an attempt or says why not.
    pub(super) fn admit(&self) -> Result<Admission, BreakerOpen> {
        let summary = self.summary.load(Ordering::Relaxed);
        if summary & CLOSED != 0 {
            return Ok(Admission::closed(summary >> FLAGS));
        }
        let mut state = self.state.lock();
        let admitted = state.machine.admit(now());
        self.publish(&mut state);
        admitted.map_err(|refused| {
            state.refusals += 1;
            state.refusal(refused.retry_in)
        })
    }

    /// Takes the outcome of an admitted attempt; `text` tells its failure if it trips the breaker.
    pub(super) fn settle(
        &self,
        admission: Admission,
        outcome: Outcome,
        text: impl FnOnce() -> String,
    ) {
        if !admission.is_probe() {
            let summary = self.summary.load(Ordering::Relaxed);
            let is_quiet = summary == (admission.generation() << FLAGS | CLOSED | QUIET);
            match self.config.verdict(outcome) {
                None => return,
                Some(true) if is_quiet => return,
                Some(_) => {}
            }
        }
        let mut state = self.state.lock();
        let before = state.machine.generation();
        let random = fastrand::u64(..);
        state.machine.settle(now(), admission, outcome, random);
        if state.machine.generation() != before && state.machine.state() == BreakerState::Open {
            let text = format!("{} ({})", text(), state.machine.explain());
            state.tripped_by = Some(text.into());
        }
        self.publish(&mut state);
    }

    /// Does what is due and says what the breaker is doing then.
    pub(super) fn advance(&self) -> BreakerStatus {
        self.advance_counted().0
    }

    /// The same, and how many attempts it has refused so far.
    pub(super) fn advance_counted(&self) -> (BreakerStatus, u64) {
        let mut state = self.state.lock();
        state.machine.advance(now());
        self.publish(&mut state);
        let status = status(&state.machine, state.tripped_by.clone());
        (status, state.refusals)
    }

    /// Changes it by hand, for `reason`.
    pub(super) fn change(&self, reason: &str, change: impl FnOnce(&mut Machine)) {
        let mut state = self.state.lock();
        change(&mut state.machine);
        if state.machine.state() == BreakerState::Open {
            state.tripped_by = Some(reason.into());
        }
        self.publish(&mut state);
    }

    pub(super) fn watch(&self) -> watch::Receiver<BreakerStatus> {
        self.status.subscribe()
    }

    /// Learns which endpoint it guards, unless it was given a name.
    pub(super) fn guards(&self, endpoint: &Arc<Endpoint>) {
        let mut state = self.state.lock();
        if !matches!(state.name, Name::Given(_)) {
            state.name = Name::Endpoint(Arc::clone(endpoint));
        }
    }

    /// Why an attempt is refused now.
    pub(super) fn refusal(&self) -> BreakerOpen {
        let state = self.state.lock();
        let wake_at = match state.machine.state() {
            BreakerState::Open => state.machine.wake_at(),
            BreakerState::Closed | BreakerState::HalfOpen => None,
        };
        let retry_in = wake_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now()));
        state.refusal(retry_in)
    }

    /// Lets calls and watchers see what has become of the machine.
    fn publish(&self, state: &mut State) {
        let machine = &state.machine;
        self.summary.store(summary(machine), Ordering::Relaxed);
        let status = status(machine, state.tripped_by.clone());
        let mut before = BreakerState::Closed;
        let changed = self.status.send_if_modified(|known| {
            before = known.state;
            let changed = (known.state, known.admits, known.wake_at)
                != (status.state, status.admits, status.wake_at);
            if changed {
                *known = status.clone();
            }
            changed
        });
        if changed && before != status.state {
            state.log(&status);
        }
    }
}

impl State {
    fn refusal(&self, retry_in: Duration) -> BreakerOpen {
        let tripped_by = self.tripped_by.as_deref().unwrap_or_default();
        BreakerOpen::new(self.name.to_string(), retry_in, tripped_by.to_owned())
    }

    fn log(&self, status: &BreakerStatus) {
        let name = &self.name;
        let last_error = status.tripped_by.as_deref().unwrap_or_default();
        match status.state {
            BreakerState::Open => {
                let open_for = status.wake_at.map(|at| at.saturating_duration_since(now()));
                tracing::warn!(endpoint = %name, last_error, ?open_for, "breaker tripped");
            }
            BreakerState::HalfOpen => tracing::debug!(endpoint = %name, "breaker probes"),
            BreakerState::Closed => tracing::info!(endpoint = %name, "breaker reset"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the service"),
            Self::Given(name) => f.write_str(name),
            Self::Endpoint(endpoint) => endpoint.fmt(f),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Breaker")
            .field("name", &format_args!("{}", state.name))
            .field("machine", &state.machine)
            .finish_non_exhaustive()
    }
}

fn summary(machine: &Machine) -> u64 {
    let closed = match machine.state() {
        BreakerState::Closed => CLOSED,
        BreakerState::Open | BreakerState::HalfOpen => 0,
    };
    let quiet = if machine.ignores_successes() {
        QUIET
    } else {
        0
    };
    machine.generation() << FLAGS | closed | quiet
}

fn status(machine: &Machine, tripped_by: Option<Arc<str>>) -> BreakerStatus {
    BreakerStatus {
        state: machine.state(),
        admits: machine.admits(),
        wake_at: machine.wake_at(),
        tripped_by,
    }
}

/// The time as tokio has it, which tests pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

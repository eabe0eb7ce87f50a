use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

use evenkeel_core::error::BreakerOpen;
use evenkeel_core::{Admit, BreakerState, Endpoint, Outcome, Waited, Waiter, Waiters};
use evenkeel_policy::breaker::{Admission, BreakerConfig, Machine};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::BreakerStatus;

/// One breaker, shared by the clones of its service, their calls and its handles.
pub(super) struct Shared {
    config: Arc<BreakerConfig>,
    /// The machine's generation, [`CLOSED`], [`QUIET`] and [`PASSED`]: all that a call needs to know as long
    /// as nothing is wrong. Written under the lock; reading an old one is as if the call had come
    /// a little earlier.
    summary: AtomicU64,
    state: Mutex<State>,
}

struct State {
    machine: Machine,
    name: Name,
    tripped_by: Option<Arc<str>>,
    /// Counts the attempts it has refused.
    refusals: u64,
    shown: Shown,
    /// The views of the service's clones.
    waiters: Waiters,
    /// Made for the first handle that asks: there may be many thousands of breakers.
    status: Option<watch::Sender<BreakerStatus>>,
}

/// What there is to see of a machine, as of the last change.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown {
    state: BreakerState,
    admits: bool,
    wake_at: Option<Instant>,
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
/// Open, and passed by attempts for which nothing else is left.
const PASSED: u64 = 4;
const FLAGS: u32 = 3;

impl Shared {
    pub(super) fn new(config: Arc<BreakerConfig>, name: Option<Arc<str>>) -> Self {
        let machine = Machine::new(config.clone());
        Self {
            config,
            summary: AtomicU64::new(summary(&machine)),
            state: Mutex::new(State {
                shown: Shown::of(&machine),
                machine,
                name: name.map_or(Name::Unknown, Name::Given),
                tripped_by: None,
                refusals: 0,
                waiters: Waiters::new(),
                status: None,
            }),
        }
    }

    /// Admits an attempt or says why not.
    pub(super) fn admit(&self, admit: Admit) -> Result<Admission, BreakerOpen> {
        let summary = self.summary.load(Ordering::Relaxed);
        if summary & CLOSED != 0 {
            return Ok(Admission::closed(summary >> FLAGS));
        }
        if admit == Admit::LastResort && summary & PASSED != 0 {
            return Ok(Admission::unrecorded());
        }
        let mut state = self.state.lock();
        let admitted = match admit {
            Admit::Normally => state.machine.admit(now()),
            Admit::LastResort => state.machine.admit_as_last_resort(now()),
        };
        let admitted = admitted.map_err(|refused| {
            state.refusals += 1;
            state.refusal(refused.retry_in)
        });
        self.publish(state);
        admitted
    }

    /// Whether calls pass it when nothing else is left.
    pub(super) fn is_last_resort(&self) -> bool {
        self.state.lock().machine.is_last_resort()
    }

    /// Takes the outcome of an admitted attempt; `text` tells its failure if it trips the breaker.
    pub(super) fn settle(
        &self,
        admission: Admission,
        outcome: Outcome,
        text: impl FnOnce() -> String,
    ) {
        if admission.is_unrecorded() {
            return;
        }
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
        self.publish(state);
    }

    /// Does what is due and says what the breaker is doing then.
    pub(super) fn advance(&self) -> BreakerStatus {
        let mut state = self.state.lock();
        state.machine.advance(now());
        let status = state.status();
        self.publish(state);
        status
    }

    /// The same, and how many attempts it has refused so far; the next change wakes `waiter`.
    pub(super) fn advance_and_wait(
        &self,
        waiter: &Waiter,
        cx: &Context<'_>,
    ) -> (BreakerStatus, u64) {
        let mut state = self.state.lock();
        // What is due now is what it gets: that needs no waking.
        state.waiters.leave(waiter);
        state.machine.advance(now());
        let seen = (state.status(), state.refusals);
        let waited = self.show(&mut state);
        state.waiters.wait(waiter, cx);
        drop(state);
        waited.wake();
        seen
    }

    /// Somebody who may wait for changes.
    pub(super) fn enter(&self) -> Waiter {
        self.state.lock().waiters.enter()
    }

    /// `waiter` waits no longer.
    pub(super) fn leave(&self, waiter: &Waiter) {
        self.state.lock().waiters.leave(waiter);
    }

    /// Changes it by hand, for `reason`.
    pub(super) fn change(&self, reason: &str, change: impl FnOnce(&mut Machine)) {
        let mut state = self.state.lock();
        change(&mut state.machine);
        if state.machine.state() == BreakerState::Open {
            state.tripped_by = Some(reason.into());
        }
        self.publish(state);
    }

    pub(super) fn watch(&self) -> watch::Receiver<BreakerStatus> {
        let mut state = self.state.lock();
        let status = state.status();
        let sender = state
            .status
            .get_or_insert_with(|| watch::Sender::new(status));
        sender.subscribe()
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
    fn publish(&self, mut state: MutexGuard<'_, State>) {
        let waited = self.show(&mut state);
        drop(state);
        waited.wake();
    }

    /// The same, but for waking those who waited for it.
    fn show(&self, state: &mut State) -> Waited {
        self.summary
            .store(summary(&state.machine), Ordering::Relaxed);
        let shown = Shown::of(&state.machine);
        let before = mem::replace(&mut state.shown, shown);
        if before == shown {
            return Waited::default();
        }
        let status = state.status();
        if before.state != shown.state {
            state.log(&status);
        }
        if let Some(sender) = &state.status {
            sender.send_replace(status);
        }
        state.waiters.take()
    }
}

impl Shown {
    fn of(machine: &Machine) -> Self {
        Self {
            state: machine.state(),
            admits: machine.admits(),
            wake_at: machine.wake_at(),
        }
    }
}

impl State {
    fn status(&self) -> BreakerStatus {
        let Shown {
            state,
            admits,
            wake_at,
        } = Shown::of(&self.machine);
        BreakerStatus {
            state,
            admits,
            wake_at,
            tripped_by: self.tripped_by.clone(),
        }
    }

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
    let passed = match machine.state() {
        BreakerState::Open if machine.is_last_resort() => PASSED,
        _ => 0,
    };
    machine.generation() << FLAGS | closed | quiet | passed
}

/// The time as tokio has it, which tests pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

//! One breaker, and how its calls get by without its lock.

mod state;
mod summary;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use evenkeel_core::error::BreakerOpen;
use evenkeel_core::{Admit, BreakerState, Endpoint, Outcome, Waited, Waiter, Waiters};
use evenkeel_policy::breaker::{
    Admission, BreakerConfig, Counted, Machine, Refused, Tally, Verdict,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use self::state::{Name, Shown, State, retry_in};
use self::summary::{Published, Summary};
use super::ticket::failure_text;
use super::{BreakerStatus, Classifier, Failure};

/// One breaker, shared by the clones of its service, their calls and its handles.
pub(super) struct Shared {
    config: Arc<BreakerConfig>,
    classifier: Option<Classifier>,
    summary: Published,
    /// The machine's.
    tally: Option<Arc<Tally>>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(
        config: Arc<BreakerConfig>,
        classifier: Option<Classifier>,
        name: Option<Arc<str>>,
    ) -> Self {
        let machine = Machine::new(config.clone(), now());
        Self {
            config,
            classifier,
            summary: Published::new(&machine),
            tally: machine.tally().cloned(),
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
    #[inline]
    pub(super) fn admit(&self, admit: Admit) -> Result<Admission, BreakerOpen> {
        let summary = self.summary.load();
        if summary.admits_all() {
            return Ok(Admission::closed(summary.generation()));
        }
        match &self.tally {
            Some(tally) if summary.sheds() => self.admit_or_shed(tally, summary, admit),
            _ => self.admit_by_machine(summary, admit),
        }
    }

    /// The breaker is closed, and refuses a share of the attempts.
    fn admit_or_shed(
        &self,
        tally: &Tally,
        summary: Summary,
        admit: Admit,
    ) -> Result<Admission, BreakerOpen> {
        let passes = admit == Admit::LastResort && self.config.last_resort;
        // Nearly always there is no share: then not even the time is asked.
        if passes || tally.share() <= 0.0 {
            return Ok(Admission::closed(summary.generation()));
        }
        if tally.is_due(now()) {
            self.advance();
        }
        match tally.sheds(fastrand::u64(..)) {
            None => Ok(Admission::closed(summary.generation())),
            Some(share) => Err(self.shed(share)),
        }
    }

    /// Whoever watches learns with the first refusal, at the latest, that there is a share.
    #[cold]
    fn shed(&self, share: f64) -> BreakerOpen {
        let state = self.state.lock();
        let refusal = state.refusal(Refused::shed(share));
        self.publish(state);
        refusal
    }

    #[cold]
    fn admit_by_machine(&self, summary: Summary, admit: Admit) -> Result<Admission, BreakerOpen> {
        if admit == Admit::LastResort && summary.is_passed() {
            return Ok(Admission::unrecorded());
        }
        let mut state = self.state.lock();
        let random = fastrand::u64(..);
        let admitted = match admit {
            Admit::Normally => state.machine.admit(now(), random),
            Admit::LastResort => state.machine.admit_as_last_resort(now(), random),
        };
        let admitted = admitted.map_err(|refused| {
            // Who is shed does not wait for a report.
            state.refusals += u64::from(refused.shed.is_none());
            state.refusal(refused)
        });
        self.publish(state);
        admitted
    }

    /// Whether calls pass it when nothing else is left.
    pub(super) fn is_last_resort(&self) -> bool {
        self.state.lock().machine.is_last_resort()
    }

    /// The response of an admitted attempt has begun: only of a probe that says anything.
    #[inline]
    pub(super) fn answered(&self, admission: Admission) {
        if admission.is_probe() {
            self.answered_by_machine(admission);
        }
    }

    #[cold]
    fn answered_by_machine(&self, admission: Admission) {
        let mut state = self.state.lock();
        state.machine.answered(now(), admission);
        self.publish(state);
    }

    /// Takes the outcome of an admitted attempt; `message` is what its failure said, if that is
    /// known.
    #[inline]
    pub(super) fn settle(&self, admission: Admission, outcome: Outcome, message: &str) {
        if admission.is_unrecorded() {
            return;
        }
        let verdict = self.verdict(outcome, message);
        if !admission.is_probe() {
            let summary = self.summary.load();
            match verdict {
                Verdict::Nothing => return,
                Verdict::Success if summary.ignores(admission) => return,
                Verdict::Success | Verdict::Failure => {}
            }
            if let Some(tally) = &self.tally
                && summary.counts(admission)
                && self.count(tally, admission, verdict, || failure_text(outcome, message))
            {
                return;
            }
        }
        self.settle_by_machine(admission, verdict, || failure_text(outcome, message));
    }

    #[inline]
    fn verdict(&self, outcome: Outcome, message: &str) -> Verdict {
        match (outcome, &self.classifier) {
            (Outcome::Failure(code), Some(classifier)) => {
                classifier.verdict(&Failure { code, message })
            }
            (outcome, _) => self.config.verdict(outcome),
        }
    }

    /// Counts an attempt without the lock; false if the machine must be told of it.
    fn count(
        &self,
        tally: &Tally,
        admission: Admission,
        verdict: Verdict,
        text: impl Fn() -> String,
    ) -> bool {
        let is_success = verdict == Verdict::Success;
        if !is_success && self.config.consecutive_failures > 0 {
            return false;
        }
        match tally.count(now(), is_success) {
            Counted::Not => return false,
            Counted::Quietly => {}
            Counted::Tripping => {
                let generation = admission.generation();
                self.change_by(verdict, &text, |machine, now, random| {
                    machine.judge(now, generation, random);
                });
                return true;
            }
        }
        // As good as any other: nobody waits to tell it.
        if !is_success
            && tally.share() > 0.0
            && let Some(mut state) = self.state.try_lock()
        {
            state.tripped_by = Some(text().into());
        }
        true
    }

    #[cold]
    fn settle_by_machine(&self, admission: Admission, verdict: Verdict, text: impl Fn() -> String) {
        self.change_by(verdict, &text, |machine, now, random| {
            machine.settle(now, admission, verdict, random);
        });
    }

    /// Tells of the attempt's failure if the breaker opens or sheds for it.
    fn change_by(
        &self,
        verdict: Verdict,
        text: &impl Fn() -> String,
        change: impl FnOnce(&mut Machine, Instant, u64),
    ) {
        let mut state = self.state.lock();
        let before = state.machine.generation();
        change(&mut state.machine, now(), fastrand::u64(..));
        if state.machine.generation() != before && state.machine.state() == BreakerState::Open {
            let text = format!("{} ({})", text(), state.machine.explain());
            state.tripped_by = Some(text.into());
        } else if verdict == Verdict::Failure && state.machine.share() > 0.0 {
            state.tripped_by = Some(text().into());
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

    /// What it guards.
    pub(super) fn name(&self) -> String {
        self.state.lock().name.to_string()
    }

    /// Why an attempt is refused now.
    pub(super) fn refusal(&self) -> BreakerOpen {
        let state = self.state.lock();
        state.refusal(Refused::until(retry_in(&state.machine)))
    }

    /// Lets calls and watchers see what has become of the machine.
    fn publish(&self, mut state: MutexGuard<'_, State>) {
        let waited = self.show(&mut state);
        drop(state);
        waited.wake();
    }

    /// The same, but for waking those who waited for it.
    fn show(&self, state: &mut State) -> Waited {
        self.summary.store(&state.machine);
        let shown = Shown::of(&state.machine);
        let before = mem::replace(&mut state.shown, shown);
        if before == shown {
            return Waited::default();
        }
        let status = state.status();
        state.log(before, &status);
        if let Some(sender) = &state.status {
            sender.send_replace(status);
        }
        state.waiters.take()
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

/// The time as tokio has it, which tests pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;

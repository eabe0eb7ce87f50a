mod build;
mod level;
mod levels;
mod picker;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};
use evenkeel_core::{BuildPolicy, EndpointIndex, Policy, Update, View};
use tonic::Status;

pub use self::build::{PriorityBuilder, PriorityConfig};
use self::level::{Level, WHOLE};
pub use self::levels::{Levels, Selector};
use self::picker::{PriorityPicker, Share};

use crate::lb::FailPicker;
use crate::lb::shared::child::Child;
use crate::lb::shared::described::Described;
use crate::lb::shared::merged::{both, earlier};
use crate::time::after;

/// Prefers some endpoints to others: calls go to the first level of endpoints that can take them,
/// and spill over to the next ones as far as it cannot.
///
/// Each endpoint is in one level or in none, as [`Levels`] says; those in none get no calls. Each
/// level is balanced by a child policy of its own, which lives as long as this one.
///
/// # Spilling over
///
/// A level takes all calls while at least
/// [`min_healthy_percent`](PriorityConfig::min_healthy_percent) of its endpoints are READY. With
/// fewer it takes as many calls as that allows, and the levels below take the rest: at 70 %, a
/// level that is half READY takes 5 of 7 calls, so its endpoints get no more calls each than when
/// 70 % of them were READY. That is how Envoy spills over (its overprovisioning factor of 1.4
/// is 71 %): nothing is left unused that works, and no single endpoint tips all calls over. When no level has
/// enough, all calls are shared among those that have any, in the same proportions.
///
/// An endpoint that is IDLE on purpose (those that pick_first does not use) does not count, and one that
/// the level's own child has [ejected](Update::ejected) does not count as READY.
///
/// # States
///
/// | levels | channel | a call |
/// |---|---|---|
/// | the first that is READY or IDLE is READY | READY | goes there, or spills over |
/// | it is IDLE | IDLE | goes there, and its level connects for it |
/// | none is, one is CONNECTING | CONNECTING | waits |
/// | all fail, one has endpoints [held back](evenkeel_core::EndpointView::held_back) | READY | goes there, as the last resort |
/// | all fail | TRANSIENT_FAILURE | fails |
///
/// A child that is IDLE while calls go to another level is told that a call waits. One that goes on
/// connecting only for calls of its own, as ring_hash does, gets them: it takes all that the levels above it
/// leave (gRFC A56). Such a child is not warm before.
///
/// A level that connects for the first time gets [`failover_delay`](PriorityConfig::failover_delay) to do
/// it before calls go to the next, as in gRFC A56, unless calls went somewhere just before: those never
/// wait for a better level. A56 gives that time again to a level which connects once more after it was
/// READY or IDLE; here the next level takes its calls at once.
///
/// A retry goes to the next level when its call has tried all that its own level offers, if one is
/// READY. If none is, it has a child like ring_hash connect one for it, but does not wait for that: it goes
/// again where it was, and the next retry to what is connected by then.
pub struct Priority {
    config: PriorityConfig,
    assign: Levels,
    build: Arc<dyn BuildPolicy>,
    levels: Vec<Level>,
    /// The level of each endpoint.
    places: Described<Option<usize>>,
    was_ready: bool,
}

impl Priority {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.priority";
}

/// How long a level that is not needed stays connected when it need not be warm, as in gRPC.
const KEPT_CONNECTED: Duration = Duration::from_secs(15 * 60);

/// What the levels came to, from the first on.
#[derive(Default)]
struct Choice {
    shares: Vec<Share>,
    taken: u64,
    /// A level that connects for the first time has not had its time yet.
    blocked: bool,
    /// A level that is IDLE takes calls.
    any_idle: bool,
    /// A level that is READY could take some.
    any_ready: bool,
    /// One does.
    ready: bool,
    /// A level that takes calls gives endpoints that are held back.
    uses_last_resort: bool,
    /// The first level that is CONNECTING.
    waiting: Option<usize>,
    /// The first level that has only endpoints that are held back or ejected.
    last_resort: Option<usize>,
    wake_at: Option<Instant>,
}

impl Priority {
    fn assign(&mut self, view: &View<'_>) -> bool {
        let assign = &self.assign;
        self.places.follow(view, |metadata| assign.of(metadata));
        for level in &mut self.levels {
            level.members.clear();
        }
        let mut any = false;
        for ((index, _), level) in view.indexed().zip(self.places.iter()) {
            if let Some(level) = *level {
                self.levels[level].members.push(index);
                any = true;
            }
        }
        any
    }

    /// Asks the levels that are needed, or are to be warm, and decides which take calls.
    /// To `wake` is to tell those that are IDLE that a call waits.
    fn choose(&mut self, now: Instant, view: &View<'_>, wake: bool) -> Choice {
        let PriorityConfig {
            min_healthy_percent,
            failover_delay,
            warm,
        } = self.config;
        let mut choice = Choice::default();
        for (place, level) in self.levels.iter_mut().enumerate() {
            if level.members.is_empty() {
                level.asked_since = None;
                level.ask(now, view);
                continue;
            }
            let needed = choice.taken < WHOLE && !choice.blocked;
            if needed || warm {
                level.unneeded_since = None;
            } else if level.asked_since.is_none() {
                continue;
            } else {
                let until = *level.unneeded_since.get_or_insert(now) + KEPT_CONNECTED;
                if until <= now {
                    level.asked_since = None;
                    level.child = Child::new(&*self.build);
                    continue;
                }
                choice.wake_at = earlier(choice.wake_at, Some(until));
            }
            let asked_since = *level.asked_since.get_or_insert(now);
            let patient_until = after(asked_since, failover_delay);
            let patient = now < patient_until;
            let mut said = level.ask(now, view);
            if wake && said.state == Idle {
                said = level.ask(now, &view.with_call_waiting(true));
            }
            let said = said.clone();
            let mut members = level.child.endpoints().iter();
            if patient && members.any(|one| one.state == Connecting) {
                choice.wake_at = earlier(choice.wake_at, Some(patient_until));
            }
            // A level that only calls which had an endpoint may go past.
            let reached = !choice.blocked || self.was_ready;
            let left = if reached { WHOLE - choice.taken } else { 0 };
            let capacity = match said.state {
                Ready => level.capacity(&said, patient, view, min_healthy_percent),
                Idle => left,
                Connecting | TransientFailure | Shutdown => 0,
            };
            match said.state {
                Ready if capacity == 0 => {
                    choice.last_resort.get_or_insert(place);
                }
                Ready | Idle => {
                    let share = capacity.min(left);
                    choice.taken += share;
                    choice.any_idle |= said.state == Idle && share > 0;
                    choice.any_ready |= said.state == Ready;
                    choice.ready |= said.state == Ready && share > 0;
                    choice.uses_last_resort |= said.last_resort && share > 0;
                    let up_to = choice.taken;
                    let picker = said.picker;
                    choice.shares.push(Share { up_to, picker });
                }
                Connecting => {
                    choice.waiting.get_or_insert(place);
                    choice.blocked |= patient && choice.taken == 0;
                }
                TransientFailure | Shutdown => {}
            }
        }
        choice
    }
}

impl Policy for Priority {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let any = self.assign(view);
        let mut choice = self.choose(now, view, false);
        if choice.any_idle && choice.any_ready {
            // Calls that another level takes wake nobody. Who stays IDLE connects for its own calls.
            choice = self.choose(now, view, true);
        }
        let last = |place: usize| self.levels[place].child.last();
        let mut update = if choice.taken > 0 {
            let picker = PriorityPicker::new(choice.shares, view);
            let state = if choice.ready { Ready } else { Idle };
            let mut update = Update::new(state, Arc::new(picker));
            update.last_resort = choice.uses_last_resort;
            update
        } else if let Some(waiting) = choice.waiting.and_then(last) {
            Update::new(Connecting, waiting.picker.clone())
        } else if let Some(resort) = choice.last_resort.and_then(last) {
            let mut update = Update::new(Ready, resort.picker.clone());
            update.last_resort = resort.last_resort;
            update
        } else if any || view.endpoints.is_empty() {
            Update::new(TransientFailure, Arc::new(FailPicker::no_endpoint(view)))
        } else {
            let count = view.endpoints.len();
            let text = format!("none of {count} endpoints is in a level that calls may go to");
            let picker = FailPicker::new(Status::unavailable(text));
            Update::new(TransientFailure, Arc::new(picker))
        };
        self.was_ready = update.state == Ready;
        update.wake_at = choice.wake_at;
        self.carry_out(now, view, &mut update);
        update
    }
}

impl Priority {
    /// Adds what the children of the levels want, and closes what nobody does.
    fn carry_out(&mut self, now: Instant, view: &View<'_>, update: &mut Update) {
        let is_open =
            |index: &&EndpointIndex| !matches!(view.endpoints[index.0].state, Idle | Shutdown);
        for level in &mut self.levels {
            if level.asked_since.is_none() {
                // Another policy may have connected them.
                level.unneeded_since = None;
                update
                    .disconnect
                    .extend(level.members.iter().filter(is_open));
                continue;
            }
            if self.was_ready && level.child.last().is_some_and(|last| last.state == Idle) {
                // No call goes there while another level serves, so none would wake it.
                level.ask(now, &view.with_call_waiting(true));
            }
            if let Some(last) = level.child.last() {
                update.connect.extend(&last.connect);
                update.disconnect.extend(&last.disconnect);
                update.ejected.extend(last.ejected.iter().cloned());
                update.wake_at = earlier(update.wake_at, last.wake_at);
                update.observe = both(std::mem::take(&mut update.observe), &last.observe);
            }
        }
        let unplaced = self.places.iter().zip(view.indexed());
        let unplaced = unplaced.filter(|(level, _)| level.is_none());
        let unplaced = unplaced.map(|(_, (index, _))| index);
        update
            .disconnect
            .extend(unplaced.filter(|index| is_open(&index)));
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Priority")
            .field("config", &self.config)
            .field("levels", &self.levels.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use evenkeel_core::error::NoEndpoint;
use evenkeel_core::{EndpointId, EndpointIndex, Pick, PickArgs, Picker};
use tonic::Status;

use super::HashOn;
use super::layout::Layout;
use super::next::Next;
use super::wishes::Wishes;

/// One endpoint's state, as far as a walk along the ring tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Idle,
    /// Or IDLE and told to connect.
    Connecting,
    Failing,
}

pub(super) struct RingPicker {
    pub(super) layout: Arc<Layout>,
    pub(super) hash_on: Option<HashOn>,
    pub(super) bound: Option<Bound>,
    pub(super) states: Box<[State]>,
    /// Where a walk comes to an endpoint that is not failing.
    pub(super) usable: Next,
    /// Where it comes to a READY one.
    pub(super) ready: Next,
    /// Whether an endpoint is CONNECTING.
    pub(super) connecting: bool,
    pub(super) wishes: Wishes,
    /// What is wrong with each endpoint, when all are failing.
    pub(super) failures: Option<Arc<NoEndpoint>>,
}

/// How much load an endpoint may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) factor: f64,
    /// The weight of all that may have some.
    pub(super) weight: f64,
}

impl RingPicker {
    pub(super) fn wishes(&self) -> impl Iterator<Item = EndpointId> {
        let places = self.wishes.places();
        places.map(|place| self.layout.ids[place])
    }

    /// For a call with a key. Its endpoint is the first on its walk that is not failing, and if
    /// that is not READY, the call waits for it. A retry has lost its endpoint anyway: it waits for none
    /// that is connecting while another one is READY.
    fn pick_keyed(&self, args: &PickArgs<'_>, entry: usize) -> Pick {
        let Some(mut own) = self.usable.from(entry) else {
            return self.fail(entry);
        };
        if !args.tried.is_empty() {
            own = self.avoid(
                own,
                args.tried,
                |state| state != State::Failing,
                &self.usable,
            );
        }
        let place = self.layout.ring.place(own);
        match self.states[place] {
            State::Ready => self.within_bound(args, own, place),
            State::Idle => Pick::Connect(EndpointIndex(place)),
            State::Connecting | State::Failing => match self.ready.from(entry) {
                Some(ready) if !args.tried.is_empty() => self.pick_ready(args, ready),
                _ => Pick::Queue,
            },
        }
    }

    /// The first READY one from `entry` on, which is one, that is not tried; that of `entry` if there
    /// is none.
    #[cold]
    fn pick_ready(&self, args: &PickArgs<'_>, entry: usize) -> Pick {
        let is_ready = |state| state == State::Ready;
        let ready = match args.tried {
            [] => entry,
            tried => self.avoid(entry, tried, is_ready, &self.ready),
        };
        self.within_bound(args, ready, self.layout.ring.place(ready))
    }

    /// For a call without one. Any endpoint will do: the first READY one on its walk.
    #[cold]
    fn pick_random(&self, args: &PickArgs<'_>, entry: usize) -> Pick {
        let Some(usable) = self.usable.from(entry) else {
            return self.fail(entry);
        };
        // What is not failing and comes before the first READY one is IDLE if none is CONNECTING.
        let first = self.layout.ring.place(usable);
        let connects = !self.connecting && self.states[first] == State::Idle;
        let Some(ready) = self.ready.from(entry) else {
            return if connects {
                Pick::Connect(EndpointIndex(first))
            } else {
                Pick::Queue
            };
        };
        if connects {
            self.wishes.add(first);
        }
        self.pick_ready(args, ready)
    }

    /// The first entry from `entry` on whose endpoint is wanted and not tried; `entry` if there is
    /// none.
    #[cold]
    fn avoid(
        &self,
        entry: usize,
        tried: &[EndpointId],
        wanted: impl Fn(State) -> bool,
        next: &Next,
    ) -> usize {
        let (ring, ids) = (&self.layout.ring, &self.layout.ids);
        let mut all = self.states.iter().zip(ids);
        if !all.any(|(state, id)| wanted(*state) && !tried.contains(id)) {
            return entry;
        }
        let mut at = entry;
        // Rarely more steps than there are tried ones; once around if what is left has no entry.
        for _ in 0..ring.len() {
            if !tried.contains(&ids[ring.place(at)]) {
                return at;
            }
            match next.from(ring.after(at)) {
                Some(next) => at = next,
                None => break,
            }
        }
        entry
    }

    fn within_bound(&self, args: &PickArgs<'_>, entry: usize, place: usize) -> Pick {
        let place = match (&self.bound, &self.layout.loads) {
            (Some(bound), Some(loads)) => {
                let total = loads.total(args.random);
                let room = |place| {
                    let share = bound.factor * (total + 1) as f64 * self.layout.weights[place];
                    share / bound.weight
                };
                // Without the call, less than the share: with it, no more than the share rounded up.
                if f64::from(loads.of(place)) < room(place) {
                    place
                } else {
                    self.pass_over(args.tried, entry, |place| {
                        f64::from(loads.of(place)) / room(place)
                    })
                }
            }
            _ => place,
        };
        Pick::Endpoint(EndpointIndex(place))
    }

    /// The first READY endpoint after `entry` whose load, compared to what it may have, is less
    /// than 1. If none of those in reach is: the one with the least.
    #[cold]
    fn pass_over(&self, tried: &[EndpointId], entry: usize, load: impl Fn(usize) -> f64) -> usize {
        /// With a factor of 1.25 at most four endpoints in five are full.
        const REACH: usize = 64;
        let ring = &self.layout.ring;
        let mut best = ring.place(entry);
        let mut least = load(best);
        let mut at = entry;
        let mut may_connect = !self.connecting;
        for _ in 0..REACH {
            let after = ring.after(at);
            if may_connect && let Some(usable) = self.usable.from(after) {
                let place = ring.place(usable);
                if self.states[place] == State::Idle {
                    self.wishes.add(place);
                    may_connect = false;
                }
            }
            let Some(next) = self.ready.from(after).filter(|next| *next != entry) else {
                break;
            };
            at = next;
            let place = ring.place(at);
            if tried.contains(&self.layout.ids[place]) {
                continue;
            }
            let its = load(place);
            if its < least {
                (best, least) = (place, its);
                if least < 1.0 {
                    break;
                }
            }
        }
        best
    }

    /// All are failing: with the error of the call's own.
    #[cold]
    fn fail(&self, entry: usize) -> Pick {
        let Some(failures) = &self.failures else {
            return Pick::Queue;
        };
        let place = self.layout.ring.place(entry);
        let own = &failures.endpoints[place];
        let mut message = format!(
            "0 of {} endpoints READY; this call's own is {}: {}",
            failures.endpoints.len(),
            own.endpoint,
            own.state
        );
        for part in [&own.error, &failures.discovery].into_iter().flatten() {
            message.push_str(", ");
            message.push_str(part);
        }
        let mut status = Status::unavailable(message);
        status.set_source(failures.clone());
        Pick::Fail(status)
    }
}

impl Picker for RingPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let Some(hash_on) = &self.hash_on else {
            return without_a_key();
        };
        match hash_on.hash(args) {
            Some(hash) => self.pick_keyed(args, self.layout.ring.find(hash)),
            None => self.pick_random(args, self.layout.ring.find(args.random)),
        }
    }
}

#[cold]
fn without_a_key() -> Pick {
    Pick::Fail(Status::internal(
        "ring_hash_experimental has nothing to hash: its config has no requestHashHeader",
    ))
}

impl fmt::Debug for RingPicker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingPicker")
            .field("entries", &self.layout.ring.len())
            .field("endpoints", &self.states.len())
            .field("hash_on", &self.hash_on)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};
use evenkeel_core::{
    BuildPolicy, EndpointId, EndpointIndex, EndpointView, Pick, PickArgs, Picker, Policy, Update,
    View,
};

use crate::families::interleave;
use crate::lb::shared::random::Random;
use crate::lb::{FailPicker, QueuePicker};

/// Sends every call to the first endpoint that could be connected (gRPC's `pick_first`).
///
/// ```text
/// pass ──one READY──► connected ──lost──► idle ──a call waits──► pass
/// pass ──all failed once──► failing ──one READY──► connected
/// connected ──list without it──► pass
/// ```
///
/// A *pass* dials the endpoints in order, address families in turn (gRFC A61, Happy Eyeballs): the
/// next one when the last
/// dialled failed, or has taken longer than
/// [`connection_attempt_delay`](PickFirstConfig::connection_attempt_delay); attempts once begun go on.
/// The first to be READY wins, and the others are told to disconnect.
///
/// - The channel is in TRANSIENT_FAILURE only when every endpoint has failed once, and then until
///   one is READY (gRFC A62): they go on reconnecting, each after its own backoff.
/// - When the connection is lost the channel is IDLE until a call waits, and then begins with the
///   first endpoint again.
/// - A new list that still has the connected endpoint changes nothing, in whatever order.
/// - While the connected endpoint is [held back](EndpointView::held_back) it stays so, and takes the calls
///   as the [last resort](Update::last_resort): it was chosen by connecting, and there is none to compare it
///   with. An open breaker by default refuses instead, and another endpoint is looked for.
/// - When every endpoint has failed, one that is held back takes the calls until one is READY.
#[derive(Debug)]
pub struct PickFirst {
    config: PickFirstConfig,
    phase: Phase,
    /// The endpoints of the last update, in its order.
    list: Vec<EndpointId>,
    /// Every endpoint has failed since one was last READY.
    failing: bool,
    shuffle: Option<u64>,
}

/// How [`PickFirst`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PickFirstConfig {
    /// `shuffleAddressList`: tries the endpoints in an order of this channel's own, so that the
    /// clients of a service do not all use its first endpoint (gRFC A62); each is the first as
    /// often as its [weight](evenkeel_core::Metadata::weight) says (gRFC A113). The order of the
    /// remaining endpoints does not change when some come or go. Default: false.
    pub shuffle_address_list: bool,
    /// How long an attempt may take before the next endpoint is dialled as well. Default: 250 ms;
    /// kept within 100 ms and 2 s (gRFC A61).
    pub connection_attempt_delay: Duration,
}

impl Default for PickFirstConfig {
    fn default() -> Self {
        Self {
            shuffle_address_list: false,
            connection_attempt_delay: Duration::from_millis(250),
        }
    }
}

impl BuildPolicy for PickFirstConfig {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(PickFirst::new(*self))
    }

    /// A connection stays, and so does IDLE; a pass begins anew if the order is another one.
    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let Some(running) = running.downcast_mut::<PickFirst>() else {
            return false;
        };
        let config = PickFirst::new(*self).config;
        let reorders = config.shuffle_address_list != running.config.shuffle_address_list;
        if reorders && matches!(running.phase, Phase::Pass { .. }) {
            running.phase = Phase::FIRST_PASS;
        }
        running.config = config;
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// No endpoint is dialled before a call waits.
    Idle,
    /// The endpoints before `next` were dialled in this pass, the last of them until `until`.
    Pass { next: usize, until: Option<Instant> },
    /// All calls go to this endpoint.
    Connected(EndpointId),
}

impl Phase {
    const FIRST_PASS: Self = Self::Pass {
        next: 0,
        until: None,
    };
}

impl Default for PickFirst {
    fn default() -> Self {
        Self::new(PickFirstConfig::default())
    }
}

impl PickFirst {
    /// Its name in a service config.
    pub const NAME: &'static str = "pick_first";

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub fn new(config: PickFirstConfig) -> Self {
        let delay = config.connection_attempt_delay;
        let bounds = (Duration::from_millis(100), Duration::from_secs(2));
        Self {
            config: PickFirstConfig {
                connection_attempt_delay: delay.clamp(bounds.0, bounds.1),
                ..config
            },
            phase: Phase::FIRST_PASS,
            list: Vec::new(),
            failing: false,
            shuffle: None,
        }
    }

    /// The endpoints' places in the order in which they are tried.
    fn order(&mut self, view: &View<'_>) -> Vec<EndpointIndex> {
        let mut order: Vec<_> = view.indexed().collect();
        if self.config.shuffle_address_list {
            let seed = *self.shuffle.get_or_insert(view.random);
            order.sort_by_cached_key(|(_, one)| lot(seed, one));
        }
        let order = interleave(order, |(_, one)| &one.endpoint.addresses()[0]);
        order.into_iter().map(|(index, _)| index).collect()
    }

    /// Follows what happened since the last update up to the phase that `view` shows.
    fn enter_phase(&mut self, view: &View<'_>, order: &[EndpointIndex]) {
        let new_list = !view
            .endpoints
            .iter()
            .map(|one| one.id)
            .eq(self.list.iter().copied());
        if new_list {
            self.list.clear();
            self.list.extend(view.endpoints.iter().map(|one| one.id));
        }
        let in_view = |id| view.endpoints.iter().find(|one| one.id == id);
        self.phase = match self.phase {
            Phase::Connected(id) => match in_view(id) {
                Some(one) if one.state == Ready || is_last_resort(one) => Phase::Connected(id),
                // One of several connections was tried for when the last one was lost (gRFC A105).
                Some(one) if !one.connected && one.state != Idle => Phase::FIRST_PASS,
                Some(_) => Phase::Idle,
                None => Phase::FIRST_PASS,
            },
            Phase::Pass { .. } if new_list => Phase::FIRST_PASS,
            same => same,
        };
        if !matches!(self.phase, Phase::Connected(_)) {
            let endpoints = order.iter().map(|index| &view.endpoints[index.0]);
            if let Some(first) = endpoints.into_iter().find(|one| one.state == Ready) {
                self.phase = Phase::Connected(first.id);
            } else if self.phase == Phase::Idle && view.call_waiting {
                self.phase = Phase::FIRST_PASS;
            }
        }
    }

    fn connected(&mut self, view: &View<'_>, id: EndpointId) -> Option<Update> {
        let (index, connected) = view.indexed().find(|(_, one)| one.id == id)?;
        self.failing = false;
        let mut update = Update::new(Ready, Arc::new(PickFirstPicker(index)));
        update.last_resort = is_last_resort(connected);
        update.disconnect = view
            .indexed()
            .filter(|(_, one)| one.id != id && !matches!(one.state, Idle | Shutdown))
            .map(|(index, _)| index)
            .collect();
        Some(update)
    }

    fn pass(&mut self, now: Instant, view: &View<'_>, order: &[EndpointIndex]) -> Update {
        let Phase::Pass {
            mut next,
            mut until,
        } = self.phase
        else {
            return Update::new(Idle, Arc::new(QueuePicker));
        };
        let state = |place: usize| view.endpoints[order[place].0].state;
        let mut connect = Vec::new();
        // Told again while it still shows IDLE: it may not have heard yet.
        connect.extend(
            (0..next)
                .filter(|&place| state(place) == Idle)
                .map(|place| order[place]),
        );
        loop {
            let waits_for_current = next > 0
                && matches!(state(next - 1), Connecting | Idle)
                && until.is_none_or(|until| now < until);
            if waits_for_current || next == order.len() {
                break;
            }
            if state(next) == Idle {
                connect.push(order[next]);
            }
            next += 1;
            // The last one is waited for as long as it takes.
            until = (next < order.len()).then(|| now + self.config.connection_attempt_delay);
        }
        self.phase = Phase::Pass { next, until };

        let failed = |place| matches!(state(place), TransientFailure | Shutdown);
        self.failing |= next == order.len() && (0..next).all(failed);
        let last_resort = order
            .iter()
            .find(|at| is_last_resort(&view.endpoints[at.0]));
        let mut update = if self.failing
            && let Some(index) = last_resort
        {
            let mut update = Update::new(Ready, Arc::new(PickFirstPicker(*index)));
            update.last_resort = true;
            update
        } else if self.failing {
            Update::new(TransientFailure, Arc::new(FailPicker::no_endpoint(view)))
        } else {
            Update::new(Connecting, Arc::new(QueuePicker))
        };
        update.connect = connect;
        update.wake_at = until;
        update
    }
}

/// Whether it could take calls, and is only kept from them.
fn is_last_resort(one: &EndpointView) -> bool {
    one.state != Ready && one.held_back && one.connected
}

/// Who comes earlier has drawn a smaller one: the first of all is an endpoint with a probability
/// that is its weight's share (gRFC A113).
fn lot(seed: u64, endpoint: &EndpointView) -> u64 {
    let weight = endpoint.endpoint.metadata().weight.unwrap_or(1.0);
    let drawn = Random::new(seed ^ endpoint.id.0).fraction();
    // A113 sorts by u^(1/weight), the largest first: its logarithm does not underflow. Never
    // negative, and bits of such numbers sort as they do.
    let lot = -(1.0 - drawn).ln() / weight.max(f64::MIN_POSITIVE);
    lot.max(0.0).to_bits()
}

impl Policy for PickFirst {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        if view.endpoints.is_empty() {
            // Not a failure to connect: the next list begins afresh.
            self.phase = Phase::FIRST_PASS;
            self.failing = false;
            self.list.clear();
            return Update::new(TransientFailure, Arc::new(FailPicker::no_endpoint(view)));
        }
        let order = self.order(view);
        self.enter_phase(view, &order);
        let connected = match self.phase {
            Phase::Connected(id) => self.connected(view, id),
            Phase::Idle | Phase::Pass { .. } => None,
        };
        connected.unwrap_or_else(|| self.pass(now, view, &order))
    }
}

/// A retry goes to the tried endpoint again: no other one is READY.
#[derive(Debug)]
struct PickFirstPicker(EndpointIndex);

impl Picker for PickFirstPicker {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        Pick::Endpoint(self.0)
    }
}

#[cfg(test)]
mod tests;

use std::time::Instant;

use evenkeel_core::{ConnectivityState, EndpointIndex, LoadStream, Observe, Update, View};

/// The earlier of two timers.
pub(in crate::lb) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What two policies want to know; where only one of two answers is possible, that for `one`. Streams
/// of load reports are asked for as often as the more impatient of both wants (gRFC A51).
pub(in crate::lb) fn both(one: Observe, other: &Observe) -> Observe {
    let mut both = one;
    both.latency = both.latency.or(other.latency);
    both.load = both.load.or_else(|| other.load.clone());
    both.load_stream = match (both.load_stream, &other.load_stream) {
        (Some(one), Some(other)) => Some(LoadStream {
            interval: one.interval.min(other.interval),
            reader: one.reader,
        }),
        (one, other) => one.or_else(|| other.clone()),
    };
    both.failures = both.failures | other.failures;
    both.health |= other.health;
    both
}

/// How many of a child's `members` are READY for it too: it has `said` which ones it has ejected.
pub(in crate::lb) fn count_ready(
    said: &Update,
    view: &View<'_>,
    members: &[EndpointIndex],
) -> usize {
    let is_ready = |index: &&EndpointIndex| {
        let one = view.endpoints.get(index.0);
        one.is_some_and(|one| one.state == ConnectivityState::Ready)
    };
    let mut ejected: Vec<_> = said.ejected.iter().map(|(index, _)| index).collect();
    ejected.retain(is_ready);
    ejected.sort_unstable();
    ejected.dedup();
    members
        .iter()
        .filter(is_ready)
        .count()
        .saturating_sub(ejected.len())
}

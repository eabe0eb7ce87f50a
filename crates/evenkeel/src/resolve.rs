//! Asks discovery again when endpoints fail, as gRPC does.

use std::collections::HashMap;

use evenkeel_core::{ConnectivityState, EndpointId};
use evenkeel_transport::Connect;

use crate::source::ResolveNow;
use crate::stack::Balanced;

/// Until it is aborted. How often a source really asks is its own business.
pub(crate) async fn resolve_again<C: Connect>(balance: Balanced<C>, resolve_now: ResolveNow) {
    let mut states = HashMap::new();
    loop {
        // Made before it looks, so that no change is missed.
        let changed = balance.changed();
        let endpoints = balance.endpoints();
        let present = endpoints.iter().map(|one| (one.id, one.state));
        if has_failed(&mut states, present) {
            resolve_now();
        }
        changed.await;
    }
}

/// Whether a connection was lost or could not be made since the last time; takes in the states.
fn has_failed(
    known: &mut HashMap<EndpointId, ConnectivityState>,
    present: impl Iterator<Item = (EndpointId, ConnectivityState)>,
) -> bool {
    use ConnectivityState::{Ready, TransientFailure};

    let before = std::mem::take(known);
    let mut failed = false;
    for (id, state) in present {
        let was = before.get(&id).copied();
        let was_lost = was == Some(Ready) && state != Ready;
        let cannot_be_made = state == TransientFailure && was != Some(TransientFailure);
        failed |= was_lost || cannot_be_made;
        known.insert(id, state);
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_and_one_that_cannot_be_made_are_failures_once() {
        use ConnectivityState::{Connecting, Idle, Ready, TransientFailure};

        let mut known = HashMap::new();
        for (state, failed) in [
            (Idle, false),
            (Connecting, false),
            (Ready, false),
            (Ready, false),
            (Idle, true),
            (Connecting, false),
            (TransientFailure, true),
            (TransientFailure, false),
            (Connecting, false),
            (TransientFailure, true),
        ] {
            let present = [(EndpointId(1), state), (EndpointId(2), Idle)];
            assert_eq!(
                has_failed(&mut known, present.into_iter()),
                failed,
                "{state}"
            );
        }
        assert!(
            !has_failed(&mut known, std::iter::empty()),
            "gone is not failed"
        );
        assert!(known.is_empty());
    }
}

use std::sync::Arc;

use evenkeel_core::{
    ConnectivityState, EndpointIndex, EndpointView, Picker, Update, View, aggregate,
};

use crate::lb::{FailPicker, QueuePicker};

/// Decides as round_robin and its kin do; gRFC A61 calls them petiole policies.
///
/// | endpoints | channel | a call |
/// |---|---|---|
/// | some READY | READY | is picked for by `picker`, which is made of the READY ones |
/// | none READY, some CONNECTING or IDLE | CONNECTING | waits |
/// | all in TRANSIENT_FAILURE, some of them [held back](EndpointView::held_back) | READY | is picked for by `picker`, made of those: the [last resort](Update::last_resort) |
/// | all in TRANSIENT_FAILURE, or none at all | TRANSIENT_FAILURE | fails, as [`FailPicker::no_endpoint`] says |
///
/// Each endpoint is kept connected: IDLE ones are told to connect at once. Those whose servers say
/// that they are not healthy are in TRANSIENT_FAILURE ([`Observe::health`](evenkeel_core::Observe::health)).
pub fn petiole<'a>(
    view: &View<'a>,
    picker: impl FnOnce(Vec<(EndpointIndex, &'a EndpointView)>) -> Arc<dyn Picker>,
) -> Update {
    let state = aggregate(view.endpoints.iter().map(|endpoint| endpoint.state));
    let chosen = |belongs: fn(&EndpointView) -> bool| {
        let mut chosen = Vec::with_capacity(view.endpoints.len());
        chosen.extend(view.indexed().filter(|(_, endpoint)| belongs(endpoint)));
        chosen
    };
    let is_ready = |endpoint: &EndpointView| endpoint.state == ConnectivityState::Ready;
    let mut update = match state {
        ConnectivityState::Ready => Update::new(state, picker(chosen(is_ready))),
        ConnectivityState::Idle | ConnectivityState::Connecting => {
            Update::new(state, Arc::new(QueuePicker))
        }
        ConnectivityState::TransientFailure | ConnectivityState::Shutdown => {
            if view.endpoints.iter().any(|endpoint| endpoint.held_back) {
                let held_back = chosen(|endpoint| endpoint.held_back);
                let mut update = Update::new(ConnectivityState::Ready, picker(held_back));
                update.last_resort = true;
                update
            } else {
                Update::new(state, Arc::new(FailPicker::no_endpoint(view)))
            }
        }
    };
    update.connect = view
        .indexed()
        .filter(|(_, endpoint)| endpoint.state == ConnectivityState::Idle)
        .map(|(index, _)| index)
        .collect();
    update.observe.health = true;
    update
}

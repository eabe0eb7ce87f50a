use std::sync::Arc;

use evenkeel_core::{
    ConnectivityState, EndpointIndex, EndpointView, Picker, Update, View, aggregate,
};

use super::{FailPicker, QueuePicker};

/// Decides as round_robin and its kin do; gRFC A61 calls them petiole policies.
///
/// | endpoints | channel | a call |
/// |---|---|---|
/// | some READY | READY | is picked for by `picker`, which is made of the READY ones |
/// | none READY, some CONNECTING or IDLE | CONNECTING | waits |
/// | all in TRANSIENT_FAILURE, or none at all | TRANSIENT_FAILURE | fails, as [`FailPicker::no_endpoint`] says |
///
/// Each endpoint is kept connected: IDLE ones are told to connect at once.
pub fn petiole<'a>(
    view: &View<'a>,
    picker: impl FnOnce(Vec<(EndpointIndex, &'a EndpointView)>) -> Arc<dyn Picker>,
) -> Update {
    let state = aggregate(view.endpoints.iter().map(|endpoint| endpoint.state));
    let in_state = |state| {
        view.indexed()
            .filter(move |(_, endpoint)| endpoint.state == state)
    };
    let mut update = Update::new(
        state,
        match state {
            ConnectivityState::Ready => {
                let mut ready = Vec::with_capacity(view.endpoints.len());
                ready.extend(in_state(ConnectivityState::Ready));
                picker(ready)
            }
            ConnectivityState::Idle | ConnectivityState::Connecting => Arc::new(QueuePicker),
            ConnectivityState::TransientFailure | ConnectivityState::Shutdown => {
                Arc::new(FailPicker::no_endpoint(view))
            }
        },
    );
    update.connect = in_state(ConnectivityState::Idle)
        .map(|(index, _)| index)
        .collect();
    update
}

use evenkeel_core::{ConnectivityState, EndpointIndex};

use super::picker::State;

/// What an update finds, and what it does about it.
pub(super) struct Survey {
    pub(super) states: Vec<State>,
    pub(super) connect: Vec<EndpointIndex>,
    pub(super) last_resort: bool,
}

impl Survey {
    pub(super) fn count(&self, state: State) -> usize {
        self.states.iter().filter(|one| **one == state).count()
    }

    /// The channel's state.
    pub(super) fn aggregate(&self) -> ConnectivityState {
        let failing = self.count(State::Failing);
        if self.count(State::Ready) > 0 {
            ConnectivityState::Ready
        } else if failing >= 2 {
            ConnectivityState::TransientFailure
        } else if self.count(State::Connecting) > 0 || (failing == 1 && self.states.len() > 1) {
            ConnectivityState::Connecting
        } else if self.count(State::Idle) > 0 {
            ConnectivityState::Idle
        } else {
            ConnectivityState::TransientFailure
        }
    }
}

pub(super) const fn state(state: ConnectivityState) -> State {
    match state {
        ConnectivityState::Ready => State::Ready,
        ConnectivityState::Idle => State::Idle,
        ConnectivityState::Connecting => State::Connecting,
        ConnectivityState::TransientFailure | ConnectivityState::Shutdown => State::Failing,
    }
}

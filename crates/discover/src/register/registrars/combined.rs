use std::sync::Arc;

use super::RegistrationState;

/// The state of all registries together. Pure.
pub(super) fn combined(
    states: impl IntoIterator<Item = (Arc<str>, RegistrationState)>,
) -> RegistrationState {
    let mut failing = None;
    let (mut registering, mut registered, mut paused) = (0, 0, 0);
    for (name, state) in states {
        match state {
            RegistrationState::Retrying { since, last_error } => {
                let error = format!("{name}: {last_error}");
                failing = Some(match failing {
                    None => (since, error),
                    Some((first, errors)) => (since.min(first), format!("{errors}; {error}")),
                });
            }
            RegistrationState::Registering => registering += 1,
            RegistrationState::Registered => registered += 1,
            RegistrationState::Paused => paused += 1,
            RegistrationState::Deregistered => {}
        }
    }
    if let Some((since, errors)) = failing {
        return RegistrationState::retrying(since, errors);
    }
    match (registering, registered, paused) {
        (0, 0, 0) => RegistrationState::Deregistered,
        (0, _, 0) => RegistrationState::Registered,
        (0, 0, _) => RegistrationState::Paused,
        _ => RegistrationState::Registering,
    }
}

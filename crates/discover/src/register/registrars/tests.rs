use std::time::{Duration, Instant};

use evenkeel_core::{Address, Availability, BoxError};

use super::*;
use crate::MemoryRegistry;

fn endpoint() -> Endpoint {
    Endpoint::new("127.0.0.1:80".parse::<Address>().unwrap())
}

fn text(state: &RegistrationState) -> String {
    match state {
        RegistrationState::Retrying { last_error, .. } => last_error.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_state_is_that_of_all() {
    use RegistrationState::{Deregistered, Paused, Registered, Registering};
    #[expect(clippy::disallowed_methods, reason = "any time will do")]
    let start = Instant::now();
    let later = start + Duration::from_secs(1);
    let down = |since| RegistrationState::retrying(since, "down");
    for (states, expected) in [
        (vec![], "Deregistered"),
        (vec![Registered, Registered], "Registered"),
        (vec![Registered, Registering], "Registering"),
        (vec![Paused, Paused], "Paused"),
        (vec![Paused, Registered], "Registering"),
        (vec![Registered, Deregistered], "Registered"),
        (vec![Deregistered, Deregistered], "Deregistered"),
        (vec![Registering, down(later)], "1: down"),
        (
            vec![down(later), Registered, down(start)],
            "0: down; 2: down",
        ),
    ] {
        let named = states.iter().cloned().enumerate();
        let state = combined(named.map(|(n, state)| (n.to_string().into(), state)));
        assert_eq!(text(&state), expected, "{states:?}");
    }
    let both = [down(later), down(start)].map(|state| (Arc::from("x"), state));
    let RegistrationState::Retrying { since, .. } = combined(both) else {
        panic!()
    };
    assert_eq!(since, start, "since the first one is");
}

/// A registrar whose registry does what the test says.
#[derive(Debug, Default)]
struct Scripted {
    states: Mutex<Vec<watch::Sender<RegistrationState>>>,
    refuses: bool,
}

struct Nothing;

impl Registrar for Scripted {
    fn register(&self, _: &str, endpoint: Endpoint) -> Result<Registration, RegisterError> {
        if self.refuses {
            let why: BoxError = "no place for it".into();
            return Err(RegisterError::encode(&endpoint, why));
        }
        let (sender, state) = watch::channel(RegistrationState::Registering);
        self.states.lock().push(sender);
        Ok(Registration::new(Nothing, state).with_patience(Duration::from_secs(7)))
    }
}

impl Control for Nothing {
    fn update(&self, _: Metadata) -> Result<(), RegisterError> {
        Ok(())
    }

    fn present(&self, _: Presence) -> Result<(), RegisterError> {
        Ok(())
    }

    fn deregister(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_hurts_no_other_and_is_named() {
    let (near, far) = (MemoryRegistry::new(), Arc::new(Scripted::default()));
    let registrars = Registrars::new()
        .with("near", Arc::new(near.clone()))
        .with("far", far.clone());
    let registration = registrars.register("user", endpoint()).unwrap();
    assert_eq!(near.endpoints("user").len(), 1);
    assert_eq!(text(&registration.state()), "Registering");

    let mut states = registration.watch();
    let tell = |state| drop(far.states.lock()[0].send_replace(state));
    let now = tokio::time::Instant::now().into_std();
    tell(RegistrationState::retrying(now, "no answer"));
    let away = |state: &RegistrationState| text(state) == "far: no answer";
    states.wait_for(away).await.unwrap();
    tell(RegistrationState::Registered);
    registration.registered().await.unwrap();

    registration.drain().unwrap();
    let metadata = near.endpoints("user").remove(0).metadata().clone();
    assert_eq!(metadata.availability, Availability::Draining);
    registration.resume().unwrap();

    // The near one is left at once, and the far one is waited for as long as it says.
    let start = tokio::time::Instant::now();
    let gone = registration.deregister().await;
    assert!(matches!(gone, Err(RegisterError::Unconfirmed { .. })));
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    assert!(near.endpoints("user").is_empty());
}

#[tokio::test]
async fn one_that_refuses_is_an_error_and_leaves_nothing_behind() {
    let near = MemoryRegistry::new();
    let refuses = Scripted {
        refuses: true,
        ..Scripted::default()
    };
    let registrars = Registrars::new()
        .with("near", Arc::new(near.clone()))
        .with("far", Arc::new(refuses));
    let refused = registrars.register("user", endpoint());
    assert!(matches!(refused, Err(RegisterError::Encode { .. })));
    assert!(near.endpoints("user").is_empty());
}

#[tokio::test]
async fn a_change_is_waited_for_in_all_and_the_end_is_that_of_all() {
    let all = [MemoryRegistry::new(), MemoryRegistry::new()];
    let registrars = Registrars::new()
        .with("one", Arc::new(all[0].clone()))
        .with("two", Arc::new(all[1].clone()));
    let registration = registrars.register("user", endpoint()).unwrap();
    registration.registered().await.unwrap();
    let listed = || {
        all.each_ref()
            .map(|registry| registry.endpoints("user").len())
    };
    registration.pause().unwrap();
    registration.paused().await.unwrap();
    assert_eq!(listed(), [0, 0]);
    registration.resume().unwrap();
    registration.registered().await.unwrap();
    assert_eq!(listed(), [1, 1]);

    // Somebody takes its place in one of them: it goes on in the other.
    let successor = all[0].register("user", endpoint()).unwrap();
    registration
        .update(Metadata::default().with_weight(2.0))
        .unwrap();
    assert_eq!(all[0].endpoints("user")[0].metadata().weight, None);
    assert_eq!(all[1].endpoints("user")[0].metadata().weight, Some(2.0));
    registration.deregister().await.unwrap();
    assert_eq!(listed(), [1, 0]);
    drop(successor);

    let registration = registrars.register("user", endpoint()).unwrap();
    drop(registration);
    assert_eq!(listed(), [0, 0]);
}

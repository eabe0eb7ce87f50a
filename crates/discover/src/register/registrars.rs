//! Several registries at once.

mod combined;

use std::sync::Arc;

use evenkeel_core::{Endpoint, Metadata};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Control, Presence, RegisterError, Registrar, Registration, RegistrationState};
use combined::combined;

/// Registers a server in several registries at once: in two data centres, or in the old and the
/// new one while clients move.
///
/// Each registry goes at its own pace: one that is not there holds up none of the others. The
/// state of a [`Registration`] is that of all of them:
///
/// | state | when |
/// |---|---|
/// | `Retrying` | some registry does not have it; `last_error` says which ones and why |
/// | `Registering` | some registry is being written, and none is retrying |
/// | `Registered`, `Paused` | all registries have it so |
/// | `Deregistered` | it is out of all of them |
///
/// A registry in which the entry has ended, because a newer registration has replaced it or the
/// registrar was shut down, counts no more. What is asked of a registration is asked of all of
/// them, also when one refuses it because its format has no place for it.
///
/// ```
/// use std::sync::Arc;
///
/// use evenkeel_core::{Address, Endpoint};
/// use evenkeel_discover::{MemoryRegistry, Registrar, Registrars};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (here, there) = (MemoryRegistry::new(), MemoryRegistry::new());
/// let registrars = Registrars::new()
///     .with("here", Arc::new(here.clone()))
///     .with("there", Arc::new(there.clone()));
/// let server = Endpoint::new("127.0.0.1:8090".parse::<Address>()?);
/// let registration = registrars.register("user-service", server)?;
/// registration.registered().await?;
/// assert_eq!((here.endpoints("user-service").len(), there.endpoints("user-service").len()), (1, 1));
/// # Ok(())
/// # }
/// ```
///
/// # Clone
///
/// Clones share the registrars.
#[derive(Clone, Debug, Default)]
pub struct Registrars {
    all: Vec<(Arc<str>, Arc<dyn Registrar>)>,
}

impl Registrars {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same and one more, which reports call `name`.
    #[must_use]
    pub fn with(mut self, name: impl Into<Arc<str>>, registrar: Arc<dyn Registrar>) -> Self {
        self.all.push((name.into(), registrar));
        self
    }
}

impl Registrar for Registrars {
    /// Registers in all of them, or in none.
    ///
    /// # Errors
    ///
    /// The first one's that refuses, which is not one whose registry is away; and
    /// [`RegisterError::NoRuntime`] outside of a Tokio runtime.
    fn register(&self, service: &str, endpoint: Endpoint) -> Result<Registration, RegisterError> {
        let runtime = Handle::try_current().map_err(|_| RegisterError::NoRuntime)?;
        let mut parts = Vec::new();
        for (name, registrar) in &self.all {
            // What was registered before is dropped, and so taken out, when this fails.
            let registration = registrar.register(service, endpoint.clone())?;
            parts.push(Part {
                name: Arc::clone(name),
                registration,
            });
        }
        let patience = parts.iter().map(|part| part.registration.patience());
        let patience = patience.max().unwrap_or_default();
        let several = Several::new(parts, &runtime);
        let state = several.shared.state.subscribe();
        Ok(Registration::new(several, state).with_patience(patience))
    }

    /// Where the first one is that says so, and then the others.
    fn reached_at(&self) -> Vec<String> {
        let all = self.all.iter();
        all.flat_map(|(_, registrar)| registrar.reached_at())
            .collect()
    }
}

struct Part {
    name: Arc<str>,
    registration: Registration,
}

/// The registrations of one server.
struct Several {
    shared: Arc<Shared>,
    /// One for each part: says when its state has changed.
    #[expect(dead_code, reason = "ends the tasks on drop")]
    tasks: JoinSet<()>,
}

struct Shared {
    parts: Vec<Part>,
    state: watch::Sender<RegistrationState>,
    /// Held while the states are read and the sum is told, so that an old sum is never told last.
    telling: Mutex<()>,
}

impl Several {
    fn new(parts: Vec<Part>, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            parts,
            state: watch::Sender::new(RegistrationState::Registering),
            telling: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for part in &shared.parts {
            let mut states = part.registration.watch();
            let shared = Arc::clone(&shared);
            let follow = async move {
                while states.changed().await.is_ok() {
                    shared.tell();
                }
            };
            tasks.spawn_on(follow, runtime);
        }
        shared.tell();
        Self { shared, tasks }
    }

    /// Asks every registry; the first refusal counts, and the others have been asked all the same.
    fn ask(
        &self,
        ask: impl Fn(&Registration) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError> {
        let mut asked = Ok(());
        for part in &self.shared.parts {
            match ask(&part.registration) {
                // Somebody else's by now, there: no reason not to be asked here.
                Err(RegisterError::Ended) if self.shared.lives() => {}
                other => asked = asked.and(other),
            }
        }
        self.shared.tell();
        asked
    }
}

impl Shared {
    /// Whether any registry still has a place for it.
    fn lives(&self) -> bool {
        let mut states = self.parts.iter().map(|part| part.registration.state());
        states.any(|state| !matches!(state, RegistrationState::Deregistered))
    }

    fn tell(&self) {
        let _telling = self.telling.lock();
        let state = |part: &Part| (Arc::clone(&part.name), part.registration.state());
        self.state
            .send_replace(combined(self.parts.iter().map(state)));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.state.send_replace(RegistrationState::Deregistered);
    }
}

impl Control for Several {
    fn update(&self, metadata: Metadata) -> Result<(), RegisterError> {
        self.ask(|registration| registration.update(metadata.clone()))
    }

    fn present(&self, presence: Presence) -> Result<(), RegisterError> {
        self.ask(|registration| match presence {
            Presence::Listed => registration.resume(),
            Presence::Draining => registration.drain(),
            Presence::Paused => registration.pause(),
        })
    }

    fn deregister(&self) {
        for part in &self.shared.parts {
            part.registration.leave();
        }
        self.shared.tell();
    }
}

#[cfg(test)]
mod tests;

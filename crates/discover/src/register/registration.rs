use std::fmt;
use std::time::Duration;

use evenkeel_core::Metadata;
use tokio::sync::watch;

#[cfg(doc)]
use super::Registrar;
use super::{Presence, RegisterError, RegistrationState};

/// An entry in a registry; dropping it takes the entry out again without waiting for it.
///
/// Taking it out may be the registrar's work in the background: keep the registrar until then, or
/// wait with [`Self::deregister`]. When nobody is left to do that work, the entry goes on its own,
/// as that of a process that was killed.
#[must_use = "dropping it takes the server out of the registry"]
pub struct Registration {
    control: Box<dyn Control>,
    state: watch::Receiver<RegistrationState>,
    patience: Duration,
}

/// What a [`Registrar`] does for one [`Registration`]; implemented by registrars.
pub trait Control: Send + Sync {
    /// Replaces the entry's metadata, and nothing of how it is presented; the state is
    /// `Registering` until the registry has it, unless it is `Paused`.
    ///
    /// # Errors
    ///
    /// As [`Registration::update`].
    fn update(&self, metadata: Metadata) -> Result<(), RegisterError>;

    /// Shows the entry otherwise; what is asked for last counts. The state is `Registering` until
    /// the registry has it so, and then `Registered` or `Paused`. Asking for what was asked for
    /// last does nothing.
    ///
    /// # Errors
    ///
    /// As [`Registration::drain`].
    fn present(&self, presence: Presence) -> Result<(), RegisterError>;

    /// Takes the entry out; the state becomes `Deregistered` when the registry has forgotten it.
    /// Called again when the handle is dropped: the second time it does nothing.
    fn deregister(&self);
}

impl Registration {
    /// How long [`Self::deregister`] waits unless the registrar says otherwise.
    const PATIENCE: Duration = Duration::from_secs(3);

    /// A handle on an entry that `control` looks after and whose state is `state`; for registrars.
    pub fn new(control: impl Control + 'static, state: watch::Receiver<RegistrationState>) -> Self {
        Self {
            control: Box::new(control),
            state,
            patience: Self::PATIENCE,
        }
    }

    /// The same, with another limit for [`Self::deregister`]; default 3 s.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How the entry is doing.
    #[must_use]
    pub fn state(&self) -> RegistrationState {
        self.state.borrow().clone()
    }

    /// Follows the state; the receiver may outlive the registration.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<RegistrationState> {
        self.state.clone()
    }

    /// Waits until the registry has the entry as it was asked for last; for as long as it takes.
    /// For a paused one that is until it is resumed.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Ended`] when that will not happen any more.
    pub async fn registered(&self) -> Result<(), RegisterError> {
        let mut state = self.state.clone();
        let settled = |state: &RegistrationState| {
            use RegistrationState::{Deregistered, Registered};
            matches!(state, Registered | Deregistered)
        };
        match state.wait_for(settled).await.as_deref() {
            Ok(RegistrationState::Registered) => Ok(()),
            _ => Err(RegisterError::Ended),
        }
    }

    /// Waits until the registry has forgotten the entry after [`Self::pause`]; for as long as it
    /// takes.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Ended`] when that will not happen any more.
    pub async fn paused(&self) -> Result<(), RegisterError> {
        let mut state = self.state.clone();
        let settled = |state: &RegistrationState| {
            use RegistrationState::{Deregistered, Paused};
            matches!(state, Paused | Deregistered)
        };
        match state.wait_for(settled).await.as_deref() {
            Ok(RegistrationState::Paused) => Ok(()),
            _ => Err(RegisterError::Ended),
        }
    }

    /// Replaces the endpoint's metadata, for example its weight. [`Self::registered`] waits until
    /// the registry has it. A paused entry stays out and a draining one goes on draining; they
    /// have the new metadata when they are resumed.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Encode`] when the registry's format cannot express it; the entry stays as
    /// it is. [`RegisterError::Ended`] when the entry is not this registration's any more.
    pub fn update(&self, metadata: Metadata) -> Result<(), RegisterError> {
        self.control.update(metadata)
    }

    /// Takes the entry out of the registry until [`Self::resume`]: for maintenance, or a server
    /// that has found itself unwell. Clients first read that it is draining where the registry's
    /// format can say so. [`Self::paused`] waits until it is out.
    ///
    /// A pause of a paused entry does nothing. While the registry is not there the last wish is
    /// kept: of pause, resume, drain and update only what remains is done when it is back.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Ended`] when the entry is not this registration's any more.
    pub fn pause(&self) -> Result<(), RegisterError> {
        self.control.present(Presence::Paused)
    }

    /// Leaves the entry in the registry as that of a server that wants no new calls: clients let
    /// running calls and streams end and go elsewhere with new ones. [`Self::resume`] undoes it,
    /// [`Self::registered`] waits until the registry has it.
    ///
    /// # Errors
    ///
    /// As [`Self::pause`], and [`RegisterError::Encode`] when the registry's format has no word
    /// for it; the entry stays as it is then, and [`Self::pause`] does what can be done.
    pub fn drain(&self) -> Result<(), RegisterError> {
        self.control.present(Presence::Draining)
    }

    /// Undoes [`Self::pause`] and [`Self::drain`]: the entry is in the registry as its metadata
    /// say. A server that has come under the same key in the meantime is replaced.
    ///
    /// # Errors
    ///
    /// As [`Self::pause`].
    pub fn resume(&self) -> Result<(), RegisterError> {
        self.control.present(Presence::Listed)
    }

    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Begins what [`Self::deregister`] waits for.
    pub(crate) fn leave(&self) {
        self.control.deregister();
    }

    /// Takes the entry out of the registry and waits until it is gone, 3 s at most (or what the
    /// registrar says).
    ///
    /// When the future is dropped, the entry is still taken out.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Unconfirmed`] when the registry does not answer in time.
    pub async fn deregister(self) -> Result<(), RegisterError> {
        self.control.deregister();
        let within = self.patience;
        let mut state = self.state.clone();
        let gone = state.wait_for(|state| matches!(state, RegistrationState::Deregistered));
        match tokio::time::timeout(within, gone).await {
            // An error says that the registrar is gone, and its entries with it or soon.
            Ok(_) => Ok(()),
            Err(_) => Err(RegisterError::Unconfirmed { within }),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.control.deregister();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

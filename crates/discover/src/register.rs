use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{Address, BoxError, Endpoint, Metadata};
use tokio::sync::watch;

/// Writes servers into a registry, for clients to discover.
///
/// ```
/// use evenkeel_core::{Address, Endpoint};
/// use evenkeel_discover::{MemoryRegistry, Registrar};
///
/// # async fn serve(registrar: &dyn Registrar) -> Result<(), Box<dyn std::error::Error>> {
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?; // listen first, then register
/// let registration = registrar.register("user-service", Endpoint::new(listener.local_addr()?))?;
/// registration.registered().await?; // optional: the server works without
/// registration.deregister().await?;
/// # Ok(())
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() { serve(&MemoryRegistry::new()).await.unwrap() }
/// ```
pub trait Registrar: Send + Sync + fmt::Debug {
    /// Registers `endpoint` as a server of `service`, at once or, while the registry is not
    /// there, as soon as it is; from then on for as long as the [`Registration`] lives.
    ///
    /// A second registration under the same key takes the place of the first, whose handle then
    /// has no effect any more.
    ///
    /// # Errors
    ///
    /// Only for what waiting does not mend: an address that no client could dial, an endpoint
    /// that the registry's format cannot express, a registrar that was shut down.
    fn register(&self, service: &str, endpoint: Endpoint) -> Result<Registration, RegisterError>;
}

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

/// How an entry in a registry is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegistrationState {
    /// It is being written: for the first time, or after [`Registration::update`].
    Registering,
    /// The registry has what was asked for.
    Registered,
    /// The registry does not have it, or may lose it; tried again until it succeeds.
    #[non_exhaustive]
    Retrying {
        /// When it was lost, or tried first.
        since: Instant,
        /// What went wrong last.
        last_error: Arc<str>,
    },
    /// It was taken out, replaced by a newer registration, or the registrar is gone.
    Deregistered,
}

impl RegistrationState {
    /// Tried again since `since` because of `last_error`.
    pub fn retrying(since: Instant, last_error: impl Into<Arc<str>>) -> Self {
        Self::Retrying {
            since,
            last_error: last_error.into(),
        }
    }
}

/// What a [`Registrar`] does for one [`Registration`]; implemented by registrars.
pub trait Control: Send + Sync {
    /// Replaces the entry's metadata; the state is `Registering` until the registry has it.
    ///
    /// # Errors
    ///
    /// As [`Registration::update`].
    fn update(&self, metadata: Metadata) -> Result<(), RegisterError>;

    /// Takes the entry out; the state becomes `Deregistered` when the registry has forgotten it.
    /// Called again when the handle is dropped: the second time it does nothing.
    fn deregister(&self);
}

/// Why a server cannot be registered, or its entry not be taken out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// `0.0.0.0`, `[::]` or port 0: nothing that a client could dial.
    #[error("cannot register {address}: register the address that clients dial, with its port")]
    #[non_exhaustive]
    Unspecified {
        /// What was to be registered.
        address: Address,
    },
    /// An address that is of use on this machine only.
    #[error("cannot register {address}: other machines cannot reach it; allow_loopback permits it")]
    #[non_exhaustive]
    Loopback {
        /// What was to be registered.
        address: Address,
    },
    /// The registry's format cannot express the endpoint.
    #[error("cannot register {endpoint}: {source}")]
    #[non_exhaustive]
    Encode {
        /// What was to be registered: its first address.
        endpoint: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The registrar was shut down, or the entry replaced by a newer registration.
    #[error("the registration has ended")]
    Ended,
    /// A registrar that works in the background was used outside of a Tokio runtime.
    #[error("registering needs a tokio runtime")]
    NoRuntime,
    /// The registry did not confirm in time that the entry is gone. It goes on its own when the
    /// registry notices that nobody renews it.
    #[error("not confirmed within {within:?} that the entry is gone")]
    #[non_exhaustive]
    Unconfirmed {
        /// How long was waited for it.
        within: Duration,
    },
}

impl RegisterError {
    /// Checks that clients can dial every address of `endpoint`.
    ///
    /// # Errors
    ///
    /// [`Self::Unspecified`], and [`Self::Loopback`] unless `allow_loopback`.
    pub fn check(endpoint: &Endpoint, allow_loopback: bool) -> Result<(), Self> {
        for address in endpoint.addresses() {
            let address = address.clone();
            if address.is_unspecified() {
                return Err(Self::Unspecified { address });
            }
            if address.is_local_only() && !allow_loopback {
                return Err(Self::Loopback { address });
            }
        }
        Ok(())
    }

    /// The registry's format cannot express `endpoint`.
    pub fn encode(endpoint: &Endpoint, source: impl Into<BoxError>) -> Self {
        Self::Encode {
            endpoint: endpoint.to_string(),
            source: source.into(),
        }
    }
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

    /// Replaces the endpoint's metadata, for example its weight, or its availability to drain it.
    /// [`Self::registered`] waits until the registry has it.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Encode`] when the registry's format cannot express it; the entry stays as
    /// it is. [`RegisterError::Ended`] when the entry is not this registration's any more.
    pub fn update(&self, metadata: Metadata) -> Result<(), RegisterError> {
        self.control.update(metadata)
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

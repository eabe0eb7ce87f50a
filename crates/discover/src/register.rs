mod advertise;
mod error;
mod registrars;
mod registration;
mod state;

pub use advertise::{Advertise, AdvertiseError, Advertised, AdvertisedBy};
pub use error::RegisterError;
pub use registrars::Registrars;
pub use registration::{Control, Registration};
pub use state::{Presence, RegistrationState};

use std::fmt;

use evenkeel_core::Endpoint;

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

    /// Where the registry is, as `host:port`s: a server that listens on all its addresses is
    /// registered under the one from which it reaches them ([`Advertise`]). Default nowhere.
    fn reached_at(&self) -> Vec<String> {
        Vec::new()
    }
}

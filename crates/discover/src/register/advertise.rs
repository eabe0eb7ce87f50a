//! Which address a server is registered under. What decides is pure; only the route is asked for.

mod route;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use evenkeel_core::{Address, ParseAddressError};

/// Which address a server is registered under: the first of these that there is.
///
/// | | |
/// |---|---|
/// | 1. | [`Self::address`] |
/// | 2. | the environment variable [`Self::variable`] |
/// | 3. | the address the server listens on, if it is one |
/// | 4. | for a server that listens on all (`0.0.0.0`, `[::]`): the address from which this machine reaches the registry, or if that is unknown or loopback, everything else |
///
/// No packet is sent to find the route: the operating system is asked for it.
///
/// ```
/// use evenkeel_discover::Advertise;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut advertise = Advertise::default();
/// let listening_on = "10.0.0.5:8090".parse()?;
/// let advertised = advertise.choose(listening_on, &[]).await?;
/// assert_eq!(advertised.address.to_string(), "10.0.0.5:8090");
///
/// advertise.address = Some("user-0.user.svc".into());
/// let advertised = advertise.choose(listening_on, &[]).await?;
/// assert_eq!(advertised.to_string(), "user-0.user.svc:8090, by the configuration");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Advertise {
    /// `host` or `host:port`; without a port, the one the server listens on is taken. Default
    /// none.
    pub address: Option<String>,
    /// The environment variable that says the same, for who deploys the server; not looked at
    /// when none, and as good as unset when empty. Default `EVENKEEL_ADVERTISE`.
    pub variable: Option<Cow<'static, str>>,
}

/// The address that was chosen; displayed with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advertised {
    /// What clients are to dial.
    pub address: Address,
    /// Where it is from.
    pub by: AdvertisedBy,
}

/// Where the address that a server is registered under is from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdvertisedBy {
    /// [`Advertise::address`].
    Configuration,
    /// The environment variable of this name.
    Variable(Cow<'static, str>),
    /// The server listens there.
    Listener,
    /// The way to this `host:port` of the registry begins there.
    Route(String),
    /// The way to everywhere begins there.
    DefaultRoute,
}

/// Why no address can be advertised, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvertiseError {
    /// What was given is no address.
    #[error("cannot advertise what {by} says: {source}; expected host or host:port")]
    #[non_exhaustive]
    Invalid {
        /// Who gave it.
        by: AdvertisedBy,
        /// What is wrong with it.
        source: ParseAddressError,
    },
    /// What was given is nothing that clients could dial.
    #[error("cannot advertise {address}, as {by} says: name the address that clients dial")]
    #[non_exhaustive]
    Unspecified {
        /// Who gave it.
        by: AdvertisedBy,
        /// What was given.
        address: Address,
    },
    /// The server listens on all addresses, and no way leads anywhere from one of them.
    #[error("cannot tell which address of {bound} clients reach: {remedy}")]
    #[non_exhaustive]
    NoRoute {
        /// Where the server listens.
        bound: SocketAddr,
        /// What to set.
        remedy: String,
    },
}

impl Default for Advertise {
    fn default() -> Self {
        Self {
            address: None,
            variable: Some(Cow::Borrowed("EVENKEEL_ADVERTISE")),
        }
    }
}

impl Advertise {
    /// The address for a server that listens on `bound` and is registered in a registry at
    /// `registry`, some `host:port`s ([`Registrar::reached_at`](crate::Registrar::reached_at)).
    ///
    /// Loopback addresses are the registrar's to refuse.
    ///
    /// # Errors
    ///
    /// When there is none that clients could dial; the text says what to set.
    pub async fn choose(
        &self,
        bound: SocketAddr,
        registry: &[String],
    ) -> Result<Advertised, AdvertiseError> {
        let set = self.variable.as_deref().and_then(std::env::var_os);
        let set = set.map(|set| set.to_string_lossy().into_owned());
        if let Some(given) = self.given(set.as_deref(), bound)? {
            return Ok(given);
        }
        let route = route::source(bound, registry).await;
        let (ip, by) = route.ok_or_else(|| self.no_route(bound))?;
        advertised(SocketAddr::new(ip, bound.port()).into(), by)
    }

    /// What is known without asking for a route; `variable` is the variable's value.
    fn given(
        &self,
        variable: Option<&str>,
        bound: SocketAddr,
    ) -> Result<Option<Advertised>, AdvertiseError> {
        let configured = self.address.as_deref();
        let configured = configured.map(|text| (text, AdvertisedBy::Configuration));
        let name = self.variable.clone().unwrap_or_default();
        let variable = variable.map(str::trim).filter(|value| !value.is_empty());
        let variable = variable.map(|text| (text, AdvertisedBy::Variable(name)));
        if let Some((text, by)) = configured.or(variable) {
            return match address(text, bound.port()) {
                Ok(address) => advertised(address, by).map(Some),
                Err(source) => Err(AdvertiseError::Invalid { by, source }),
            };
        }
        if bound.ip().is_unspecified() {
            return Ok(None);
        }
        advertised(bound.into(), AdvertisedBy::Listener).map(Some)
    }

    fn no_route(&self, bound: SocketAddr) -> AdvertiseError {
        let remedy = match &self.variable {
            Some(variable) => format!("set {variable} to host or host:port, or listen on one"),
            None => "configure the one to advertise, or listen on one".to_owned(),
        };
        AdvertiseError::NoRoute { bound, remedy }
    }
}

/// `text` as an address, with `port` unless it has one.
fn address(text: &str, port: u16) -> Result<Address, ParseAddressError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port).into());
    }
    let has_port = |error: ParseAddressError| match text.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => Err(error),
        _ => format!("{text}:{port}").parse(),
    };
    text.parse().or_else(has_port)
}

fn advertised(address: Address, by: AdvertisedBy) -> Result<Advertised, AdvertiseError> {
    if address.is_unspecified() {
        return Err(AdvertiseError::Unspecified { by, address });
    }
    Ok(Advertised { address, by })
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, by {}", self.address, self.by)
    }
}

impl fmt::Display for AdvertisedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("the configuration"),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Listener => f.write_str("the address it listens on"),
            Self::Route(registry) => write!(f, "the route to the registry at {registry}"),
            Self::DefaultRoute => f.write_str("the default route"),
        }
    }
}

#[cfg(test)]
mod tests;

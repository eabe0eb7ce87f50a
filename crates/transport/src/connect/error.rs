use std::error::Error;
use std::fmt;
use std::sync::Arc;

use evenkeel_core::{Address, BoxError};

/// A connection attempt failed: where it went, how far it came, and why.
///
/// ```
/// use evenkeel_core::error::chain;
/// use evenkeel_transport::{ConnectError, ConnectStep};
///
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let error = ConnectError::new("127.0.0.1:80".parse()?, ConnectStep::Dial).with_source(refused);
/// assert_eq!(error.to_string(), "127.0.0.1:80: cannot connect");
/// assert_eq!(chain(&error), "127.0.0.1:80: cannot connect: connection refused");
/// # Ok::<(), evenkeel_core::ParseAddressError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConnectError {
    address: Address,
    step: ConnectStep,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The step at which a connection attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectStep {
    /// The endpoint's authority, or the TLS server name made of it, is not valid.
    Authority,
    /// The host name could not be resolved.
    Resolve,
    /// No socket could be connected.
    Dial,
    /// Whoever bounds the attempt ran out of patience.
    Timeout,
    /// The TLS handshake failed: an untrusted certificate, a wrong name, no TLS at all.
    Tls,
    /// The peer speaks TLS, but did not agree to HTTP/2.
    Alpn,
    /// The peer did not answer as an HTTP/2 server does.
    Http2,
    /// The peer closed the connection before its SETTINGS arrived.
    NoSettings,
}

impl ConnectStep {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "the authority is not valid",
            Self::Resolve => "cannot resolve the host name",
            Self::Dial => "cannot connect",
            Self::Timeout => "timed out",
            Self::Tls => "TLS handshake failed",
            Self::Alpn => "the server did not agree to HTTP/2 by ALPN",
            Self::Http2 => "HTTP/2 handshake failed",
            Self::NoSettings => "closed by the peer before its HTTP/2 SETTINGS",
        }
    }
}

impl fmt::Display for ConnectStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ConnectError {
    /// The attempt to reach `address` failed at `step`.
    #[must_use]
    pub const fn new(address: Address, step: ConnectStep) -> Self {
        Self {
            address,
            step,
            source: None,
        }
    }

    /// The same, because of `source`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// Where the attempt went.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// How far it came.
    #[must_use]
    pub const fn step(&self) -> ConnectStep {
        self.step
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.step)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.source.as_ref()?)
    }
}

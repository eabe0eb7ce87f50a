use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// One way to reach a server.
///
/// Parsed from, and displayed as:
///
/// | text | address |
/// |---|---|
/// | `127.0.0.1:8090`, `[::1]:8090` | [`Address::Ip`] |
/// | `user.internal:8090` | [`Address::Host`], resolved again at every connection attempt |
/// | `unix:relative/path`, `unix:///absolute/path` | [`Address::Unix`] |
/// | `unix-abstract:name` | [`Address::UnixAbstract`] (Linux) |
///
/// ```
/// use evenkeel_core::Address;
///
/// let address: Address = "127.0.0.1:8090".parse()?;
/// assert_eq!(address.to_string(), "127.0.0.1:8090");
/// assert!("127.0.0.1".parse::<Address>().is_err(), "the port is not optional");
/// # Ok::<(), evenkeel_core::ParseAddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A host name and a port.
    Host {
        /// The name, without the port.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
    /// A Unix domain socket in the file system.
    Unix(Arc<Path>),
    /// A Unix domain socket in Linux' abstract namespace, without the leading NUL.
    UnixAbstract(Arc<str>),
}

/// Text that is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid address {text:?}: {reason}")]
#[non_exhaustive]
pub struct ParseAddressError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Address {
    /// Whether dialling this address from another machine cannot work: an unspecified
    /// (`0.0.0.0`, `[::]`) or loopback IP, `localhost`, or a Unix socket.
    #[must_use]
    pub fn is_local_only(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().is_loopback() || address.ip().is_unspecified(),
            Self::Host { host, .. } => host.eq_ignore_ascii_case("localhost"),
            Self::Unix(_) | Self::UnixAbstract(_) => true,
        }
    }

    /// Whether the address names no machine at all (`0.0.0.0`, `[::]`) or no port.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().is_unspecified() || address.port() == 0,
            Self::Host { port, .. } => *port == 0,
            Self::Unix(_) | Self::UnixAbstract(_) => false,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let error = |reason| ParseAddressError {
            text: text.to_owned(),
            reason,
        };
        if let Some(name) = text.strip_prefix("unix-abstract:") {
            if name.is_empty() {
                return Err(error("the socket's name is empty"));
            }
            return Ok(Self::UnixAbstract(name.into()));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(error("the socket's path is empty"));
            }
            return Ok(Self::Unix(PathBuf::from(path).into()));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Ip(address));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(error("expected host:port, the port is missing"));
        };
        let port = port
            .parse()
            .map_err(|_| error("the port is not a number from 0 to 65535"))?;
        if host.is_empty() {
            return Err(error("the host is empty"));
        }
        if host.starts_with('[') || host.contains(':') {
            return Err(error("an IPv6 address is written [address]:port"));
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !host.bytes().all(legal) {
            return Err(error(
                "a host name has only letters, digits, '-', '.' and '_'",
            ));
        }
        Ok(Self::Host {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) if path.is_absolute() => write!(f, "unix://{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixAbstract(name) => write!(f, "unix-abstract:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_parses_back() {
        for text in [
            "127.0.0.1:80",
            "[::1]:8080",
            "user.internal:9000",
            "unix:run/user.sock",
            "unix:///run/user.sock",
            "unix-abstract:user",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn text_that_is_no_address_says_why() {
        for (text, why) in [
            ("", "port is missing"),
            ("127.0.0.1", "port is missing"),
            (":80", "host is empty"),
            ("host:http", "not a number"),
            ("host:65536", "not a number"),
            ("::1:80", "[address]:port"),
            ("a b:80", "only letters"),
            ("http://host:80", "[address]:port"),
            ("unix:", "path is empty"),
            ("unix://", "path is empty"),
            ("unix-abstract:", "name is empty"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn unspecified_and_loopback_are_told_apart_from_real_addresses() {
        let of = |text: &str| text.parse::<Address>().unwrap();
        assert!(of("0.0.0.0:80").is_unspecified());
        assert!(of("[::]:80").is_unspecified());
        assert!(of("10.0.0.5:0").is_unspecified());
        assert!(of("localhost:80").is_local_only());
        assert!(of("127.0.0.1:80").is_local_only() && !of("127.0.0.1:80").is_unspecified());
        assert!(!of("10.0.0.5:80").is_local_only() && !of("10.0.0.5:80").is_unspecified());
    }
}

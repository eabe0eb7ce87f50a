use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use evenkeel_core::{Address, BoxError};

/// Why a name cannot be looked up at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// It is no name that DNS could have.
    #[error("{name:?} is no name for DNS: {reason}")]
    #[non_exhaustive]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A DNS server is not an IP address.
    #[error("{server:?} is no DNS server: expected an IP address, and a port unless it is 53")]
    #[non_exhaustive]
    Server {
        /// What was given.
        server: String,
    },
    /// The system does not say where its DNS servers are.
    #[error("the system's resolver settings cannot be read")]
    System(#[source] BoxError),
}

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Addresses, all with this port.
    Host { host: Arc<str>, port: u16 },
    /// SRV records.
    Srv(Arc<str>),
}

/// Where names without a port are, as in gRPC.
const DEFAULT_PORT: u16 = 443;

impl FromStr for Name {
    type Err = DnsError;

    fn from_str(text: &str) -> Result<Self, DnsError> {
        let error = |reason: &dyn fmt::Display| DnsError::Name {
            name: text.to_owned(),
            reason: reason.to_string(),
        };
        if text.starts_with('_') {
            if text.contains(':') {
                return Err(error(&"SRV records have ports of their own"));
            }
            check(text).map_err(|reason| error(&reason))?;
            return Ok(Self::Srv(text.into()));
        }
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            let host = ip.to_string().into();
            let port = DEFAULT_PORT;
            return Ok(Self::Host { host, port });
        }
        let text = if text.contains(':') {
            text.to_owned()
        } else {
            format!("{text}:{DEFAULT_PORT}")
        };
        match text.parse() {
            Ok(Address::Host { host, port }) => {
                check(&host).map_err(|reason| error(&reason))?;
                Ok(Self::Host { host, port })
            }
            Ok(Address::Ip(address)) => Ok(Self::Host {
                host: address.ip().to_string().into(),
                port: address.port(),
            }),
            Ok(_) => Err(error(&"it is a socket")),
            Err(source) => Err(error(&source.reason)),
        }
    }
}

/// Whether DNS could have `host` (RFC 1035: 63 bytes a label, 255 altogether).
fn check(host: &str) -> Result<(), &'static str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.split('.').any(str::is_empty) {
        return Err("a label is empty");
    }
    if host.len() > 253 || host.split('.').any(|label| label.len() > 63) {
        return Err("it is too long");
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !host.bytes().all(legal) {
        return Err("a host name has only letters, digits, '-', '.' and '_'");
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Srv(name) => name.fmt(f),
        }
    }
}

/// The DNS servers in a target's authority.
pub(super) fn servers(text: &str) -> Result<Vec<SocketAddr>, DnsError> {
    let server = |text: &str| {
        let text = text.trim();
        let port = |ip: IpAddr| SocketAddr::new(ip, 53);
        let ip = text.trim_matches(['[', ']']).parse().map(port);
        ip.or_else(|_| text.parse()).map_err(|_| DnsError::Server {
            server: text.to_owned(),
        })
    };
    text.split(',').map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_with_a_port_or_srv_records() {
        for (text, shown) in [
            ("users.internal:8090", "users.internal:8090"),
            ("users.internal", "users.internal:443"),
            ("users.internal.", "users.internal.:443"),
            ("10.0.0.5", "10.0.0.5:443"),
            ("10.0.0.5:80", "10.0.0.5:80"),
            ("::1", "[::1]:443"),
            ("[::1]:80", "[::1]:80"),
            ("_grpc._tcp.users.internal", "_grpc._tcp.users.internal"),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(text.starts_with('_'), matches!(name, Name::Srv(_)));
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        let long = "a".repeat(64);
        for (text, why) in [
            ("", "host is empty"),
            (":80", "host is empty"),
            ("a..b:80", "label is empty"),
            ("a:http", "not a number"),
            ("a b:80", "only letters"),
            ("_grpc._tcp.a:80", "ports of their own"),
            ("_grpc._tcp.a b", "only letters"),
            (long.as_str(), "too long"),
            ("unix:/x", "socket"),
        ] {
            let error = text.parse::<Name>().unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn servers_are_ip_addresses() {
        let of =
            |text: &str| servers(text).map(|all| all.iter().map(ToString::to_string).collect());
        let good: Vec<String> = of("8.8.8.8, 10.0.0.1:5353,[::1],[::1]:54").unwrap();
        assert_eq!(
            good,
            ["8.8.8.8:53", "10.0.0.1:5353", "[::1]:53", "[::1]:54"]
        );
        let error = of("dns.google").unwrap_err().to_string();
        assert!(error.contains("expected an IP address"), "{error}");
    }
}

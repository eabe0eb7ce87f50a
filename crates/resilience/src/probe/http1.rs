use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use evenkeel_core::error::BoxError;
use evenkeel_core::{Address, Endpoint};
use http::uri::{Authority, PathAndQuery};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::socket::{connect, first_success};
use super::{Probe, Probing};

/// Asks for a page over HTTP/1.1, without TLS, and looks at the status of the answer; of several addresses,
/// which are asked at the same time, one is enough.
///
/// A port that speaks gRPC knows HTTP/2 only: mostly the page is on [another one](Self::port).
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, built upon its Default"
)]
pub struct HttpProbe {
    /// What to `GET`. Default: `/`.
    pub path: PathAndQuery,
    /// The port, of the endpoint's host. Default: the endpoint's own.
    pub port: Option<u16>,
    /// The statuses that are a success; redirects are not followed. Default: 200 to 299.
    pub status: RangeInclusive<u16>,
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            path: PathAndQuery::from_static("/"),
            port: None,
            status: 200..=299,
        }
    }
}

impl Probe for HttpProbe {
    fn probe(&self, endpoint: Arc<Endpoint>) -> Probing {
        let probe = self.clone();
        Box::pin(async move {
            let addresses = endpoint.addresses().iter();
            first_success(addresses.map(|address| probe.ask(&endpoint, address))).await
        })
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => write!(f, "HTTP probe of {}", self.path),
            Some(port) => write!(f, "HTTP probe of :{port}{}", self.path),
        }
    }
}

impl HttpProbe {
    async fn ask(&self, endpoint: &Endpoint, address: &Address) -> Result<(), BoxError> {
        let mut stream = connect(address, self.port).await?;
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nuser-agent: evenkeel-probe\r\naccept: */*\r\n\
             connection: close\r\n\r\n",
            self.path,
            self.host(endpoint, address),
        );
        stream.write_all(request.as_bytes()).await?;
        let status = read_status(&mut stream).await?;
        match self.status.contains(&status) {
            true => Ok(()),
            false => Err(format!("its answer is {status}").into()),
        }
    }

    /// What the request names as its host: never anything that would break it.
    fn host(&self, endpoint: &Endpoint, address: &Address) -> String {
        let own = endpoint.authority().map(str::to_owned);
        let host = own.unwrap_or_else(|| match (address, self.port) {
            (Address::Ip(ip), Some(port)) => {
                let mut ip = *ip;
                ip.set_port(port);
                ip.to_string()
            }
            (Address::Host { host, .. }, Some(port)) => format!("{host}:{port}"),
            (address, _) => address.to_string(),
        });
        match host.parse::<Authority>() {
            Ok(host) => host.to_string(),
            Err(_) => "localhost".to_owned(),
        }
    }
}

/// Reads the first line of an answer.
async fn read_status(stream: &mut (impl AsyncRead + Unpin)) -> Result<u16, BoxError> {
    let mut line = Vec::new();
    // So much of a line is enough to know, whatever the server sends.
    let mut start = stream.take(256);
    while !line.contains(&b'\n') {
        if start.read_buf(&mut line).await? == 0 {
            break;
        }
    }
    status(&line).ok_or_else(|| match line.is_empty() {
        true => "it closed the connection without an answer".into(),
        false => "its answer is not HTTP/1".into(),
    })
}

/// The status in `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', status @ ..] = rest else {
        return None;
    };
    let (digits, after) = status.split_at_checked(3)?;
    if !after.first().is_some_and(u8::is_ascii_whitespace) {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    text.parse().ok().filter(|status| *status >= 100)
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_line_and_from_nothing_else() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503 Service Unavailable\r\n", Some(503)),
            ("HTTP/1.1 204\r\n", Some(204)),
            ("HTTP/1.1 204 \r\nx: y", Some(204)),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1 +20 OK\r\n", None),
            ("HTTP/1.1 099 OK\r\n", None),
            ("HTTP/2 200\r\n", None),
            ("SSH-2.0-OpenSSH\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_sends_without_end_is_no_http_server() {
        let (mut server, mut client) = tokio::io::duplex(64);
        let mut flood = JoinSet::new();
        flood.spawn(async move { while server.write_all(&[b'x'; 64]).await.is_ok() {} });
        let error = read_status(&mut client).await.unwrap_err();
        assert_eq!(error.to_string(), "its answer is not HTTP/1");
    }

    #[test]
    fn the_host_is_the_authority_or_where_it_is_probed() {
        let probe = HttpProbe {
            port: Some(8080),
            ..HttpProbe::default()
        };
        for (address, authority, expected) in [
            ("10.0.0.1:80", None, "10.0.0.1:8080"),
            ("[::1]:80", None, "[::1]:8080"),
            ("user.internal:80", None, "user.internal:8080"),
            ("10.0.0.1:80", Some("user"), "user"),
            ("10.0.0.1:80", Some("user\r\nx: y"), "localhost"),
        ] {
            let address: Address = address.parse().unwrap();
            let mut endpoint = Endpoint::new(address.clone());
            if let Some(authority) = authority {
                endpoint = endpoint.with_authority(authority);
            }
            assert_eq!(probe.host(&endpoint, &address), expected);
        }
    }
}

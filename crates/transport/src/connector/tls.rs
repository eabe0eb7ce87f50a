use std::io;
use std::sync::Arc;

use evenkeel_core::BoxError;
use http::uri::Authority;
use rustls::crypto::ring;
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::BoxIo;
use crate::ConnectStep;

/// How a connection speaks TLS: whom it trusts, and who the server has to be.
///
/// HTTP/2 must be agreed by ALPN: a server that does not is refused.
///
/// ```no_run
/// use evenkeel_transport::{Connector, Tls};
///
/// let tls = Tls::with_ca_pem(&std::fs::read("ca.pem")?)?;
/// let connector = Connector::new().with_tls(tls);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// [`Tls`] could not be made of what was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The text is not PEM, or something in it is not a certificate.
    #[error("cannot read the certificates")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// A certificate cannot be trusted as an authority's.
    #[error("cannot trust the certificate")]
    Certificate(#[source] rustls::Error),
    /// There is no certificate in the text.
    #[error("no certificate found")]
    NoCertificate,
    /// The server name is neither a DNS name nor an IP address.
    #[error("not a server name: {0:?}")]
    ServerName(String),
}

impl Tls {
    const ALPN: &'static [u8] = b"h2";

    /// As rustls is told: client certificates, own verifiers, other providers. Its ALPN protocols
    /// are replaced by `h2`.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>) -> Self {
        let config = if config.alpn_protocols == [Self::ALPN] {
            config
        } else {
            let mut own = (*config).clone();
            own.alpn_protocols = vec![Self::ALPN.to_vec()];
            Arc::new(own)
        };
        Self {
            config,
            server_name: None,
        }
    }

    /// Trusts the authorities in this PEM text, and no other.
    ///
    /// # Errors
    ///
    /// When there is no certificate in it, or one that cannot be read or trusted.
    pub fn with_ca_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(TlsError::Pem)?;
            roots.add(certificate).map_err(TlsError::Certificate)?;
        }
        if roots.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        Ok(Self::trusting(roots))
    }

    /// Trusts the authorities that Mozilla trusts, as they were when this was compiled.
    #[cfg(feature = "webpki-roots")]
    #[must_use]
    pub fn with_webpki_roots() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self::trusting(roots)
    }

    /// Expects the server to be `name`, whatever the authority of the calls. Default: the host of
    /// the authority.
    ///
    /// # Errors
    ///
    /// When it is neither a DNS name nor an IP address.
    pub fn with_server_name(mut self, name: &str) -> Result<Self, TlsError> {
        let parsed = ServerName::try_from(name.to_owned());
        self.server_name = Some(parsed.map_err(|_| TlsError::ServerName(name.to_owned()))?);
        Ok(self)
    }

    fn trusting(roots: RootCertStore) -> Self {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![Self::ALPN.to_vec()];
        Self {
            config: Arc::new(config),
            server_name: None,
        }
    }

    /// TLS on `io`, with HTTP/2 agreed; or the step that failed, and why.
    pub(super) async fn handshake(
        &self,
        io: BoxIo,
        authority: &Authority,
    ) -> Result<BoxIo, (ConnectStep, Option<BoxError>)> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => {
                server_name(authority).map_err(|error| (ConnectStep::Authority, Some(error)))?
            }
        };
        let stream = TlsConnector::from(self.config.clone())
            .connect(name, io)
            .await
            .map_err(|error| (step_of(&error), Some(error.into())))?;
        if stream.get_ref().1.alpn_protocol() != Some(Self::ALPN) {
            return Err((ConnectStep::Alpn, None));
        }
        Ok(Box::new(stream))
    }
}

fn server_name(authority: &Authority) -> Result<ServerName<'static>, BoxError> {
    let host = authority.host();
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    Ok(ServerName::try_from(host.to_owned())?)
}

/// A server without `h2` among its protocols says so by an alert.
fn step_of(error: &io::Error) -> ConnectStep {
    let tls = error.get_ref().and_then(|it| it.downcast_ref());
    match tls {
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            ConnectStep::Alpn
        }
        _ => ConnectStep::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_name_is_the_authoritys_host() {
        for (authority, name) in [
            ("user.example:443", "user.example"),
            ("user.example", "user.example"),
            ("10.0.0.1:443", "10.0.0.1"),
            ("[::1]:443", "::1"),
        ] {
            let found = server_name(&Authority::from_static(authority)).unwrap();
            assert_eq!(found.to_str(), name);
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        let error = Tls::with_ca_pem(b"").unwrap_err();
        assert_eq!(error.to_string(), "no certificate found");
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = Tls::with_ca_pem(broken).unwrap_err();
        assert_eq!(error.to_string(), "cannot trust the certificate");
    }

    #[test]
    fn h2_is_asked_for_whatever_the_users_config_says() {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        assert_eq!(Tls::new(Arc::new(config)).config.alpn_protocols, [b"h2"]);
    }
}

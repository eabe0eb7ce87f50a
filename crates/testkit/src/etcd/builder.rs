use std::fs;
use std::time::Duration;

use super::EtcdServer;
use super::process::{AUTHORITY, CERTIFICATE, KEY, Ports, Setup, Tls, Tokens};
use crate::skip;
use crate::tls::Authority;

/// The settings of an [`EtcdServer`].
#[derive(Debug, Default)]
#[must_use]
pub struct EtcdBuilder {
    tokens: Option<Tokens>,
    tls: Option<Certificates>,
}

#[derive(Debug)]
struct Certificates {
    certificate: String,
    key: String,
    /// Who signs the certificates that clients must have.
    clients: Option<String>,
}

impl EtcdBuilder {
    /// Tokens of this many whole seconds after their last use; unset: 5 min.
    pub fn simple_tokens(mut self, ttl: Duration) -> Self {
        self.tokens = Some(Tokens::Simple(ttl));
        self
    }

    /// Signed tokens of this many whole seconds, which every change of users and roles outdates.
    pub fn jwt(mut self, ttl: Duration) -> Self {
        self.tokens = Some(Tokens::Jwt(ttl));
        self
    }

    /// Speaks TLS, as a server that is called `names`.
    pub fn tls(mut self, authority: &Authority, names: &[&str]) -> Self {
        let (certificate, key) = authority.issue(names);
        self.tls = Some(Certificates {
            certificate,
            key,
            clients: None,
        });
        self
    }

    /// Wants clients to have a certificate of `authority`; only with [`Self::tls`].
    ///
    /// # Panics
    ///
    /// Without TLS.
    pub fn client_certificates(mut self, authority: &Authority) -> Self {
        let tls = self.tls.as_mut().expect("TLS comes first");
        tls.clients = Some(authority.pem().to_owned());
        self
    }

    /// As [`EtcdServer::start`].
    ///
    /// # Panics
    ///
    /// When etcd is there and does not start.
    pub async fn start(self) -> Option<EtcdServer> {
        let mut server = self.prepare()?;
        // The ports were free a moment ago; that somebody else took one is rare, not impossible.
        for _ in 0..3 {
            server.launch();
            if server.serves().await {
                return Some(server);
            }
            server.process = None;
            server.ports = Ports::free();
            let fresh = Setup::alone(&server.setup.name, server.ports);
            server.setup.members = fresh.members;
        }
        panic!("etcd does not start; it says:\n{}", server.log());
    }

    /// As [`EtcdServer::prepare`].
    #[must_use]
    pub fn prepare(self) -> Option<EtcdServer> {
        let binary = skip::unless_installed("etcd")?;
        let mut server = EtcdServer::new(binary, "test", Ports::free());
        if let Some(tokens) = self.tokens {
            server.setup.tokens = tokens;
        }
        if let Some(tls) = self.tls {
            server.setup.tls = Some(Tls {
                client_certificates: tls.clients.is_some(),
            });
            server.write(AUTHORITY, &tls.clients.unwrap_or_default());
            server.write(CERTIFICATE, &tls.certificate);
            server.write(KEY, &tls.key);
        }
        Some(server)
    }
}

impl EtcdServer {
    /// Replaces the certificate of an etcd with TLS, which reads it for each new connection.
    pub fn certify(&self, authority: &Authority, names: &[&str]) {
        let (certificate, key) = authority.issue(names);
        self.write(CERTIFICATE, &certificate);
        self.write(KEY, &key);
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).expect("the folder is ours");
    }
}

//! From the command line to etcd's configuration.

use std::fs;
use std::path::Path;
use std::time::Duration;

use evenkeel_etcd::{Certificate, Credentials, EtcdConfig, Identity, TlsOptions, codec_named};

use crate::args::At;

/// etcd, and the service there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) config: EtcdConfig,
    pub(crate) service: String,
}

impl At {
    /// Reads what the arguments name.
    pub(crate) fn place(&self) -> Result<Place, String> {
        let tls = self.tls()?;
        let (endpoints, service) = parse(&self.etcd, tls.is_some())?;
        let service = match (service, self.service.clone()) {
            (Some(_), Some(_)) => return Err("the service is given twice".to_owned()),
            (service, other) => service.or(other),
        };
        let service = service.unwrap_or_default();
        let service = service.trim_end_matches('/');
        if service.is_empty() {
            return Err("which service? give its name, for example service/user".to_owned());
        }
        let codec = codec_named(&self.layout);
        let defaults = EtcdConfig::default();
        let config = EtcdConfig {
            endpoints,
            credentials: self.credentials()?,
            tls,
            prefix: self.prefix.clone(),
            codec: codec.ok_or_else(|| format!("no layout is called {:?}", self.layout))?,
            connect_timeout: self.timeout,
            request_timeout: self.timeout,
            report_after: Duration::ZERO,
            ..defaults
        };
        Ok(Place {
            config,
            service: service.to_owned(),
        })
    }

    fn credentials(&self) -> Result<Option<Credentials>, String> {
        const VARIABLE: &str = "ETCDCTL_PASSWORD";
        let Some(name) = self.user.clone() else {
            return Ok(None);
        };
        // As etcdctl has it; whoever lists processes would read it.
        if name.contains(':') {
            return Err(
                "--user takes the name alone: the password is in --password-file".to_owned(),
            );
        }
        let password = match &self.password_file {
            Some(file) => {
                let text = String::from_utf8(read(file)?);
                let text = text.map_err(|_| format!("{}: not UTF-8", file.display()))?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
            None => std::env::var(VARIABLE).map_err(|_| {
                format!("the password of {name:?}? set {VARIABLE}, or give --password-file")
            })?,
        };
        Ok(Some(Credentials { name, password }))
    }

    fn tls(&self) -> Result<Option<TlsOptions>, String> {
        if self.cacert.is_none() && self.cert.is_none() {
            return Ok(None);
        }
        let mut tls = TlsOptions::new();
        match &self.cacert {
            Some(file) => tls = tls.ca_certificate(Certificate::from_pem(read(file)?)),
            None => tls = tls.with_native_roots(),
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(Some(tls))
    }
}

/// All of a file that an argument names.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// `etcd://a:1,b/service` as URLs of members and the service.
fn parse(text: &str, tls: bool) -> Result<(Vec<String>, Option<String>), String> {
    let text = text.trim();
    // No member and no service has one, and whoever lists processes would read the password. Said
    // before anything else is, as the other errors repeat the URL.
    if text.contains('@') {
        return Err("no name and password in the URL: use --user".to_owned());
    }
    let mut scheme = if tls { "https" } else { "http" };
    let mut endpoints = Vec::new();
    let mut service = None;
    for part in text.split(',').map(str::trim) {
        if service.is_some() {
            return Err(format!("{text:?}: the service comes after the last member"));
        }
        let rest = match part.split_once("://") {
            None => part,
            Some(("etcd", rest)) => rest,
            Some(("http", _)) if tls => {
                return Err("http:// and certificates do not go together".to_owned());
            }
            Some((known @ ("http" | "https"), rest)) => {
                scheme = if known == "https" { "https" } else { "http" };
                rest
            }
            Some((other, _)) => {
                let known = "known are etcd, http and https";
                return Err(format!("{text:?}: no scheme is called {other:?}; {known}"));
            }
        };
        let (member, path) = rest.split_once('/').unwrap_or((rest, ""));
        service = (!path.is_empty()).then(|| path.to_owned());
        endpoints.push(match member {
            "" => format!("{scheme}://127.0.0.1:2379"),
            member if has_port(member) => format!("{scheme}://{member}"),
            member => format!("{scheme}://{member}:2379"),
        });
    }
    Ok((endpoints, service))
}

fn has_port(member: &str) -> bool {
    let after_address = member.rsplit(']').next().unwrap_or(member);
    after_address.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_service_are_read_from_one_url() {
        let cases: [(&str, bool, &[&str], Option<&str>); 8] = [
            ("etcd://127.0.0.1:1", false, &["http://127.0.0.1:1"], None),
            (
                "etcd://a:1,b/service/user",
                false,
                &["http://a:1", "http://b:2379"],
                Some("service/user"),
            ),
            (
                "etcd:///user",
                false,
                &["http://127.0.0.1:2379"],
                Some("user"),
            ),
            ("a, b", true, &["https://a:2379", "https://b:2379"], None),
            (
                "https://a,https://b:1/x",
                false,
                &["https://a:2379", "https://b:1"],
                Some("x"),
            ),
            ("[::1]", false, &["http://[::1]:2379"], None),
            ("[::1]:7", false, &["http://[::1]:7"], None),
            (
                "etcd://a//services/x",
                false,
                &["http://a:2379"],
                Some("/services/x"),
            ),
        ];
        for (text, tls, endpoints, service) in cases {
            let parsed = parse(text, tls).unwrap();
            assert_eq!(parsed.0, endpoints, "{text}");
            assert_eq!(parsed.1.as_deref(), service, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_says_why() {
        for (text, tls, why) in [
            ("consul://a", false, "known are etcd"),
            ("etcd://root:secret@a", false, "--user"),
            ("b,consul://root:secret@a", false, "--user"),
            ("zk://a,root:secret@b", false, "--user"),
            ("etcd://a/x,root:secret@b", false, "--user"),
            ("etcd://root:se/secret@a", false, "--user"),
            ("root:secret@a", true, "--user"),
            ("etcd://a/x,b", false, "after the last member"),
            ("http://a", true, "certificates"),
        ] {
            let error = parse(text, tls).unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
    }
}

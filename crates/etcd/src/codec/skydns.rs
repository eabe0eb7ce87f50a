use evenkeel_core::Endpoint;
use serde_json::Value;

use super::fields::{Fields, host_port};
use super::metadata::Said;
use super::{Codec, CodecError, Customs, Decoded, key};

/// The layout of SkyDNS and of CoreDNS' plugin `etcd`; read only.
///
/// | key | value |
/// |---|---|
/// | `/skydns/local/svc/x1` | `{"host":"10.0.0.5","port":8080,"weight":10,"ttl":60}` |
///
/// - The service is a domain, `svc.local`; keys have its labels from the last to the first. What
///   is below belongs to it, as in DNS: `x1.eu.svc.local` is one of `svc.local`.
/// - A weight that is missing or not more than 0 is 100, as for CoreDNS; `priority` is kept as it
///   is, in [`Metadata::other`](evenkeel_core::Metadata::other), and not obeyed: a server with a
///   higher one gets its share of calls, unless `evenkeel.priority` goes by it.
/// - Records without a port, as external-dns writes them, are skipped with a warning each; those for
///   mail are not its own. `group` is not looked at, and neither is a record whose key is the domain
///   itself (`/skydns/local/svc`), which DNS has when there is none below.
#[derive(Clone, Debug)]
pub struct SkyDns {
    /// What keys begin with: the plugin's `path`. Default `/skydns`.
    pub root: String,
}

impl Default for SkyDns {
    fn default() -> Self {
        Self {
            root: "/skydns".to_owned(),
        }
    }
}

impl Codec for SkyDns {
    fn prefix(&self, service: &str) -> String {
        let labels = key::name(service).split('.').rev();
        let labels: Vec<_> = labels.filter(|label| !label.is_empty()).collect();
        key::under(&self.root, &labels.join("/"))
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("skydns"))
    }

    fn decode(&self, _: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let fields = Fields::read(value)?;
        if fields.field("mail") == Some(&Value::Bool(true)) {
            return Ok(None);
        }
        read(&fields).map(Some)
    }

    fn customs(&self) -> Customs {
        Customs {
            is_kept_by_hand: true,
            ..Customs::default()
        }
    }
}

/// What a value says.
pub(super) fn read(fields: &Fields) -> Result<Decoded, CodecError> {
    let Some(host) = fields.text("host") else {
        return Err(CodecError::field("host", "a host name or an IP address"));
    };
    let port = fields.field("port").and_then(Value::as_u64);
    let port = port.ok_or(CodecError::field("port", "a number"))?;
    let address = host_port("port", host, port)?;
    let mut said = Said::default();
    said.metadata.weight = Some(fields.weight_or("weight", 100.0));
    if let Some(priority) = fields.field("priority") {
        said.add_field("priority", priority);
    }
    Ok(said.of(Endpoint::new(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(value: &str) -> Result<Decoded, CodecError> {
        let decoded =
            SkyDns::default().decode("svc.local", "/skydns/local/svc/x1", value.as_bytes());
        Ok(decoded?.unwrap())
    }

    #[test]
    fn keys_have_the_labels_of_the_domain_in_reverse() {
        for service in ["svc.local", "svc.local.", "/svc.local/"] {
            assert_eq!(SkyDns::default().prefix(service), "/skydns/local/svc/");
        }
    }

    #[test]
    fn a_record_is_an_endpoint() {
        let decoded = decode(r#"{"host":"fd00::5","port":8080,"priority":20}"#).unwrap();
        assert_eq!(decoded.endpoint.to_string(), "[fd00::5]:8080");
        let metadata = decoded.endpoint.metadata();
        assert_eq!(
            (metadata.weight, &*metadata.other["priority"]),
            (Some(100.0), "20")
        );
    }

    #[test]
    fn a_record_for_mail_is_not_its_own() {
        let value = br#"{"host":"10.0.0.5","port":25,"mail":true}"#;
        let decoded = SkyDns::default().decode("svc.local", "/skydns/local/svc/x1", value);
        assert_eq!(decoded.unwrap(), None);
    }

    #[test]
    fn a_record_without_host_or_port_is_refused_with_the_reason() {
        for (value, why) in [
            (r#"{"text":"hello"}"#, "host"),
            (r#"{"host":"10.0.0.5"}"#, "port: expected a number"),
            (r#"{"host":"10.0.0.5","port":0}"#, "can be dialled"),
            (r#"{"host":"10.0.0.5","port":70000}"#, "not a number from 0"),
        ] {
            let error = decode(value).unwrap_err().to_string();
            assert!(error.contains(why), "{value}: {error}");
        }
    }
}

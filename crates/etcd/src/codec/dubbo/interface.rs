use evenkeel_core::{Availability, Endpoint};

use super::{PROTOCOLS, WEIGHT};
use crate::codec::fields::address;
use crate::codec::metadata::Said;
use crate::codec::{Codec, CodecError, Decoded, key};

/// The layout of Dubbo's registry by interface, in Go and Java; read only.
///
/// | key | value |
/// |---|---|
/// | `/dubbo/com.acme.User/providers/tri%3A%2F%2F10.0.0.5%3A20000%2Fcom.acme.User%3Fweight%3D100` | empty in Go, the lease's number in Java |
///
/// - The service is the interface; all that is said is a URL, escaped, in the key.
/// - Servers of all groups and versions of the interface are found. A consumer of Dubbo only takes
///   those of its own: filter by `version` and, in
///   [`Metadata::other`](evenkeel_core::Metadata::other), `group`.
/// - Only `tri://` and `grpc://` are gRPC; servers of other protocols are skipped.
/// - The URL's parameters are understood as [the metadata of the Go client](crate::GoEndpoints);
///   `dubbo.tag` is a tag, and `enabled=false` or `disabled=true` is [`Availability::Down`].
///   Without a weight, a server has the weight 100, as for Dubbo.
#[derive(Clone, Debug)]
pub struct DubboInterface {
    /// What keys begin with: the registry's `group`. Default `/dubbo`.
    pub root: String,
}

impl Default for DubboInterface {
    fn default() -> Self {
        Self {
            root: "/dubbo".to_owned(),
        }
    }
}

impl Codec for DubboInterface {
    fn prefix(&self, service: &str) -> String {
        let service = key::escaped(key::name(service));
        format!("{}providers/", key::under(&self.root, &service))
    }

    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("dubbo-interface"))
    }

    fn decode(&self, service: &str, key: &str, _: &[u8]) -> Result<Option<Decoded>, CodecError> {
        match key::last(&self.prefix(service), key) {
            Some(url) => read(url).map(Some),
            None => Ok(None),
        }
    }
}

/// What an escaped URL says. Its parameters are unescaped once more, as Dubbo does when it parses
/// the URL.
pub(in crate::codec) fn read(url: &str) -> Result<Decoded, CodecError> {
    const EXPECTED: CodecError = CodecError::field("key", "a URL tri:// or grpc://");
    let url = key::unescaped(url);
    let (scheme, rest) = url.split_once("://").ok_or(EXPECTED)?;
    if !PROTOCOLS.contains(&scheme) {
        return Err(EXPECTED);
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let endpoint = Endpoint::new(address("key", authority)?);
    let mut said = Said::default();
    let (mut tag, mut is_down) = (None, false);
    for (name, value) in key::query(query) {
        match (name.as_str(), value.as_str()) {
            ("dubbo.tag", _) => tag = Some(value).filter(|tag| !tag.is_empty()),
            ("enabled", "false") | ("disabled", "true") => is_down = true,
            ("enabled" | "disabled", _) => {}
            _ => said.add_field(&name, &value.into()),
        }
    }
    said.metadata.weight.get_or_insert(WEIGHT);
    said.metadata.tags.extend(tag);
    if is_down {
        said.metadata.availability = Availability::Down;
    }
    Ok(said.of(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(url: &str) -> Result<Option<Decoded>, CodecError> {
        let key = format!("/dubbo/com.acme.User/providers/{url}");
        DubboInterface::default().decode("com.acme.User", &key, b"")
    }

    #[test]
    fn parameters_are_understood() {
        let url = "tri%3A%2F%2F10.0.0.5%3A20000%2Fcom.acme.User%3Fweight%3D7%26version%3D1.0.0\
                   %26dubbo.tag%3Dgray%26group%3Da%252Fb%26enabled%3Dtrue";
        let decoded = decode(url).unwrap().unwrap();
        assert_eq!(decoded.endpoint.to_string(), "10.0.0.5:20000");
        let metadata = decoded.endpoint.metadata();
        assert_eq!(
            (metadata.weight, &metadata.tags[..]),
            (Some(7.0), &["gray".to_owned()][..])
        );
        assert_eq!(metadata.version.as_deref(), Some("1.0.0"));
        assert_eq!(metadata.availability, Availability::Up);
        assert_eq!(
            metadata.other,
            [("group".to_owned(), "a/b".to_owned())].into()
        );
    }

    #[test]
    fn an_interface_within_another_is_escaped_in_keys() {
        let prefix = DubboInterface::default().prefix("com.acme.Outer$User");
        assert_eq!(prefix, "/dubbo/com.acme.Outer%24User/providers/");
    }

    #[test]
    fn what_is_disabled_is_down() {
        for parameter in ["enabled%3Dfalse", "disabled%3Dtrue"] {
            let decoded = decode(&format!("tri%3A%2F%2F10.0.0.5%3A1%2Fx%3F{parameter}"));
            let endpoint = decoded.unwrap().unwrap().endpoint;
            assert_eq!(endpoint.metadata().availability, Availability::Down);
        }
    }

    #[test]
    fn what_is_no_grpc_is_refused_and_what_is_below_is_another_s() {
        for url in ["dubbo%3A%2F%2F10.0.0.5%3A20880%2Fx", "10.0.0.5%3A20000", ""] {
            let error = decode(url).unwrap_err().to_string();
            assert!(error.contains("tri:// or grpc://"), "{url}: {error}");
        }
        assert_eq!(decode("a/tri%3A%2F%2F10.0.0.5%3A20000").unwrap(), None);
    }
}

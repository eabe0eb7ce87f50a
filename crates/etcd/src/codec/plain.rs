use evenkeel_core::{Endpoint, Metadata};

use super::fields::{address, one_address};
use super::{Codec, CodecError, Decoded};

/// The address as plain text and nothing else: go-zero's layout (`core/discov`), and what one types
/// into `etcdctl`.
///
/// | key | value |
/// |---|---|
/// | `user.rpc/7587869142512345678` | `192.168.1.10:8080` |
///
/// What the key has after the service is free text: go-zero writes the lease's number, or an id of
/// the user's. Endpoints are told apart by their addresses. Written with the address there.
///
/// There is no place for metadata. A server that has any cannot be written, and neither can one
/// that is draining.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PlainText;

impl Codec for PlainText {
    fn encode(&self, _: &str, endpoint: &Endpoint) -> Result<Vec<u8>, CodecError> {
        let address = one_address(endpoint)?;
        if *endpoint.metadata() != Metadata::default() {
            return Err(CodecError::no_place("metadata"));
        }
        Ok(address.to_string().into_bytes())
    }

    fn decode(&self, _: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        read(value).map(Some)
    }
}

/// What a value says.
pub(super) fn read(value: &[u8]) -> Result<Decoded, CodecError> {
    const EXPECTED: CodecError = CodecError::field("value", "the text host:port");
    let text = std::str::from_utf8(value).map_err(|_| EXPECTED)?.trim();
    if text.is_empty() || text.starts_with('{') {
        return Err(EXPECTED);
    }
    Ok(Decoded::new(Endpoint::new(address("value", text)?)))
}

#[cfg(test)]
mod tests {
    use evenkeel_core::{Address, Availability};

    use super::*;

    fn decode(value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        PlainText.decode("user.rpc", "user.rpc/7587869142512345678", value)
    }

    #[test]
    fn an_address_may_stand_on_a_line_of_its_own() {
        for value in ["192.168.1.10:8080", " 192.168.1.10:8080\n"] {
            let decoded = decode(value.as_bytes()).unwrap().unwrap();
            assert_eq!(decoded.endpoint.to_string(), "192.168.1.10:8080");
            assert_eq!(decoded.remark, None);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (value, why) in [
            (&b""[..], "the text host:port"),
            (b"\xff", "the text host:port"),
            (br#"{"Addr":"10.0.0.5:80"}"#, "the text host:port"),
            (b"10.0.0.5", "port is missing"),
            (b"0.0.0.0:80", "can be dialled"),
        ] {
            let error = decode(value).unwrap_err().to_string();
            assert!(error.contains(why), "{value:?}: {error}");
        }
    }

    #[test]
    fn only_an_address_can_be_written() {
        let endpoint = Endpoint::new("10.0.0.5:80".parse::<Address>().unwrap());
        assert_eq!(PlainText.key("user.rpc", &endpoint), "user.rpc/10.0.0.5:80");
        assert_eq!(
            PlainText.encode("user.rpc", &endpoint).unwrap(),
            b"10.0.0.5:80"
        );
        for metadata in [
            Metadata::default().with_weight(10.0),
            Metadata::default().with_availability(Availability::Draining),
        ] {
            let error = PlainText.encode("user.rpc", &endpoint.clone().with_metadata(metadata));
            assert!(matches!(
                error,
                Err(CodecError::NoPlace { what: "metadata" })
            ));
        }
    }
}

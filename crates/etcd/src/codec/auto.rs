use std::sync::atomic::{AtomicU16, Ordering};

use evenkeel_core::Endpoint;
use tracing::warn;

use super::fields::{Fields, address};
use super::{Codec, CodecError, Decoded};
use super::{dubbo, fyer, go, go_micro, goframe, key, kitex, kratos, plain, rpcx, skydns};

/// Guesses each value's layout; read only. To find out what there is, and while servers move from
/// one layout to another. The first value of each layout is logged as a warning.
///
/// A value that begins with `{` is told by its fields, or is GoFrame's if its key looks so;
/// any other is that of rpcx or of Dubbo's registry by interface if its key ends as theirs do, and
/// else [`PlainText`](super::PlainText). Keys begin with the service and a slash and nothing before it,
/// so the service is written in full: `etcd:////microservices/helloworld`, `etcd:///user.rpc`. The
/// name in a value is not compared with it.
#[derive(Debug, Default)]
pub struct AutoDetect {
    /// One bit for each layout that was warned of.
    warned: AtomicU16,
}

/// A layout that values can be told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Go,
    Kratos,
    Kitex,
    Dubbo,
    DubboInterface,
    GoMicro,
    Fyer,
    Rpcx,
    GoFrame,
    SkyDns,
    Plain,
}

impl Guess {
    const fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Kratos => "kratos",
            Self::Kitex => "kitex",
            Self::Dubbo => "dubbo",
            Self::DubboInterface => "dubbo-interface",
            Self::GoMicro => "go-micro",
            Self::Fyer => "fyer",
            Self::Rpcx => "rpcx",
            Self::GoFrame => "goframe",
            Self::SkyDns => "skydns",
            Self::Plain => "plain",
        }
    }

    /// By what only one of them has.
    fn by_fields(fields: &Fields) -> Option<Self> {
        let has = |name| fields.field(name).is_some();
        Some(if has("Addr") {
            Self::Go
        } else if has("ServiceName") && has("Host") {
            Self::Dubbo
        } else if has("nodes") {
            Self::GoMicro
        } else if has("endpoints") {
            Self::Kratos
        } else if has("host") && has("port") {
            Self::SkyDns
        } else if has("address") && has("service") {
            Self::Fyer
        } else if has("address") {
            Self::Kitex
        } else {
            return None;
        })
    }
}

/// The name of the layout that a key and its value look like, as
/// [`codec_named`](super::codec_named) knows it; that it can be read is not said.
///
/// ```
/// use evenkeel_etcd::guess_layout;
///
/// let value = br#"{"network":"tcp","address":"10.0.0.5:8888","weight":10,"tags":null}"#;
/// assert_eq!(guess_layout("kitex/registry-etcd/user/10.0.0.5:8888", value), Some("kitex"));
/// assert_eq!(guess_layout("user.rpc/7587869142512345678", b"10.0.0.5:8080"), Some("plain"));
/// assert_eq!(guess_layout("lock/7", b"{}"), None);
/// ```
#[must_use]
pub fn guess_layout(key: &str, value: &[u8]) -> Option<&'static str> {
    let read = read(key, value).ok().flatten();
    read.map(|(guess, _)| guess.name())
}

/// What a value says, by the layout that it is of.
type Reading = (Guess, Result<Decoded, CodecError>);

/// The layout, and what the value says by it; none of what Dubbo keeps beside its servers.
fn read(key: &str, value: &[u8]) -> Result<Option<Reading>, CodecError> {
    let value = value.trim_ascii();
    if value.first() == Some(&b'{') {
        return read_fields(key, value).map(Some);
    }
    let last = key.rsplit('/').next().unwrap_or_default();
    // Go leaves the value empty, and Java writes the lease's number.
    if key::unescaped(last).contains("://") {
        let others = ["/consumers/", "/routers/", "/configurators/"];
        if others.iter().any(|other| key.contains(other)) {
            return Ok(None);
        }
        return Ok(Some((Guess::DubboInterface, dubbo::read_url(last))));
    }
    let socket = key.find("/unix@").map(|at| &key[at + 1..]);
    if let Some(server) = socket.or_else(|| last.starts_with("tcp@").then_some(last)) {
        return Ok(Some((Guess::Rpcx, rpcx::read(server, value))));
    }
    if value.is_empty() {
        return read_goframe(key, value).map(Some);
    }
    let decoded = plain::read(value)?;
    Ok(Some((Guess::Plain, Ok(decoded))))
}

fn read_fields(key: &str, value: &[u8]) -> Result<Reading, CodecError> {
    let fields = Fields::read(value)?;
    let Some(guess) = Guess::by_fields(&fields) else {
        return read_goframe(key, value);
    };
    let decoded = match guess {
        Guess::Kratos => kratos::read(&fields, false),
        Guess::Kitex => kitex::read(&fields),
        Guess::Dubbo => dubbo::read(&fields),
        Guess::GoMicro => go_micro::read(&fields),
        Guess::Fyer => fyer::read(&fields),
        Guess::SkyDns => skydns::read(&fields),
        // The others are not told by fields.
        _ => go::read(&fields),
    };
    Ok((guess, decoded))
}

/// GoFrame's, whose values say no address, and whose keys are `/service/…/version/address,address`.
fn read_goframe(key: &str, value: &[u8]) -> Result<Reading, CodecError> {
    const EXPECTED: CodecError = CodecError::field("value", "one of a layout that is known");
    let mut parts = key.rsplit('/');
    let (Some(addresses), Some(version)) = (parts.next(), parts.next()) else {
        return Err(EXPECTED);
    };
    let mut each = addresses.split(',').map(|text| address("key", text));
    if !key.contains("/service/") || each.all(|address| address.is_err()) {
        return Err(EXPECTED);
    }
    Ok((Guess::GoFrame, goframe::read(version, addresses, value)))
}

impl Codec for AutoDetect {
    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("auto"))
    }

    fn decode(&self, _: &str, key: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let Some((guess, decoded)) = read(key, value)? else {
            return Ok(None);
        };
        let decoded = decoded?;
        let bit = 1 << guess as u16;
        if self.warned.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let layout = guess.name();
            let key = key.escape_debug();
            warn!(%key, layout, "the layout is guessed; name it, so that nothing has to be");
        }
        Ok(Some(decoded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::SAMPLES;

    #[test]
    fn every_sample_is_guessed_and_read_as_its_own_layout_reads_it() {
        let auto = AutoDetect::default();
        for sample in SAMPLES {
            let layout = match sample.layout {
                "go-zero" => "plain",
                layout => layout,
            };
            let (key, value) = (sample.key, sample.value.as_bytes());
            assert_eq!(guess_layout(key, value), Some(layout), "{key}");
            let own = crate::codec_named(sample.layout).unwrap();
            let text = |read: Result<_, CodecError>| read.map_err(|error| error.to_string());
            let own = text(own.decode(sample.service, key, value));
            assert_eq!(text(auto.decode("", key, value)), own, "{key}");
        }
        let warned = auto.warned.load(Ordering::Relaxed);
        assert_eq!(warned.count_ones(), 11, "each layout once");
    }

    #[test]
    fn what_dubbo_keeps_beside_its_servers_is_nobody_s() {
        let url = "%3A%2F%2F10.0.0.5%2Fcom.acme.User";
        for key in [
            format!("/dubbo/com.acme.User/consumers/consumer{url}"),
            format!("/dubbo/com.acme.User/routers/condition{url}"),
            format!("/dubbo/com.acme.User/configurators/override{url}"),
        ] {
            for value in ["", "7587869142512345678"] {
                let decoded = AutoDetect::default().decode("", &key, value.as_bytes());
                assert_eq!(decoded.unwrap(), None, "{key}");
            }
        }
    }

    #[test]
    fn what_is_of_no_layout_is_refused_with_the_reason() {
        for (key, value, why) in [
            ("user/1", "{}", "a layout that is known"),
            ("user/1", "", "a layout that is known"),
            ("user/10.0.0.5:80", "", "a layout that is known"),
            ("user/10.0.0.5:80", "{}", "a layout that is known"),
            ("user/1", "{", "not JSON"),
            ("user/1", "hello", "port is missing"),
        ] {
            let error = AutoDetect::default().decode("user", key, value.as_bytes());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(why), "{value:?}: {error}");
        }
    }
}

use std::sync::atomic::{AtomicU16, Ordering};

use evenkeel_core::Endpoint;
use tracing::warn;

use super::fields::Fields;
use super::{Codec, CodecError, Decoded};
use super::{dubbo, fyer, go, go_micro, key, kitex, kratos, plain, skydns};

/// Guesses each value's layout; read only. To find out what there is, and while servers move from
/// one layout to another. The first value of each layout is logged as a warning.
///
/// A value that begins with `{` is told by its fields, one that is empty by its key, and any other is
/// [`PlainText`](super::PlainText). Keys begin with the service and a slash and nothing before it,
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
    read(key, value).ok().map(|(guess, _)| guess.name())
}

/// The layout, and what the value says by it.
fn read(key: &str, value: &[u8]) -> Result<(Guess, Result<Decoded, CodecError>), CodecError> {
    const EXPECTED: CodecError = CodecError::field("value", "one of a layout that is known");
    let value = value.trim_ascii();
    if value.first() == Some(&b'{') {
        let fields = Fields::read(value)?;
        let guess = Guess::by_fields(&fields).ok_or(EXPECTED)?;
        let decoded = match guess {
            Guess::Kratos => kratos::read(&fields, false),
            Guess::Kitex => kitex::read(&fields),
            Guess::Dubbo => dubbo::read(&fields),
            Guess::GoMicro => go_micro::read(&fields),
            Guess::Fyer => fyer::read(&fields),
            Guess::SkyDns => skydns::read(&fields),
            Guess::Go | Guess::Plain | Guess::DubboInterface => go::read(&fields),
        };
        return Ok((guess, decoded));
    }
    if value.is_empty() {
        let last = key.rsplit('/').next().unwrap_or_default();
        if !key::unescaped(last).contains("://") {
            return Err(EXPECTED);
        }
        return Ok((Guess::DubboInterface, dubbo::read_url(last)));
    }
    let decoded = plain::read(value)?;
    Ok((Guess::Plain, Ok(decoded)))
}

impl Codec for AutoDetect {
    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::read_only("auto"))
    }

    fn decode(&self, _: &str, key: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let (guess, decoded) = read(key, value)?;
        let decoded = decoded?;
        let bit = 1 << guess as u16;
        if self.warned.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let layout = guess.name();
            warn!(%key, layout, "the layout is guessed; name it, so that nothing has to be");
        }
        Ok(Some(decoded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{SAMPLES, Sample};

    #[test]
    fn every_sample_is_guessed_and_read_as_its_own_layout_reads_it() {
        let auto = AutoDetect::default();
        // What these say is in the key, and how their keys begin is not known here.
        let is_told = |sample: &&Sample| !matches!(sample.layout, "rpcx" | "goframe");
        for sample in SAMPLES.iter().filter(is_told) {
            let layout = match sample.layout {
                "go-zero" => "plain",
                layout => layout,
            };
            let (key, value) = (sample.key, sample.value.as_bytes());
            assert_eq!(guess_layout(key, value), Some(layout), "{key}");
            let own = crate::codec_named(sample.layout).unwrap();
            let own = own.decode(sample.service, key, value).unwrap();
            assert_eq!(auto.decode("", key, value).unwrap(), own, "{key}");
        }
        let warned = auto.warned.load(Ordering::Relaxed);
        assert_eq!(warned.count_ones(), 9, "each layout once");
    }

    #[test]
    fn what_is_of_no_layout_is_refused_with_the_reason() {
        for (value, why) in [
            ("{}", "a layout that is known"),
            ("", "a layout that is known"),
            ("{", "not JSON"),
            ("hello", "port is missing"),
        ] {
            let error = AutoDetect::default().decode("user", "user/1", value.as_bytes());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(why), "{value:?}: {error}");
        }
    }
}

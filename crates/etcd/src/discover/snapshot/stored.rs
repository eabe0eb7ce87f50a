use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::discover::cursor::Cursor;

/// The format that is written, and the latest that is read.
const FORMAT: u64 = 1;

/// Keys with their values and revisions, as etcd has them.
pub(crate) type Keys = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

/// What a snapshot says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) cursor: Cursor,
    /// How long ago it was written; 0 when that is in the future.
    pub(crate) age: Duration,
    pub(crate) keys: Arc<Keys>,
}

impl Stored {
    /// As it is in the file.
    pub(super) fn text(&self, prefix: &str) -> String {
        let keys = self.keys.iter().filter_map(|(key, (value, revision))| {
            // No codec reads a key that is no text.
            let key = std::str::from_utf8(key).ok()?;
            Some(match std::str::from_utf8(value) {
                Ok(value) => json!({ "key": key, "value": value, "revision": revision }),
                Err(_) => json!({ "key": key, "hex": hex(value), "revision": revision }),
            })
        });
        let text = json!({
            "format": FORMAT,
            "prefix": prefix,
            "cluster": self.cursor.cluster,
            "revision": self.cursor.revision,
            "written_at": now().saturating_sub(self.age).as_secs(),
            "keys": keys.collect::<Vec<_>>(),
        });
        text.to_string()
    }

    pub(super) fn parse(text: &str, prefix: &str) -> io::Result<Self> {
        let json: Value = serde_json::from_str(text)?;
        let number = |field: &str| json[field].as_u64().ok_or_else(|| wrong(field));
        let format = number("format")?;
        if format > FORMAT {
            return Err(invalid(format!(
                "its format {format} is later than {FORMAT}"
            )));
        }
        let of = json["prefix"].as_str().ok_or_else(|| wrong("prefix"))?;
        if of != prefix {
            return Err(invalid(format!("it is of {of:?}, not of {prefix:?}")));
        }
        let keys = json["keys"].as_array().ok_or_else(|| wrong("keys"))?;
        let keys = keys.iter().map(|entry| {
            let key = entry["key"].as_str().filter(|key| key.starts_with(prefix));
            let value = match (entry["value"].as_str(), entry["hex"].as_str()) {
                (Some(text), _) => Some(text.as_bytes().to_owned()),
                (None, Some(text)) => unhex(text),
                (None, None) => None,
            };
            let revision = entry["revision"].as_i64();
            let (Some(key), Some(value), Some(revision)) = (key, value, revision) else {
                return Err(wrong("keys"));
            };
            Ok((key.as_bytes().to_owned(), (value, revision)))
        });
        let keys = Arc::new(keys.collect::<io::Result<Keys>>()?);
        let revision = json["revision"].as_i64().ok_or_else(|| wrong("revision"))?;
        let cluster = number("cluster")?;
        let written_at = Duration::from_secs(number("written_at")?);
        Ok(Self {
            cursor: Cursor { cluster, revision },
            age: now().saturating_sub(written_at),
            keys,
        })
    }
}

fn wrong(field: &str) -> io::Error {
    invalid(format!("{field} is missing or damaged"))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a file is read by a later process, and no decision depends on the time in it"
)]
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).ok();
    digits.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored() -> Stored {
        let keys: [(&str, &[u8]); 2] = [
            ("user/1", b"{\"Addr\":\"10.0.0.1:1\"}"),
            ("user/2", b"\xff\x00"),
        ];
        let keys = keys.map(|(key, value)| (key.into(), (value.to_owned(), 7)));
        Stored {
            cursor: Cursor {
                cluster: u64::MAX,
                revision: 12,
            },
            age: Duration::ZERO,
            keys: Arc::new(keys.into()),
        }
    }

    fn refused(text: &str) -> String {
        Stored::parse(text, "user/").unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut read = Stored::parse(&stored().text("user/"), "user/").unwrap();
        read.age = Duration::ZERO;
        assert_eq!(read, stored());
        let old = Stored {
            age: Duration::from_secs(3600),
            ..stored()
        };
        let read = Stored::parse(&old.text("user/"), "user/").unwrap();
        assert!(read.age >= Duration::from_secs(3600));
    }

    #[test]
    fn what_is_not_of_this_prefix_and_format_is_refused() {
        let text = stored().text("user/");
        let other = Stored::parse(&text, "user-admin/").unwrap_err().to_string();
        assert!(other.contains(r#"it is of "user/""#), "{other}");
        let later = refused(&text.replace("\"format\":1", "\"format\":2"));
        assert!(later.contains("format 2 is later"), "{later}");
        let foreign = refused(&text.replace("user/2", "admin/2"));
        assert!(foreign.contains("keys"), "{foreign}");
        for text in ["", "[]", "{}", r#"{"format":1}"#, "nonsense"] {
            refused(text);
        }
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_refused_or_read_and_never_more(
            cut in 0..400_usize, at in 0..400_usize, byte in any::<char>(),
        ) {
            let whole = stored().text("user/");
            let cut: String = whole.chars().take(cut).collect();
            prop_assert!(cut == whole || Stored::parse(&cut, "user/").is_err());
            let damaged = whole.chars().enumerate().map(|(n, char)| if n == at { byte } else { char });
            let _ = Stored::parse(&damaged.collect::<String>(), "user/");
        }
    }
}

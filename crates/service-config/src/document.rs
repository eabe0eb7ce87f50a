//! JSON text as values in which no field appears twice.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::ConfigError;
use crate::path::{ROOT, field, item};

pub(crate) fn parse(text: &str) -> Result<Map<String, Value>, ConfigError> {
    match value(text)? {
        Value::Object(object) => Ok(object),
        _ => Err(ConfigError::new(
            ROOT,
            "a service config is one JSON object",
        )),
    }
}

/// Any JSON value in which no field appears twice.
pub(crate) fn value(text: &str) -> Result<Value, ConfigError> {
    let value = serde_json::from_str(text).map_err(|error| ConfigError::malformed(&error))?;
    // `Map` keeps the last of two fields of one name and tells nobody: look once more.
    let mut repeated = None;
    let search = Search {
        path: ROOT.to_owned(),
        repeated: &mut repeated,
    };
    search
        .deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(|error| ConfigError::malformed(&error))?;
    match repeated {
        Some(path) => Err(ConfigError::new(path, "this field appears twice")),
        None => Ok(value),
    }
}

/// Finds the first field that appears twice in its object.
struct Search<'r> {
    path: String,
    repeated: &'r mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let path = field(&self.path, &name);
            if !seen.insert(name) && self.repeated.is_none() {
                *self.repeated = Some(path.clone());
            }
            let repeated = &mut *self.repeated;
            map.next_value_seed(Search { path, repeated })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for index in 0.. {
            let path = item(&self.path, index);
            let repeated = &mut *self.repeated;
            if list.next_element_seed(Search { path, repeated })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_appears_twice_is_found_at_any_depth() {
        for (text, path) in [
            (r#"{"a": 1, "b": 2, "a": 3}"#, "$.a"),
            (
                r#"{"a": [0, {"b": {}, "b": {"c": 1, "c": 1}}]}"#,
                "$.a[1].b",
            ),
            (r#"{"x.y": {"": null, "": 1.5}}"#, r#"$["x.y"][""]"#),
        ] {
            assert_eq!(parse(text).unwrap_err().path, path);
        }
        assert!(parse(r#"{"a": {"b": 1}, "b": {"b": true}}"#).is_ok());
    }

    #[test]
    fn malformed_text_has_a_line_and_a_column() {
        let error = parse("{\n  \"a\": ,\n}").unwrap_err();
        assert_eq!((error.path.as_str(), error.position), ("$", Some((2, 8))));
        assert!(error.to_string().contains("malformed JSON"), "{error}");
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        for text in ["", "[]", "null", "\"{}\"", "{} {}", "7"] {
            assert_eq!(parse(text).unwrap_err().path, "$", "{text}");
        }
    }
}

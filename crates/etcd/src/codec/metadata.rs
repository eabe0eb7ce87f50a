//! What is understood of a server's metadata, whichever layout carries it.

use evenkeel_core::{Availability, Endpoint, Metadata};
use serde_json::{Map, Number, Value};

use super::fields::shown;
use super::{CodecError, Decoded};

/// What a value says of its server, and what of that made no sense.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) metadata: Metadata,
    remarks: Vec<String>,
}

impl Said {
    /// Of any JSON, or nothing; what makes no sense is left out and named in the remark.
    pub(super) fn read(value: Option<&Value>) -> Self {
        let mut said = Self::default();
        said.add(value);
        said
    }

    /// More of the same; what was said before is overruled.
    pub(super) fn add(&mut self, value: Option<&Value>) {
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Object(fields)) => self.add_fields(fields),
            Some(text @ Value::String(string)) => match serde_json::from_str(string) {
                Ok(Value::Object(fields)) => self.add_fields(&fields),
                _ => keep(&mut self.metadata, "metadata", text),
            },
            Some(other) => keep(&mut self.metadata, "metadata", other),
        }
    }

    fn add_fields(&mut self, fields: &Map<String, Value>) {
        // Of names that only differ in case the one in lower case comes last, and so counts; the map's
        // own order depends on a feature of serde_json that any crate may switch on.
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort_by_key(|(name, _)| *name);
        for (name, value) in fields {
            self.add_field(name, value);
        }
    }

    /// One field of it.
    pub(super) fn add_field(&mut self, name: &str, value: &Value) {
        if value.is_null() {
            return;
        }
        let metadata = &mut self.metadata;
        let understood = match name.to_ascii_lowercase().as_str() {
            "weight" => weight(value).map(|weight| metadata.weight = Some(weight)),
            "version" => text(value).map(|text| metadata.version = Some(text)),
            "zone" => text(value).map(|text| metadata.zone = Some(text)),
            "region" => text(value).map(|text| metadata.region = Some(text)),
            "status" => status(value).map(|status| metadata.availability = status),
            "tags" => tags(value).map(|tags| metadata.tags = tags),
            _ => {
                keep(metadata, name, value);
                Some(())
            }
        };
        if understood.is_none() {
            let (name, value) = (shown(name), shown(&value.to_string()));
            self.remark(format!("{name} cannot be {value}"));
        }
    }

    /// Something else that was left out. There may be many of them, and the first few are enough.
    pub(super) fn remark(&mut self, remark: String) {
        const MOST: usize = 5;
        match self.remarks.len() {
            0..MOST => self.remarks.push(remark),
            MOST => self.remarks.push("and more".to_owned()),
            _ => {}
        }
    }

    /// `endpoint` with all that.
    pub(super) fn of(self, endpoint: Endpoint) -> Decoded {
        let remark = (!self.remarks.is_empty()).then(|| self.remarks.join(", "));
        Decoded {
            endpoint: endpoint.with_metadata(self.metadata),
            remark,
        }
    }
}

/// Keeps something as text; lists and objects as JSON. What is empty says nothing.
fn keep(metadata: &mut Metadata, name: &str, value: &Value) {
    let text = text(value).unwrap_or_else(|| value.to_string());
    if !text.is_empty() {
        metadata.other.insert(name.to_owned(), text);
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn weight(value: &Value) -> Option<f64> {
    let weight = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    weight.filter(|weight| weight.is_finite() && *weight >= 0.0)
}

fn status(value: &Value) -> Option<Availability> {
    let known = [Availability::Up, Availability::Draining, Availability::Down];
    let text = value.as_str()?.trim();
    known
        .into_iter()
        .find(|known| text.eq_ignore_ascii_case(known.as_str()))
}

fn tags(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => {
            let tags = text.split(',').map(str::trim);
            Some(tags.filter(|tag| !tag.is_empty()).map(Into::into).collect())
        }
        Value::Array(tags) => tags.iter().map(text).collect(),
        _ => None,
    }
}

/// The names that have a meaning, and so cannot be those of anything else.
const NAMES: [&str; 6] = ["weight", "version", "zone", "region", "status", "tags"];

/// The counterpart: `null` for a server that says nothing of itself, as Go writes it.
pub(super) fn write(metadata: &Metadata) -> Result<Value, CodecError> {
    let mut fields = Map::new();
    for (name, value) in &metadata.other {
        if NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return Err(CodecError::no_place(
                "other metadata called weight, version, zone, region, status or tags",
            ));
        }
        fields.insert(name.clone(), value.as_str().into());
    }
    if let Some(weight) = metadata.weight {
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(CodecError::no_place("a weight that is no number from 0"));
        }
        fields.insert("weight".into(), number(weight));
    }
    let texts = [
        ("version", &metadata.version),
        ("zone", &metadata.zone),
        ("region", &metadata.region),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            fields.insert(name.into(), text.as_str().into());
        }
    }
    if metadata.availability != Availability::Up {
        fields.insert("status".into(), metadata.availability.as_str().into());
    }
    if !metadata.tags.is_empty() {
        fields.insert("tags".into(), metadata.tags.as_slice().into());
    }
    Ok(match fields.is_empty() {
        true => Value::Null,
        false => Value::Object(fields),
    })
}

/// The same as Go's `map[string]string`: all values are texts, and a list has commas.
pub(super) fn write_texts(metadata: &Metadata) -> Result<Map<String, Value>, CodecError> {
    let fields = match write(metadata)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let mut texts = Map::new();
    for (name, value) in fields {
        let text = match value {
            Value::Array(_) => join(&metadata.tags)?,
            value => text(&value).unwrap_or_default(),
        };
        texts.insert(name, text.into());
    }
    Ok(texts)
}

/// Tags as one text that is read as the same tags.
fn join(tags: &[String]) -> Result<String, CodecError> {
    let is_plain = |tag: &String| !tag.is_empty() && !tag.contains(',') && tag.trim() == tag;
    if !tags.iter().all(is_plain) {
        return Err(CodecError::no_place(
            "a tag with a comma or spaces around it",
        ));
    }
    Ok(tags.join(","))
}

/// `10`, not `10.0`, where that is the same: as Go writes it.
fn number(weight: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if weight.fract() == 0.0 && weight.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number below 2^53 is an i64"
        )]
        return (weight as i64).into();
    }
    Number::from_f64(weight).map_or(Value::Null, Value::Number)
}

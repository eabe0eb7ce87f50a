//! What is understood of a server's metadata, whichever layout carries it.

use evenkeel_core::{Availability, Endpoint, Metadata};
use serde_json::{Map, Number, Value};

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
            self.remark(format!("{name} cannot be {value}"));
        }
    }

    /// Something else that was left out.
    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
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

/// Keeps a scalar as text; lists and objects have no place.
fn keep(metadata: &mut Metadata, name: &str, value: &Value) {
    if let Some(text) = text(value).filter(|text| !text.is_empty()) {
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

/// The counterpart: `null` for a server that says nothing of itself, as Go writes it.
pub(super) fn write(metadata: &Metadata) -> Value {
    let mut fields = Map::new();
    for (name, value) in &metadata.other {
        fields.insert(name.clone(), value.as_str().into());
    }
    // After the others, so that a field of its own wins over one of the same name there.
    if let Some(weight) = metadata.weight {
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
    if fields.is_empty() {
        return Value::Null;
    }
    Value::Object(fields)
}

/// The same as Go's `map[string]string`: all values are texts, and a list has commas.
pub(super) fn write_texts(metadata: &Metadata) -> Result<Map<String, Value>, CodecError> {
    let fields = match write(metadata) {
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
    // A weight is finite; one that is not would be written as null and read as unset.
    Number::from_f64(weight).map_or(Value::Null, Value::Number)
}

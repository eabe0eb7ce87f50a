//! What is understood of a server's metadata, whichever layout carries it.

use evenkeel_core::{Availability, Metadata};
use serde_json::{Map, Number, Value};

/// Reads any JSON; what makes no sense is left out and named in the remark.
pub(super) fn read(value: &Value) -> (Metadata, Option<String>) {
    let mut metadata = Metadata::default();
    let mut remarks = Vec::new();
    match value {
        Value::Object(fields) => read_fields(fields, &mut metadata, &mut remarks),
        Value::String(string) => match serde_json::from_str(string) {
            Ok(Value::Object(fields)) => read_fields(&fields, &mut metadata, &mut remarks),
            _ => keep(&mut metadata, "metadata", value),
        },
        other => keep(&mut metadata, "metadata", other),
    }
    let remark = (!remarks.is_empty()).then(|| remarks.join(", "));
    (metadata, remark)
}

fn read_fields(fields: &Map<String, Value>, metadata: &mut Metadata, remarks: &mut Vec<String>) {
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
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
            remarks.push(format!("{name} cannot be {value}"));
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

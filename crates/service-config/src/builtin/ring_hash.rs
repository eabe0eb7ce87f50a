use evenkeel_policy::lb::{HashOn, RingHash, RingHashConfig};
use http::HeaderName;

use crate::{ConfigError, Field, Object};

/// gRPC's `ring_hash_experimental`.
pub(super) fn parse(config: &mut Object<'_>) -> Result<RingHashConfig, ConfigError> {
    let mut parsed = RingHashConfig::default();
    let header = config.optional("requestHashHeader", optional_header)?;
    parsed.hash_on = header.flatten().map(HashOn::Header);
    sizes(config, &mut parsed)?;
    if parsed.hash_on.is_none() {
        config.warn("every call fails: without requestHashHeader there is nothing to hash");
    }
    Ok(parsed)
}

/// `evenkeel.ring_hash`, whose sizes are not cut.
pub(super) fn parse_extended(config: &mut Object<'_>) -> Result<RingHashConfig, ConfigError> {
    let mut parsed = RingHashConfig::default();
    parsed.ring_size_cap = RingHash::MAX_RING_SIZE;
    parsed.max_ring_size = 65_536;
    parsed.hash_on = Some(config.required("hashOn", hash_on)?);
    sizes(config, &mut parsed)?;
    parsed.bounded_load_factor = config.optional("boundedLoadFactor", factor)?;
    Ok(parsed)
}

fn sizes(config: &mut Object<'_>, parsed: &mut RingHashConfig) -> Result<(), ConfigError> {
    let size = |field: Field<'_>| field.integer(1..=RingHash::MAX_RING_SIZE as u32);
    if let Some(least) = config.optional("minRingSize", size)? {
        parsed.min_ring_size = least.into();
    }
    if let Some(most) = config.optional("maxRingSize", size)? {
        parsed.max_ring_size = most.into();
    }
    let (least, most) = (parsed.min_ring_size, parsed.max_ring_size);
    if least > most {
        let reason = format!("minRingSize ({least}) is more than maxRingSize ({most})");
        return Err(config.error(reason));
    }
    Ok(())
}

/// The empty text is proto's unset.
fn optional_header(field: Field<'_>) -> Result<Option<HeaderName>, ConfigError> {
    match field.clone().text()? {
        "" => Ok(None),
        _ => header(field).map(Some),
    }
}

/// A name that gRPC allows for metadata that is text.
fn header(field: Field<'_>) -> Result<HeaderName, ConfigError> {
    let name = field.clone().text()?.to_ascii_lowercase();
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_legal) {
        return Err(field.not("a header name: letters, digits, '-', '_' and '.'"));
    }
    if name.ends_with("-bin") {
        return Err(field.error("a binary header cannot be hashed: its name ends in \"-bin\""));
    }
    HeaderName::try_from(name).map_err(|error| field.error(error.to_string()))
}

fn hash_on(field: Field<'_>) -> Result<HashOn, ConfigError> {
    let place = field.clone();
    let (header, path) = field.object(|config| {
        let header = config.optional("header", header)?;
        let path = config.optional("path", |field| field.boolean())?;
        Ok((header, path.unwrap_or(false)))
    })?;
    match (header, path) {
        (Some(header), false) => Ok(HashOn::Header(header)),
        (None, true) => Ok(HashOn::Path),
        _ => Err(place.error("it needs either \"header\", a name, or \"path\": true")),
    }
}

fn factor(field: Field<'_>) -> Result<f64, ConfigError> {
    let factor = field.clone().number()?;
    if factor < 1.0 {
        return Err(field.not("a number of at least 1"));
    }
    Ok(factor)
}

#[cfg(test)]
mod tests;

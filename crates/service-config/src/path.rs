//! Places in a JSON document, written as `$.methodConfig[0].name`.

pub(crate) const ROOT: &str = "$";

pub(crate) fn field(parent: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        format!("{parent}.{name}")
    } else {
        format!("{parent}[{name:?}]")
    }
}

pub(crate) fn item(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

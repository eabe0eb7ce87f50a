//! From a path in a JSON document to its line and column.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Both from 1; columns count letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// From that of a parser, which counts bytes.
    pub(super) fn of_byte(text: &str, line: usize, column: usize) -> Self {
        let bytes = text.lines().nth(line.saturating_sub(1));
        let bytes = bytes.unwrap_or_default().bytes();
        let (before, rest) = (bytes.len().min(column), column.saturating_sub(bytes.len()));
        // All but those within a letter.
        let letters = bytes.take(before).filter(|byte| byte & 0xc0 != 0x80);
        let column = letters.count() + rest;
        Self { line, column }
    }
}

/// Where the value at `path` (`$.methodConfig[0].name`) is in `text`; of one that is missing,
/// where its parent is.
pub(super) fn locate(text: &str, path: &str) -> Option<Position> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    let mut rest = path.strip_prefix('$')?;
    while !rest.is_empty() {
        let (step, after) = step(rest)?;
        let Some(child) = child(value, &step) else {
            break;
        };
        (value, rest) = (child, after);
    }
    // A part of the text, as it is borrowed from there.
    let offset = value
        .get()
        .as_ptr()
        .addr()
        .checked_sub(text.as_ptr().addr())?;
    let before = text.get(..offset)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some(Position {
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
    })
}

enum Step {
    Field(String),
    Item(usize),
}

/// The first step of a path, and what comes after it.
fn step(path: &str) -> Option<(Step, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        return Some((Step::Field(name.to_owned()), after));
    }
    let rest = path.strip_prefix('[')?;
    if rest.starts_with('"') {
        let (name, length) = quoted(rest)?;
        return Some((Step::Field(name), rest.get(length..)?.strip_prefix(']')?));
    }
    let (index, after) = rest.split_once(']')?;
    Some((Step::Item(index.parse().ok()?), after))
}

/// The text in the quotes that `text` begins with, as Rust's `Debug` writes it, and how long that
/// is.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((name, place + 1)),
            '\\' => name.push(match letters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'u' => {
                    let hex: String = letters
                        .by_ref()
                        .skip(1)
                        .map(|(_, c)| c)
                        .take_while(|c| *c != '}')
                        .collect();
                    char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?
                }
                other => other,
            }),
            other => name.push(other),
        }
    }
    None
}

fn child<'t>(value: &'t RawValue, step: &Step) -> Option<&'t RawValue> {
    match step {
        Step::Item(index) => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            items.get(*index).copied()
        }
        Step::Field(name) => {
            let mut json = serde_json::Deserializer::from_str(value.get());
            let fields = json.deserialize_map(Fields).ok()?;
            // The last one of a name that appears twice, which is the one too many. Names in
            // another case are taken, too.
            let find = |is: &dyn Fn(&str) -> bool| {
                let mut fields = fields.iter().rev();
                fields.find(|(name, _)| is(name)).map(|(_, value)| *value)
            };
            find(&|it| it == name).or_else(|| find(&|it| it.eq_ignore_ascii_case(name)))
        }
    }
}

/// The fields of an object in their order, also those of one name.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            fields.push((Cow::Owned(name), map.next_value()?));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_paths() {
        let text = "{\n  \"a\": [\n    {\"ä.b\": 1, \"x\\ty\\u0001\": 2,\n     \"C\": true, \"C\": null}]\n}";
        for (path, line, column) in [
            ("$", 1, 1),
            ("$.a", 2, 8),
            ("$.a[0]", 3, 5),
            (r#"$.a[0]["ä.b"]"#, 3, 13),
            (r#"$.a[0]["x\ty\u{1}"]"#, 3, 30),
            ("$.a[0].C", 4, 22),
            ("$.a[0].c", 4, 22),
            ("$.a[0].missing.deeper", 3, 5),
            ("$.a[7]", 2, 8),
        ] {
            assert_eq!(
                locate(text, path),
                Some(Position { line, column }),
                "{path}"
            );
        }
        for (text, path) in [("{", "$"), ("{}", "a"), ("{}", "$[\"x"), ("{}", "$x")] {
            assert_eq!(locate(text, path), None, "{text} {path}");
        }
    }
}

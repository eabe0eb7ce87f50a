use std::fmt::{self, Write};

/// A table in Markdown: the first column is text, the others are figures.
pub(super) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A figure that there is not.
pub(super) const NONE: &str = "-";

impl Table {
    pub(super) fn new(heads: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            heads: heads.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, which is emphasized if it is one of ours.
    pub(super) fn row(&mut self, ours: bool, fields: impl IntoIterator<Item = String>) {
        let mark = |field: String| {
            let marked = ours && field != NONE;
            if marked {
                format!("**{field}**")
            } else {
                field
            }
        };
        self.rows.push(fields.into_iter().map(mark).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.heads)?;
        f.write_str("|---|")?;
        for _ in self.heads.iter().skip(1) {
            f.write_str("--:|")?;
        }
        f.write_char('\n')?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

fn line(f: &mut fmt::Formatter<'_>, fields: &[String]) -> fmt::Result {
    f.write_char('|')?;
    for field in fields {
        write!(f, " {} |", field.replace('|', "\\|"))?;
    }
    f.write_char('\n')
}

/// A number with so many digits after the point, in groups of three before it.
pub(super) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            // Lines do not break there.
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{grouped}{rest}")
}

/// A figure that there may not be.
pub(super) fn or_none(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| number(value, digits))
}

use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Style};

/// Colours, where they are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    is_on: bool,
}

impl Palette {
    /// On a terminal, unless `NO_COLOR` is set to anything (<https://no-color.org>) or the
    /// terminal is a dumb one.
    pub(crate) fn of_stdout() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|it| !it.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        Self {
            is_on: std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        }
    }

    /// None.
    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self { is_on: false }
    }

    /// `text` as heavy as its severity: `error`, `warning`, `note`.
    pub(crate) fn severity(self, severity: &str, text: &str) -> String {
        let colour = match severity {
            "error" => AnsiColor::Red,
            "warning" => AnsiColor::Yellow,
            _ => AnsiColor::Cyan,
        };
        self.paint(colour.on_default().bold(), text)
    }

    pub(crate) fn heading(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    fn paint(self, style: Style, text: &str) -> String {
        match self.is_on {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_around_the_text_or_not_there() {
        assert_eq!(Palette::none().severity("error", "x"), "x");
        let on = Palette { is_on: true };
        let painted = on.severity("error", "x");
        assert!(
            painted.starts_with('\u{1b}') && painted.ends_with("\u{1b}[0m"),
            "{painted:?}"
        );
    }
}

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};

use crossterm::cursor::{MoveToColumn, MoveUp};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{Clear, ClearType, size};
use crossterm::{execute, queue};
use tokio::time::Instant;

/// Where the demo is shown: a picture that is drawn anew in a terminal, lines elsewhere.
#[derive(Debug)]
pub(super) struct Screen {
    live: bool,
    begin: Instant,
    /// Lines of the picture that is there.
    drawn: u16,
    phase: String,
    /// The last few, for the picture.
    notes: VecDeque<String>,
}

impl Screen {
    const NOTES: usize = 8;

    /// The standard output; plain lines also in a terminal if `plain`.
    pub(super) fn new(plain: bool) -> Self {
        Self {
            live: !plain && io::stdout().is_terminal(),
            begin: Instant::now(),
            drawn: 0,
            phase: String::new(),
            notes: VecDeque::new(),
        }
    }

    /// Lines that stay.
    pub(super) fn print<'l>(&mut self, lines: impl IntoIterator<Item = &'l str>) -> io::Result<()> {
        self.wipe()?;
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    /// A phase begins.
    pub(super) fn phase(&mut self, title: &str, what: &str) -> io::Result<()> {
        self.phase = format!("{title}: {what}");
        self.notes.clear();
        if self.live {
            return Ok(());
        }
        let heading = format!("\n== {}", self.phase);
        self.print([heading.as_str()])
    }

    /// A phase ends, with the table as it is then, and one line that says how it went.
    pub(super) fn phase_end(&mut self, table: &[String], result: &str) -> io::Result<()> {
        if self.live {
            return self.print([result]);
        }
        self.print(table.iter().map(String::as_str).chain([result]))
    }

    /// Something has happened.
    pub(super) fn note(&mut self, what: &str) -> io::Result<()> {
        let line = format!("{:6.1} s  {what}", self.begin.elapsed().as_secs_f64());
        if !self.live {
            return self.print([line.as_str()]);
        }
        if self.notes.len() == Self::NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(line);
        Ok(())
    }

    /// Draws the picture, in a terminal.
    pub(super) fn draw(&mut self, table: &[String]) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        self.wipe()?;
        let (columns, rows) = size().unwrap_or((80, 24));
        let notes = self.notes.iter();
        let lines = [&self.phase, ""].map(str::to_owned).into_iter();
        let lines: Vec<String> = lines
            .chain(table.iter().cloned())
            .chain([String::new()])
            .chain(notes.cloned())
            .take(usize::from(rows.saturating_sub(1)))
            .collect();
        let mut out = io::stdout().lock();
        for (number, line) in lines.iter().enumerate() {
            // The phase and the heading of the table.
            if matches!(number, 0 | 2) {
                queue!(out, SetAttribute(Attribute::Bold))?;
            }
            let shown: String = line.chars().take(usize::from(columns)).collect();
            write!(out, "{shown}")?;
            queue!(out, SetAttribute(Attribute::Reset))?;
            writeln!(out)?;
        }
        self.drawn = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        out.flush()
    }

    /// Takes the picture away.
    fn wipe(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            let up = MoveUp(self.drawn);
            self.drawn = 0;
            let clear = Clear(ClearType::FromCursorDown);
            execute!(io::stdout(), up, MoveToColumn(0), clear)?;
        }
        Ok(())
    }
}

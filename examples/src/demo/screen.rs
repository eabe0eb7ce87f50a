use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};

use crossterm::cursor::{MoveToColumn, MoveUp};
use crossterm::queue;
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{Clear, ClearType, size};
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
        // A terminal that does not know its size says 0.
        let (columns, rows) = match size() {
            Ok((columns @ 1.., rows @ 1..)) => (columns, rows),
            _ => (80, 24),
        };

        // Written at once and over the old one, so that nothing flickers.
        let mut picture = Vec::new();
        self.queue_up(&mut picture)?;
        let lines = [self.phase.as_str(), ""].into_iter();
        let lines = lines.chain(table.iter().map(String::as_str)).chain([""]);
        let lines = lines.chain(self.notes.iter().map(String::as_str));
        let lines = lines.take(usize::from(rows - 1));
        let mut drawn = 0;
        for line in lines {
            // The phase and the heading of the table.
            if matches!(drawn, 0 | 2) {
                queue!(picture, SetAttribute(Attribute::Bold))?;
            }
            let shown: String = line.chars().take(usize::from(columns)).collect();
            write!(picture, "{shown}")?;
            let clear = Clear(ClearType::UntilNewLine);
            queue!(picture, SetAttribute(Attribute::Reset), clear)?;
            writeln!(picture)?;
            drawn += 1;
        }
        queue!(picture, Clear(ClearType::FromCursorDown))?;
        self.drawn = drawn;
        let mut out = io::stdout().lock();
        out.write_all(&picture)?;
        out.flush()
    }

    /// Goes back to where the picture begins.
    fn queue_up(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.drawn > 0 {
            queue!(out, MoveUp(self.drawn), MoveToColumn(0))?;
            self.drawn = 0;
        }
        Ok(())
    }

    /// Takes the picture away.
    fn wipe(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            let mut out = io::stdout().lock();
            self.queue_up(&mut out)?;
            queue!(out, Clear(ClearType::FromCursorDown))?;
            out.flush()?;
        }
        Ok(())
    }
}

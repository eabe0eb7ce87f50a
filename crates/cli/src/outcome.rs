use std::io::{self, Write};
use std::process::ExitCode;

use crate::plain::plain;

/// How a command has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    out: String,
    err: String,
    code: u8,
}

impl Outcome {
    /// It has found out what it says in `out`; something is wrong, or nothing.
    pub(crate) fn found(out: String, is_wrong: bool) -> Self {
        Self {
            out,
            err: String::new(),
            code: u8::from(is_wrong),
        }
    }

    /// It could not find out.
    pub(crate) fn could_not(why: String) -> Self {
        Self {
            out: String::new(),
            err: format!("evenkeel: {}\n", plain(&why)),
            code: 2,
        }
    }

    /// Prints it.
    pub(crate) fn end(self) -> ExitCode {
        let _ = io::stderr().write_all(self.err.as_bytes());
        // Somebody may still hold the standard output, and wait for its reader.
        if self.out.is_empty() {
            return ExitCode::from(self.code);
        }
        match print(&self.out) {
            Ok(_) => ExitCode::from(self.code),
            // A part of a report is none.
            Err(why) => {
                let _ = writeln!(io::stderr(), "evenkeel: {why}");
                ExitCode::from(2)
            }
        }
    }
}

/// Writes `text` to the standard output, and says whether anybody reads on: who does not read to
/// the end (`| head`) has seen enough.
pub(crate) fn print(text: &str) -> Result<bool, String> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("the standard output: {error}")),
    }
}

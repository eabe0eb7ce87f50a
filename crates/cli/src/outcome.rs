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

    /// Prints it. Who does not read to the end (`| head`) has seen enough.
    pub(crate) fn end(self) -> ExitCode {
        let _ = io::stderr().write_all(self.err.as_bytes());
        let _ = io::stdout().write_all(self.out.as_bytes());
        let _ = io::stdout().flush();
        ExitCode::from(self.code)
    }
}

//! What numbers of instructions depend on, beside the program: the compiler, and the processor
//! that it compiles for.

use std::fmt;
use std::process::{Command, Stdio};
use std::str::FromStr;

/// Where something was counted, such as `rustc 1.90, x86_64`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    rustc: String,
    processor: String,
}

impl Machine {
    /// The one this runs on.
    pub(crate) fn here() -> Self {
        Self {
            rustc: env!("GUARD_RUSTC").to_owned(),
            processor: std::env::consts::ARCH.to_owned(),
        }
    }

    /// Whether budgets of `other` hold here, or why instructions are not compared.
    pub(crate) fn counts_as(&self, other: &Self) -> Result<(), String> {
        if self != other {
            return Err(format!("the budgets are for {other}, and this is {self}"));
        }
        valgrind()
    }
}

/// Whether instructions can be counted, or why not.
pub(crate) fn valgrind() -> Result<(), String> {
    let valgrind = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match valgrind {
        Ok(status) if status.success() => Ok(()),
        _ => Err("valgrind is not installed".to_owned()),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, processor } = self;
        write!(f, "rustc {rustc}, {processor}")
    }
}

impl FromStr for Machine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.strip_prefix("rustc ");
        let parts = parts.and_then(|parts| parts.split_once(", "));
        let (rustc, processor) = parts.ok_or_else(|| format!("not a machine: {text}"))?;
        Ok(Self {
            rustc: rustc.to_owned(),
            processor: processor.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_compared_with_those_of_the_same_compiler_and_processor() {
        let here = Machine::here();
        assert_eq!(here.to_string().parse(), Ok(here.clone()));
        for other in ["rustc 1.2, x86_64", "rustc 1.90, pdp11"] {
            let other: Machine = other.parse().unwrap();
            let reason = here.counts_as(&other).unwrap_err();
            assert!(reason.contains(&other.to_string()), "{reason}");
        }
        "x86_64".parse::<Machine>().unwrap_err();
    }
}

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A line on a contender's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `run MILLIS`: calls for so long; those that run then are finished and counted.
    Run(Duration),
    /// `calls N`: exactly so many calls.
    Calls(u64),
    /// `idle`: no calls; says what memory the connections take.
    Idle,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(time) => write!(f, "run {}", time.as_millis()),
            Self::Calls(calls) => write!(f, "calls {calls}"),
            Self::Idle => f.write_str("idle"),
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (name, number) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match (name, number.trim().parse()) {
            ("run", Ok(millis)) => Ok(Self::Run(Duration::from_millis(millis))),
            ("calls", Ok(calls)) => Ok(Self::Calls(calls)),
            ("idle", Err(_)) if number.is_empty() => Ok(Self::Idle),
            _ => Err(format!(
                "{line:?} is no command: run MILLIS, calls N or idle"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_they_are_written() {
        for command in [
            Command::Run(Duration::from_millis(300)),
            Command::Calls(6_400),
            Command::Idle,
        ] {
            assert_eq!(command.to_string().parse(), Ok(command));
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for line in ["", "run", "run x", "calls -1", "idle 3", "stop"] {
            line.parse::<Command>().unwrap_err();
        }
    }
}

//! Programs that answer lines with lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// A program that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        let mut child = command
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("it does not start: {error}"))?;
        let output = child.stdout.take().expect("it was asked for");
        let errors = child.stderr.take().expect("it was asked for");
        Ok(Self {
            input: child.stdin.take(),
            child,
            lines: lines(output),
            complaints: lines(errors),
        })
    }

    /// The next line that it writes.
    pub(super) fn line(&mut self, patience: Duration) -> Result<String, String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended(patience)),
            Err(RecvTimeoutError::Timeout) => {
                let last = self.complaints.try_iter().filter(says_something).last();
                let last = last.map(|last| format!(": {last}")).unwrap_or_default();
                Err(format!("no answer after {patience:?}{last}"))
            }
        }
    }

    /// Its answer to a line.
    pub(super) fn ask(&mut self, line: &str, patience: Duration) -> Result<String, String> {
        let input = self.input.as_mut().expect("it is taken when dropped");
        // If it takes no more lines, its output has ended as well, and says so.
        let _ = writeln!(input, "{line}");
        self.line(patience)
    }

    /// How it has ended, and its last words.
    fn ended(&mut self, patience: Duration) -> String {
        let mut last = String::new();
        loop {
            match self.complaints.recv_timeout(patience) {
                Ok(line) if says_something(&line) => last = format!(": {line}"),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // It has ended already, or does not want to.
                    let _ = self.child.kill();
                    break;
                }
            }
        }
        match self.child.wait() {
            Ok(status) => format!("{status}{last}"),
            Err(error) => error.to_string(),
        }
    }

    /// Lets it end by itself.
    pub(super) fn end(mut self, patience: Duration) -> Result<(), String> {
        drop(self.input.take());
        while self.lines.recv_timeout(patience).is_ok() {}
        let ended = self.ended(patience);
        match self.child.try_wait() {
            Ok(Some(status)) if status.success() => Ok(()),
            _ => Err(ended),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not what Rust says below every panic.
#[expect(clippy::ptr_arg, reason = "filters are given what they filter")]
fn says_something(line: &String) -> bool {
    !line.starts_with("note: ") && !line.is_empty()
}

/// The lines of a pipe, as a thread of its own reads them: so that waiting can end.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_that_fails_says_why() {
        let mut process = Process::start(Command::new("sh").args([
            "-c",
            "echo ready; read line; echo $line; echo tired >&2; echo note: a note >&2; exit 3",
        ]))
        .unwrap();
        assert_eq!(process.line(PATIENCE).unwrap(), "ready");
        assert_eq!(process.ask("run 1", PATIENCE).unwrap(), "run 1");
        let error = process.end(PATIENCE).unwrap_err();
        assert!(error.contains('3'), "{error}");
        assert!(error.contains("tired"), "{error}");
    }
}

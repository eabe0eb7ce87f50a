//! Processes that measure themselves: they say a line when they are ready, and go on when told to.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::Error;

/// Runs `program` on one thread, as a client in a benchmark is.
pub(crate) fn runtime<T>(program: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(program)
}

/// This program again, with other arguments.
pub(crate) struct Process {
    /// Killed when it is dropped.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Error> {
        Self::of(Command::new(std::env::current_exe()?).args(arguments))
    }

    pub(crate) fn of(command: &mut Command) -> Result<Self, Error> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Ok(Self {
            _child: child,
            input: input.ok_or("no input")?,
            output: BufReader::new(output.ok_or("no output")?).lines(),
        })
    }

    /// The next line it says.
    pub(crate) async fn line(&mut self) -> Result<String, Error> {
        let line = self.output.next_line().await?;
        line.ok_or_else(|| "a process has ended early".into())
    }

    /// The numbers in the next line.
    pub(crate) async fn numbers(&mut self) -> Result<Vec<f64>, Error> {
        let line = self.line().await?;
        let numbers = line.split_whitespace().map(str::parse);
        Ok(numbers.collect::<Result<_, _>>()?)
    }

    /// Lets it go on.
    pub(crate) async fn tell(&mut self) -> Result<(), Error> {
        Ok(self.input.write_all(b"go\n").await?)
    }
}

/// In such a process: waits until it is told to go on.
pub(crate) async fn told() -> Result<(), Error> {
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    Ok(())
}

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::callers::{Calls, Until, drive};
use crate::{Answer, Caller, Command, Options, alloc, cpu, memory};

/// Calls before the first command, beside a few for each caller.
const WARM_UP: u64 = 1_024;
/// What is left of handshakes and of the last calls may end in this time.
const SETTLE: Duration = Duration::from_millis(500);
/// Calls that go on with handshakes, for those who connect only while they are called.
const NUDGES: u32 = 20;
/// How long all endpoints may take to be connected.
const PATIENCE: Duration = Duration::from_secs(30);

/// The whole program of a contender. `connect` gives what makes a client for each caller; it runs
/// within the runtime of the calls, and what it gives holds the connections.
pub fn run<F, C>(connect: impl AsyncFnOnce(Options) -> F) -> ExitCode
where
    F: Fn() -> C,
    C: Caller,
{
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match serve(options, connect) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve<F, C>(options: Options, connect: impl AsyncFnOnce(Options) -> F) -> io::Result<()>
where
    F: Fn() -> C,
    C: Caller,
{
    let runtime = runtime(options.workers)?;
    let caller = runtime.block_on(connect(options.clone()));
    let contender = Contender {
        runtime,
        caller,
        options,
    };
    contender.warm_up()?;

    let mut output = io::stdout().lock();
    writeln!(output, "ready")?;
    for line in io::stdin().lock().lines() {
        let command = line?.parse().map_err(io::Error::other)?;
        let answer = contender.obey(command);
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
    }
    // Connections are dropped within the runtime.
    let _guard = contender.runtime.enter();
    drop(contender.caller);
    Ok(())
}

fn runtime(workers: usize) -> io::Result<Runtime> {
    if workers == 1 {
        cpu::pin(cpu::CLIENT);
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
}

struct Contender<F> {
    runtime: Runtime,
    caller: F,
    options: Options,
}

impl<F, C> Contender<F>
where
    F: Fn() -> C,
    C: Caller,
{
    fn drive(&self, callers: usize, until: Until) -> Calls {
        self.runtime.block_on(drive(&self.caller, callers, until))
    }

    /// Some connect when they are called first, and not all at once.
    fn warm_up(&self) -> io::Result<()> {
        let callers = self.options.callers;
        if callers > 0 {
            let each = 4 * callers as u64;
            self.drive(callers, Until::Calls(WARM_UP + each));
        }
        let connections = self.options.connections;
        let connections = connections.unwrap_or(self.options.endpoints.len());
        let (begin, mut nudges) = (Instant::now(), 0);
        while memory::sockets().is_some_and(|open| open < connections) {
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other("not all endpoints are connected"));
            }
            self.drive(1, Until::Calls(1));
            nudges = NUDGES;
        }
        for _ in 0..nudges {
            self.drive(1, Until::Calls(1));
            self.runtime
                .block_on(async { tokio::time::sleep(SETTLE / NUDGES).await });
        }
        Ok(())
    }

    fn obey(&self, command: Command) -> Answer {
        let callers = self.options.callers.max(1);
        let until = match command {
            Command::Run(time) => Until::Time(time),
            Command::Calls(calls) => Until::Calls(calls),
            Command::Idle => {
                self.runtime
                    .block_on(async { tokio::time::sleep(SETTLE).await });
                return Answer::idle();
            }
        };
        if !self.options.count {
            return Answer::of(|| self.drive(callers, until));
        }
        let (mut answer, counted) = alloc::during(|| Answer::of(|| self.drive(callers, until)));
        answer.allocations = Some(counted.count);
        answer.allocated_bytes = Some(counted.bytes);
        answer
    }
}

impl Answer {
    fn of(run: impl FnOnce() -> Calls) -> Self {
        let (begin, used) = (Instant::now(), cpu::of_process());
        let mut calls = run();
        let (wall, used) = (begin.elapsed(), cpu::of_process() - used);
        Self {
            calls: calls.count,
            wall_ns: nanos(wall),
            cpu_ns: nanos(used),
            p50_ns: calls.percentile(0.5),
            p99_ns: calls.percentile(0.99),
            ..Self::idle()
        }
    }

    fn idle() -> Self {
        Self {
            rss_bytes: memory::resident(),
            ..Self::default()
        }
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Yield;

    impl Caller for Yield {
        async fn call(&mut self) {
            tokio::task::yield_now().await;
        }
    }

    fn contender(arguments: &str) -> Contender<impl Fn() -> Yield> {
        let arguments = arguments.split(' ').map(str::to_owned);
        let options = Options::parse(arguments).unwrap();
        Contender {
            runtime: runtime(options.workers).unwrap(),
            caller: || Yield,
            options,
        }
    }

    #[test]
    fn commands_are_answered_with_what_was_done() {
        let contender = contender("--endpoints 127.0.0.1:1 --callers 3 --workers 2");
        assert_eq!(contender.obey(Command::Calls(10)).calls, 10);
        let timed = contender.obey(Command::Run(Duration::from_millis(1)));
        assert!(timed.calls > 0 && timed.p50_ns <= timed.p99_ns);
        assert_eq!(timed.allocations, None, "nobody asked");
        assert_eq!(contender.obey(Command::Idle).calls, 0);
    }

    #[test]
    fn allocations_are_counted_when_asked() {
        let contender = contender("--endpoints 127.0.0.1:1 --callers 0 --workers 2 --count");
        let answer = contender.obey(Command::Calls(10));
        assert!(answer.allocations.is_some_and(|count| count > 0));
    }
}

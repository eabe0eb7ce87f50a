//! The servers of the benches: so many ports, one thread, on a core of its own.
//!
//! | argument | |
//! |---|---|
//! | `--kind canned` | who answers: prepared frames (`canned`) or tonic (`tonic`) |
//! | `--ports 4` | where: so many free ports of 127.0.0.1, each printed on a line |
//! | `--shape unary` | what is answered |
//!
//! It ends with its standard input.

mod tonic_server;

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use evenkeel_bench_harness::{Shape, cpu};
use evenkeel_bench_server::canned;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

struct Options {
    tonic: bool,
    ports: usize,
    shape: Shape,
}

fn main() -> ExitCode {
    let served = Options::parse(std::env::args().skip(1))
        .and_then(|options| serve(&options).map_err(|error| error.to_string()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> io::Result<()> {
    cpu::pin(cpu::SERVER);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let frames = Arc::new(canned::Frames::new(options.shape));
        let mut servers = JoinSet::new();
        let mut output = io::stdout().lock();
        for _ in 0..options.ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            writeln!(output, "{}", listener.local_addr()?)?;
            if options.tonic {
                servers.spawn(tonic_server::serve(listener, options.shape));
            } else {
                servers.spawn(canned::serve(listener, frames.clone()));
            }
        }
        drop(output);
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            tonic: false,
            ports: 1,
            shape: Shape::Unary,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            match (&*name, &*value) {
                ("--kind", "canned") => options.tonic = false,
                ("--kind", "tonic") => options.tonic = true,
                ("--ports", count) => {
                    let count = count.parse();
                    options.ports = count.map_err(|error| format!("{name} {value}: {error}"))?;
                }
                ("--shape", shape) => options.shape = shape.parse()?,
                _ => return Err(format!("{name} {value} is not known here")),
            }
        }
        Ok(options)
    }
}

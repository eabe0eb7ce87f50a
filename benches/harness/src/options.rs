use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::Shape;

/// The arguments of a contender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `--endpoints 127.0.0.1:4001,127.0.0.1:4002`: whom to call, each as often as the others.
    pub endpoints: Vec<SocketAddr>,
    /// `--callers 64`: calls that run at the same time. With 0, which is how memory is measured,
    /// there are none at first, or no more than it takes to connect.
    pub callers: usize,
    /// `--workers 1`: threads of the runtime, 1 on the clients' core, or 2 on both.
    pub workers: usize,
    /// `--shape unary`: what is called.
    pub shape: Shape,
    /// `--connections 1`: how many must be open before it is ready. All, unless it is said.
    pub connections: Option<usize>,
    /// `--count`: count allocations, which takes time.
    pub count: bool,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            endpoints: Vec::new(),
            callers: 64,
            workers: 1,
            shape: Shape::Unary,
            connections: None,
            count: false,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            if name == "--count" {
                options.count = true;
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            match &*name {
                "--endpoints" => {
                    let addresses = value.split(',').map(|address| read(&name, address));
                    options.endpoints = addresses.collect::<Result<_, _>>()?;
                }
                "--callers" => options.callers = read(&name, &value)?,
                "--workers" => options.workers = read(&name, &value)?,
                "--shape" => options.shape = read(&name, &value)?,
                "--connections" => options.connections = Some(read(&name, &value)?),
                _ => return Err(format!("{name} is no argument of a contender")),
            }
        }
        match (options.endpoints.len(), options.workers) {
            (0, _) => Err("--endpoints are missing".to_owned()),
            (_, 1 | 2) => Ok(options),
            _ => Err("--workers are 1 or 2".to_owned()),
        }
    }
}

fn read<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|error| format!("{name} {value}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn reads_every_argument() {
        let line = "--endpoints 127.0.0.1:1,127.0.0.1:2 --callers 7 --workers 2 --shape stream";
        let options = parse(&format!("{line} --count")).unwrap();
        assert_eq!(options.endpoints.len(), 2);
        assert_eq!((options.callers, options.workers), (7, 2));
        assert_eq!((options.shape, options.count), (Shape::Stream, true));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in [
            "--callers 1",
            "--endpoints localhost",
            "--endpoints 127.0.0.1:1 --workers 3",
            "--endpoints 127.0.0.1:1 --speed 9",
            "--endpoints",
        ] {
            parse(line).unwrap_err();
        }
    }
}

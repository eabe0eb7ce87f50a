//! The conditions of a comparison.

use std::fmt;
use std::str::FromStr;

use evenkeel_bench_harness::Shape;
use serde::{Deserialize, Serialize};

/// So many callers that each make one call after the other, over so many endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Calls that run at the same time.
    pub callers: usize,
    /// Servers to balance over, each with its own port.
    pub endpoints: usize,
    /// Threads of the client's runtime: 1, on a core of its own, or 2, of which one shares the
    /// servers' core.
    pub workers: usize,
    /// What is called.
    pub shape: Shape,
    /// Who answers.
    pub server: ServerKind,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerKind {
    /// Answers prepared frames, so that the client is the bottleneck.
    Canned,
    /// tonic's own.
    Tonic,
}

const UNARY: Cell = Cell {
    callers: 64,
    endpoints: 4,
    workers: 1,
    shape: Shape::Unary,
    server: ServerKind::Canned,
};

/// What is measured unless it is told, in the order of the tables.
pub const ALL: [Cell; 9] = [
    Cell {
        callers: 1,
        endpoints: 1,
        ..UNARY
    },
    Cell {
        endpoints: 1,
        ..UNARY
    },
    UNARY,
    Cell {
        callers: 256,
        ..UNARY
    },
    Cell {
        callers: 256,
        endpoints: 32,
        ..UNARY
    },
    Cell {
        server: ServerKind::Tonic,
        ..UNARY
    },
    Cell {
        workers: 2,
        ..UNARY
    },
    Cell {
        shape: Shape::Unary16k,
        ..UNARY
    },
    Cell {
        callers: 4,
        endpoints: 1,
        shape: Shape::Stream,
        ..UNARY
    },
];

/// Where instructions are counted.
pub const INSTRUCTIONS: [Cell; 2] = [
    UNARY,
    Cell {
        callers: 1,
        ..UNARY
    },
];

impl Default for Cell {
    /// 64x4, unary, one worker, canned servers.
    fn default() -> Self {
        UNARY
    }
}

impl fmt::Display for Cell {
    /// `64x4 unary`; then what is not as usual: `64x4 unary, 2 workers, tonic server`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.callers, self.endpoints, self.shape)?;
        if self.workers != 1 {
            write!(f, ", {} workers", self.workers)?;
        }
        if self.server != ServerKind::Canned {
            write!(f, ", {} server", self.server)?;
        }
        Ok(())
    }
}

impl ServerKind {
    /// As arguments write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canned => "canned",
            Self::Tonic => "tonic",
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ServerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Canned, Self::Tonic]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("{text:?} is no server: canned or tonic"))
    }
}

impl FromStr for Cell {
    type Err = String;

    /// Reads `64x4`: unary calls of one worker to canned servers.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('x');
        let cell = numbers.and_then(|(callers, endpoints)| {
            Some(Self {
                callers: callers.parse().ok().filter(|callers| *callers > 0)?,
                endpoints: endpoints.parse().ok().filter(|endpoints| *endpoints > 0)?,
                ..UNARY
            })
        });
        cell.ok_or_else(|| format!("{text:?} is no cell: write callers x endpoints, as in 64x4"))
    }
}

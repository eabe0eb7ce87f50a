//! The conditions of a comparison.

use std::fmt;
use std::str::FromStr;

/// So many callers that each make one call after the other, over so many endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Calls that run at the same time.
    pub callers: usize,
    /// Servers to balance over, each with its own port.
    pub endpoints: usize,
}

/// What [`end_to_end`](crate) measures unless it is told.
pub const ALL: [Cell; 2] = [
    Cell {
        callers: 64,
        endpoints: 1,
    },
    Cell {
        callers: 64,
        endpoints: 4,
    },
];

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.callers, self.endpoints)
    }
}

impl FromStr for Cell {
    type Err = String;

    /// Reads what `Display` writes: `64x4`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('x');
        let cell = numbers.and_then(|(callers, endpoints)| {
            Some(Self {
                callers: callers.parse().ok().filter(|callers| *callers > 0)?,
                endpoints: endpoints.parse().ok().filter(|endpoints| *endpoints > 0)?,
            })
        });
        cell.ok_or_else(|| format!("{text:?} is no cell: write callers x endpoints, as in 64x4"))
    }
}

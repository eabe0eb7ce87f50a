use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A small request, an answer of 64 bytes.
    Unary,
    /// Request and answer of 16 KiB.
    Unary16k,
    /// A small request, 1 000 answers of 64 bytes; a call is a whole stream.
    Stream,
}

impl Shape {
    /// Messages of a [`Shape::Stream`].
    pub const MESSAGES: usize = 1_000;

    /// Bytes that the request carries beside its id.
    #[must_use]
    pub const fn padding(self) -> usize {
        match self {
            Self::Unary16k => 16 << 10,
            Self::Unary | Self::Stream => 0,
        }
    }

    /// As arguments write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Unary16k => "unary16k",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Unary, Self::Unary16k, Self::Stream]
            .into_iter()
            .find(|shape| shape.name() == text)
            .ok_or_else(|| format!("{text:?} is no shape: unary, unary16k or stream"))
    }
}

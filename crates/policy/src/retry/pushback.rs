use std::time::Duration;

/// What the server said about trying again, in `grpc-retry-pushback-ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "gRFC A6 knows these three cases")]
pub enum Pushback {
    /// Nothing.
    #[default]
    None,
    /// Try again after exactly this delay.
    After(Duration),
    /// Do not try again: a negative number, or anything that is not one 32-bit number.
    Stop,
}

impl Pushback {
    /// The header that carries it.
    pub const HEADER: &'static str = "grpc-retry-pushback-ms";

    /// Reads the values of the header.
    #[must_use]
    pub fn parse<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let mut values = values.into_iter();
        let Some(value) = values.next() else {
            return Self::None;
        };
        if values.next().is_some() || value.first() == Some(&b'+') {
            return Self::Stop;
        }
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i32>().ok())
            .and_then(|millis| u64::try_from(millis).ok())
            .map_or(Self::Stop, |millis| {
                Self::After(Duration::from_millis(millis))
            })
    }
}

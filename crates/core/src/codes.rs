use std::ops::BitOr;

use tonic::Code;

/// A set of status codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeSet(u32);

impl CodeSet {
    /// What says that a server, or the way to it, does not work: UNAVAILABLE, DEADLINE_EXCEEDED,
    /// INTERNAL, UNKNOWN, DATA_LOSS and RESOURCE_EXHAUSTED. Any other is an answer.
    pub const SERVER_FAILURES: Self = Self::of(&[
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::Unknown,
        Code::DataLoss,
        Code::ResourceExhausted,
    ]);

    /// Whether `code` is in it.
    #[must_use]
    pub const fn contains(self, code: Code) -> bool {
        self.0 & (1 << code as u32) != 0
    }

    /// A set of `codes`.
    #[must_use]
    pub const fn of(codes: &[Code]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < codes.len() {
            bits |= 1 << codes[index] as u32;
            index += 1;
        }
        Self(bits)
    }

    /// Its codes, by their numbers.
    pub fn iter(self) -> impl Iterator<Item = Code> {
        let codes = (0..u32::BITS as i32).filter(move |number| self.0 & (1 << number) != 0);
        codes.map(Code::from_i32)
    }

    /// Whether it has no code at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Code> for CodeSet {
    fn from_iter<I: IntoIterator<Item = Code>>(codes: I) -> Self {
        let bits = codes.into_iter().map(|code| 1 << code as u32);
        Self(bits.fold(0, BitOr::bitor))
    }
}

/// Those of both.
impl BitOr for CodeSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_its_codes_by_their_numbers() {
        let codes = [Code::Unauthenticated, Code::Ok, Code::Unavailable];
        let sorted = [Code::Ok, Code::Unavailable, Code::Unauthenticated];
        assert!(CodeSet::of(&codes).iter().eq(sorted));
        let halves = CodeSet::of(&codes[..2]) | CodeSet::of(&codes[1..]);
        assert_eq!(halves, CodeSet::of(&codes));
        assert_eq!(CodeSet::default().iter().next(), None);
    }
}

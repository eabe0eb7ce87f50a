//! The messages in a gRPC body.

/// Finds the messages in a body, wherever that is cut into pieces.
///
/// A message is a byte that says whether it is compressed, its length in four bytes, and as many
/// bytes (gRPC over HTTP/2, "Length-Prefixed-Message").
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    /// The part of a prefix that has come.
    prefix: [u8; PREFIX],
    known: usize,
    /// What is missing of the message whose prefix came last.
    missing: u32,
}

const PREFIX: usize = 5;

/// A message whose prefix has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Without its prefix.
    pub(crate) length: u32,
    /// Where in the piece its prefix begins; 0 if that began in one before.
    pub(crate) at: usize,
}

impl Frames {
    /// The first message that begins in `data`, the next piece of the body, and is longer than
    /// `limit`. What comes after it is not looked at.
    pub(crate) fn find_longer(&mut self, data: &[u8], limit: u32) -> Option<Message> {
        let mut rest = data;
        loop {
            let message = self.next(&mut rest, data.len())?;
            if message.length > limit {
                return Some(message);
            }
        }
    }

    /// The next message that begins in `rest`, which was cut off a piece of `whole` bytes.
    fn next(&mut self, rest: &mut &[u8], whole: usize) -> Option<Message> {
        let missing = usize::try_from(self.missing).unwrap_or(usize::MAX);
        let skipped = missing.min(rest.len());
        *rest = &rest[skipped..];
        self.missing -= u32::try_from(skipped).expect("no more than what is missing");

        let at = (whole - rest.len()).saturating_sub(self.known);
        let taken = (PREFIX - self.known).min(rest.len());
        let (prefix, after) = rest.split_at(taken);
        self.prefix[self.known..self.known + taken].copy_from_slice(prefix);
        self.known += taken;
        *rest = after;
        if self.known < PREFIX {
            return None;
        }
        let [_, length @ ..] = self.prefix;
        self.known = 0;
        self.missing = u32::from_be_bytes(length);
        Some(Message {
            length: self.missing,
            at,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A body with messages of these lengths.
    fn body(lengths: &[u32]) -> Vec<u8> {
        let mut body = Vec::new();
        for length in lengths {
            body.push(u8::from(length % 2 == 1));
            body.extend(length.to_be_bytes());
            // Bytes that would be long messages if they were read as prefixes.
            body.extend(std::iter::repeat_n(0xff, *length as usize));
        }
        body
    }

    fn lengths(pieces: &[&[u8]]) -> Vec<u32> {
        let mut frames = Frames::default();
        let mut lengths = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(message) = frames.next(&mut rest, piece.len()) {
                lengths.push(message.length);
            }
        }
        lengths
    }

    #[test]
    fn a_prefix_alone_tells_the_length() {
        let mut frames = Frames::default();
        assert_eq!(frames.find_longer(&[0, 0, 0, 1], 4), None);
        let found = frames.find_longer(&[0], 4).unwrap();
        assert_eq!((found.length, found.at), (256, 0));
        let longest = Frames::default().find_longer(&[1, 255, 255, 255, 255], u32::MAX - 1);
        assert_eq!(longest.map(|it| it.length), Some(u32::MAX));
    }

    #[test]
    fn the_place_of_a_message_is_where_its_prefix_begins() {
        let body = body(&[3, 0, 9]);
        let found = Frames::default().find_longer(&body, 3).unwrap();
        assert_eq!((found.length, found.at), (9, 8 + 5));
        let mut frames = Frames::default();
        assert_eq!(frames.find_longer(&body[..6], 3), None);
        let found = frames.find_longer(&body[6..], 3).unwrap();
        assert_eq!(found.at, 8 + 5 - 6);
    }

    proptest! {
        #[test]
        fn the_lengths_are_the_same_however_the_body_is_cut(
            expected in prop::collection::vec(0_u32..40, 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let body = body(&expected);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]).collect();
            prop_assert_eq!(lengths(&pieces), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let mut frames = Frames::default();
            for piece in &pieces {
                if let Some(message) = frames.find_longer(piece, 100) {
                    prop_assert!(message.length > 100 && message.at <= piece.len());
                }
            }
        }
    }
}

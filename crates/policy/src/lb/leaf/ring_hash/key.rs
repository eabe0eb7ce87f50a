use std::fmt::Write as _;

use evenkeel_core::Endpoint;
use twox_hash::XxHash64;

/// What an endpoint's places on the ring are made of: its `hash_key` (gRFC A76), or else its
/// first address.
pub(super) struct Key {
    text: String,
    length: usize,
}

impl Key {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let other = &endpoint.metadata().other;
        let mut text = match other.get("hash_key").filter(|key| !key.is_empty()) {
            Some(key) => key.clone(),
            None => endpoint.addresses()[0].to_string(),
        };
        text.push('_');
        Self {
            length: text.len(),
            text,
        }
    }

    /// The hash of the key, `_` and `number`, as Envoy and the other gRPC clients place it.
    pub(super) fn entry(&mut self, number: u32) -> u64 {
        self.text.truncate(self.length);
        write!(self.text, "{number}").expect("a text can always grow");
        XxHash64::oneshot(0, self.text.as_bytes())
    }
}

use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel_core::{Address, Endpoint, EndpointView};
use twox_hash::XxHash64;

use crate::lb::kept::Kept;

/// An endpoint as the ring is made of it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// More than 0.
    pub(super) weight: f64,
    /// Where its first entry is. Also what members are sorted by, so that the order in which
    /// discovery lists them does not matter.
    pub(super) first: u64,
    endpoint: Arc<Endpoint>,
}

impl Member {
    fn new(view: &EndpointView) -> Self {
        let registered = view.endpoint.metadata().weight;
        Self {
            // No more than that, so that the sum of all is a number.
            weight: registered
                .filter(|weight| weight.is_finite() && *weight > 0.0)
                .map_or(1.0, |weight| weight.min(1e100)),
            first: Key::new(&view.endpoint).entry(0),
            endpoint: view.endpoint.clone(),
        }
    }

    /// What tells it from another one with the same key.
    pub(super) fn address(&self) -> &Address {
        &self.endpoint.addresses()[0]
    }

    pub(super) fn key(&self) -> Key {
        Key::new(&self.endpoint)
    }
}

/// What an endpoint's places on the ring are made of: its `hash_key` (gRFC A76), or else its
/// first address.
pub(super) struct Key {
    text: String,
    length: usize,
}

impl Key {
    fn new(endpoint: &Endpoint) -> Self {
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

/// The endpoints of the last update, in its order.
#[derive(Debug, Default)]
pub(super) struct Members(Kept<Member>);

impl Members {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter()
    }

    /// Goes over to these endpoints; whether the ring must be made again for them.
    ///
    /// What did not change costs one comparison or two each.
    pub(super) fn follow(&mut self, endpoints: &[EndpointView]) -> bool {
        let mut changed = self.0.follow(endpoints, |view| view.id, Member::new);
        for (member, view) in self.0.iter_mut().zip(endpoints) {
            changed |= member.follow(view);
        }
        changed
    }
}

impl Member {
    /// Takes in what its endpoint says of itself now; whether that changes the ring.
    fn follow(&mut self, view: &EndpointView) -> bool {
        if Arc::ptr_eq(&self.endpoint, &view.endpoint) {
            return false;
        }
        let now = Self::new(view);
        let changed =
            (now.first, now.weight, now.address()) != (self.first, self.weight, self.address());
        *self = now;
        changed
    }
}

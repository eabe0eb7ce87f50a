use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel_core::{Endpoint, EndpointView};
use twox_hash::XxHash64;

use crate::lb::shared::kept::Kept;

/// The hash of each endpoint of the last update, in its order, and who comes first.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    known: Kept<Known>,
    /// The places of those who come first, in the order of their hashes.
    first: Vec<u32>,
}

#[derive(Debug)]
struct Known {
    endpoint: Arc<Endpoint>,
    hash: u64,
}

impl Hashes {
    /// The places of the `size` endpoints, of more than that, whose hashes with `seed` come first.
    ///
    /// What did not change costs one comparison or two each.
    pub(super) fn first(&mut self, size: usize, endpoints: &[EndpointView], seed: u64) -> &[u32] {
        if self.follow(endpoints, seed) || self.first.len() != size {
            let hashes = self.known.iter().map(|known| known.hash);
            let mut order: Vec<(u64, u32)> = hashes.zip(0..).collect();
            order.select_nth_unstable(size - 1);
            order.truncate(size);
            order.sort_unstable();
            self.first.clear();
            self.first.extend(order.iter().map(|(_, place)| place));
        }
        &self.first
    }

    /// Whether the endpoints, their order or a first address is another than before.
    fn follow(&mut self, endpoints: &[EndpointView], seed: u64) -> bool {
        let mut text = String::new();
        let mut hash = |endpoint: &Endpoint| {
            text.clear();
            write!(text, "{}", endpoint.addresses()[0]).expect("a text can always grow");
            XxHash64::oneshot(seed, text.as_bytes())
        };
        let known = |view: &EndpointView| Known {
            endpoint: view.endpoint.clone(),
            hash: hash(&view.endpoint),
        };
        let mut changed = self.known.follow(endpoints, |view| view.id, known);
        for (known, view) in self.known.iter_mut().zip(endpoints) {
            if !Arc::ptr_eq(&known.endpoint, &view.endpoint) {
                known.endpoint = view.endpoint.clone();
                let now = hash(&view.endpoint);
                changed |= std::mem::replace(&mut known.hash, now) != now;
            }
        }
        changed
    }
}

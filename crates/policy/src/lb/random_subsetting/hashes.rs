use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel_core::{Endpoint, EndpointId, EndpointView};
use twox_hash::XxHash64;

/// The hash of each endpoint of the last update, in its order, and who comes first.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    known: Vec<Known>,
    /// The places of those who come first, in the order of their hashes.
    first: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Known {
    id: EndpointId,
    endpoint: Arc<Endpoint>,
    hash: u64,
}

impl Hashes {
    /// The places of the `size` endpoints, of more than that, whose hashes with `seed` come first.
    ///
    /// What did not change costs one comparison each.
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
        let mut changed = false;
        let mut same = 0;
        for (known, view) in self.known.iter_mut().zip(endpoints) {
            if known.id != view.id {
                break;
            }
            if !Arc::ptr_eq(&known.endpoint, &view.endpoint) {
                known.endpoint = view.endpoint.clone();
                let now = hash(&view.endpoint);
                changed |= std::mem::replace(&mut known.hash, now) != now;
            }
            same += 1;
        }
        if same == endpoints.len() && same == self.known.len() {
            return changed;
        }
        let old = self.known.split_off(same);
        // Where the next one is, if it is where it was, or the one before it has gone.
        let mut next = 0;
        for view in &endpoints[same..] {
            let is_it = |place: &usize| {
                let known = old.get(*place);
                known
                    .is_some_and(|it| it.id == view.id && Arc::ptr_eq(&it.endpoint, &view.endpoint))
            };
            let found = [next, next + 1].into_iter().find(is_it);
            self.known.push(match found {
                Some(place) => {
                    next = place + 1;
                    old[place].clone()
                }
                None => Known {
                    id: view.id,
                    hash: hash(&view.endpoint),
                    endpoint: view.endpoint.clone(),
                },
            });
        }
        true
    }
}

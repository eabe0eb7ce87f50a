use std::sync::Arc;

use evenkeel_core::ConnectivityState::Ready;
use evenkeel_core::{Address, Endpoint, EndpointId};
use proptest::prelude::*;
use twox_hash::XxHash64;

use super::Ring;
use crate::lb::leaf::ring_hash::members::Members;
use crate::script::Script;

/// What discovery, or a new config, does.
#[derive(Clone, Debug)]
enum Step {
    /// Or goes, if it is there; at a place of the list.
    Comes(u64, prop::sample::Index),
    /// It goes, and another one comes at the end.
    Replaced(prop::sample::Index, u64),
    Weight(prop::sample::Index, f64),
    /// Another address, which others may have too.
    Moves(prop::sample::Index, u64),
    /// Another `hash_key`, which others may have too.
    Key(prop::sample::Index, &'static str),
    Rotated(prop::sample::Index),
    Sizes(u64, u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0_u64..24, index()).prop_map(|(id, place)| Step::Comes(id, place)),
        2 => (index(), 0_u64..24).prop_map(|(place, id)| Step::Replaced(place, id)),
        3 => (index(), 0.01_f64..9.0).prop_map(|(place, weight)| Step::Weight(place, weight)),
        1 => (index(), 0_u64..4).prop_map(|(place, ip)| Step::Moves(place, ip)),
        1 => (index(), prop::sample::select(vec!["", "pod-0", "pod-1"]))
            .prop_map(|(place, key)| Step::Key(place, key)),
        1 => index().prop_map(Step::Rotated),
        1 => (1_u64..200, 1_u64..300).prop_map(|(least, most)| Step::Sizes(least.min(most), most)),
    ]
}

/// Lets it happen to the endpoints, of which there are some.
fn take(step: &Step, script: &mut Script) {
    let len = script.endpoints.len();
    let id = |script: &Script, place: &prop::sample::Index| script.endpoints[place.index(len)].id.0;
    let is_there = |script: &Script, id: u64| {
        let mut ids = script.endpoints.iter().map(|one| one.id);
        ids.any(|one| one == EndpointId(id))
    };
    match step {
        Step::Comes(id, _) if is_there(script, *id) => script.remove(*id),
        Step::Comes(id, place) => {
            script.add(*id, Ready);
            script.endpoints[place.index(len + 1)..].rotate_right(1);
        }
        Step::Replaced(place, new) => {
            script.endpoints.remove(place.index(len));
            if !is_there(script, *new) {
                script.add(*new, Ready);
            }
        }
        Step::Weight(place, weight) => script.weigh(id(script, place), *weight),
        Step::Moves(place, ip) => {
            let one = script.find(id(script, place));
            let address = Address::Ip(([10, 0, 0, *ip as u8], 80).into());
            let metadata = one.endpoint.metadata().clone();
            one.endpoint = Arc::new(Endpoint::new(address).with_metadata(metadata));
        }
        Step::Key(place, key) => script.describe(id(script, place), |metadata| {
            metadata.other.insert("hash_key".into(), (*key).into());
        }),
        Step::Rotated(place) => script.endpoints.rotate_left(place.index(len)),
        Step::Sizes(..) => {}
    }
}

/// The ring as gRFC A42 describes it: hashes, and whose they are.
fn described(script: &Script, least: u64, most: u64) -> Vec<(u64, u32)> {
    let hash = |key: &str, number: u32| XxHash64::oneshot(0, format!("{key}_{number}").as_bytes());
    let mut members: Vec<_> = (0_u32..)
        .zip(&script.endpoints)
        .map(|(place, one)| {
            let (address, metadata) = (&one.endpoint.addresses()[0], one.endpoint.metadata());
            let key = metadata.other.get("hash_key").filter(|key| !key.is_empty());
            let key = key.cloned().unwrap_or_else(|| address.to_string());
            (
                (hash(&key, 0), address, one.id),
                key,
                metadata.weight.unwrap_or(1.0),
                place,
            )
        })
        .collect();
    members.sort_by(|one, other| one.0.cmp(&other.0));
    let weights = || members.iter().map(|one| one.2);
    let total: f64 = weights().sum();
    let lightest = weights().fold(f64::INFINITY, f64::min) / total;
    let size = ((lightest * least as f64).ceil() / lightest).min(most as f64);
    let mut entries = Vec::new();
    let mut target = 0.0;
    for (rank, (_, key, weight, _)) in members.iter().enumerate() {
        target += weight;
        let before = entries.len();
        while (entries.len() as f64) < (size * target / total).min(size) {
            entries.push((hash(key, (entries.len() - before) as u32), rank));
        }
    }
    entries.sort_unstable();
    entries
        .iter()
        .map(|(hash, rank)| (*hash, members[*rank].3))
        .collect()
}

proptest! {
    #[test]
    fn a_ring_made_from_the_last_one_is_the_one_made_from_nothing(
        first in 1_u64..24,
        steps in prop::collection::vec(steps(), 1..40),
    ) {
        let mut script = Script::new(&[]);
        (0..first).for_each(|id| script.add(id, Ready));
        let (mut least, mut most) = (64, 128);
        let mut members = Members::default();
        members.follow(&script.endpoints);
        let mut ring = Ring::default().next(&mut members, least, most);
        for step in &steps {
            let len = script.endpoints.len();
            take(step, &mut script);
            if script.endpoints.is_empty() {
                script.add(len as u64, Ready);
            }
            let changed = members.follow(&script.endpoints);
            let next = if let Step::Sizes(now_least, now_most) = step {
                (least, most) = (*now_least, *now_most);
                ring.next(&mut members, least, most)
            } else if changed {
                ring.next(&mut members, least, most)
            } else {
                ring
            };
            let mut fresh = Members::default();
            fresh.follow(&script.endpoints);
            prop_assert_eq!(&next, &Ring::default().next(&mut fresh, least, most));
            let entries: Vec<_> = std::iter::zip(&next.hashes, &next.places)
                .map(|(hash, place)| (*hash, *place))
                .collect();
            prop_assert_eq!(entries, described(&script, least, most));
            ring = next;
        }
    }
}

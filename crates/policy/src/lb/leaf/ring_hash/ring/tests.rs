mod changes;

use evenkeel_core::ConnectivityState::Ready;
use proptest::prelude::*;
use twox_hash::XxHash64;

use super::Ring;
use crate::lb::leaf::ring_hash::members::Members;
use crate::script::Script;

fn script(weights: &[f64]) -> Script {
    let mut script = Script::new(&vec![Ready; weights.len()]);
    for (id, weight) in (0..).zip(weights) {
        script.weigh(id, *weight);
    }
    script
}

fn members(weights: &[f64]) -> Members {
    let mut members = Members::default();
    assert!(members.follow(&script(weights).endpoints));
    members
}

fn ring(weights: &[f64], least: u64, most: u64) -> Ring {
    Ring::default().next(&mut members(weights), least, most)
}

/// How many entries each has.
fn entries(ring: &Ring, endpoints: usize) -> Vec<usize> {
    let mut counts = vec![0; endpoints];
    for place in &ring.places {
        counts[*place as usize] += 1;
    }
    counts
}

#[test]
fn the_hash_is_xxh64_with_seed_0() {
    for (text, hash) in [
        ("", 0xef46_db37_51d8_e999),
        ("a", 0xd24e_c4f1_a98c_6e5b),
        ("abc", 0x44bc_2cf5_ad77_0999),
    ] {
        assert_eq!(XxHash64::oneshot(0, text.as_bytes()), hash, "{text:?}");
    }
}

#[test]
fn an_entry_is_the_hash_of_key_underscore_number() {
    let ring = ring(&[1.0, 1.0], 6, 6);
    let texts = ["10.0.0.0:80", "10.0.0.1:80"];
    let mut expected: Vec<_> = (0..2)
        .flat_map(|place| (0..3).map(move |number| (place, number)))
        .map(|(place, number)| {
            let text = format!("{}_{number}", texts[place as usize]);
            (XxHash64::oneshot(0, text.as_bytes()), place)
        })
        .collect();
    expected.sort_unstable();
    let entries: Vec<_> = ring.hashes.iter().copied().zip(ring.places).collect();
    assert_eq!(entries, expected);
}

#[test]
fn a_hash_key_takes_the_place_of_the_address() {
    let mut script = Script::new(&[Ready]);
    let mut members = Members::default();
    members.follow(&script.endpoints);
    let mut ring = Ring::default().next(&mut members, 1, 1);
    let by_address = ring.hashes[0];
    for (key, hash) in [
        ("pod-0", XxHash64::oneshot(0, b"pod-0_0")),
        ("", by_address),
    ] {
        script.describe(0, |metadata| {
            metadata.other.insert("hash_key".into(), key.into());
        });
        assert!(members.follow(&script.endpoints), "{key:?}");
        ring = ring.next(&mut members, 1, 1);
        assert_eq!(*ring.hashes, [hash], "{key:?}");
    }
}

#[test]
fn of_two_with_the_same_key_the_lower_address_gets_the_calls_in_every_client() {
    let mut script = script(&[1.0; 3]);
    for id in 0..3 {
        script.describe(id, |metadata| {
            metadata.other.insert("hash_key".into(), "pod-0".into());
        });
    }
    for _ in 0..3 {
        let mut members = Members::default();
        members.follow(&script.endpoints);
        let ring = Ring::default().next(&mut members, 30, 30);
        for part in 0..100 {
            let place = ring.place(ring.find(part * (u64::MAX / 100)));
            assert_eq!(script.endpoints[place].id.0, 0);
        }
        script.endpoints.rotate_left(1);
    }
}

#[test]
fn entries_are_shared_by_weight_within_the_sizes() {
    for (weights, least, most, size, counts) in [
        // Each case: the lightest has as many whole entries as it would have of the least size.
        (&[3.0, 3.0, 4.0][..], 10, 10, 10, &[3, 3, 4][..]),
        (&[3.0, 3.0, 4.0], 10, 20, 10, &[3, 3, 4]),
        (&[1.0, 1.0, 1.0], 1024, 4096, 1026, &[342, 342, 342]),
        (&[1.0, 2.0], 1024, 4096, 1026, &[342, 684]),
        (&[10.0, 20.0, 30.0], 6, 4096, 6, &[1, 2, 3]),
        (&[1.0, 9.0], 1, 4096, 10, &[1, 9]),
        // The most cuts it, and then not all is whole.
        (&[1.0, 9.0], 1, 5, 5, &[1, 4]),
        (&[1.0], 1, 1, 1, &[1]),
        (&[1e-300, 1.0], 1, 8, 8, &[1, 8]),
    ] {
        let ring = ring(weights, least, most);
        let mut shares = entries(&ring, weights.len());
        let exact = shares == counts;
        // Which one a cut entry goes to depends on the order of hashes.
        for (share, expected) in shares.iter_mut().zip(counts) {
            assert!(
                share.abs_diff(*expected) <= 1,
                "{weights:?} {share} {expected}"
            );
        }
        assert_eq!(ring.len(), size, "{weights:?}: {shares:?}");
        assert!(exact || most < 10, "{weights:?}: {shares:?}");
    }
}

#[test]
fn weights_of_any_size_make_a_ring() {
    for weights in [
        &[f64::MAX, f64::MAX, 1.0][..],
        &[f64::MIN_POSITIVE, f64::MAX],
        &[5e-324, 1.0],
        &[5e-324; 3],
    ] {
        let ring = ring(weights, 1024, 4096);
        assert!((1..=4096).contains(&ring.len()), "{weights:?}");
    }
}

#[test]
fn the_order_of_endpoints_does_not_matter() {
    let weights: Vec<f64> = (1..=20).map(f64::from).collect();
    let mut script = script(&weights);
    let mut rings = Vec::new();
    for _ in 0..2 {
        let mut members = Members::default();
        members.follow(&script.endpoints);
        rings.push(Ring::default().next(&mut members, 100, 150).hashes);
        script.endpoints.reverse();
    }
    assert_eq!(rings[0], rings[1]);
}

proptest! {
    #[test]
    fn a_search_finds_the_first_entry_at_or_after_a_hash_around_the_ring(
        weights in proptest::collection::vec(0.1_f64..10.0, 1..12),
        least in 1_u64..300,
        hash: u64,
        near: prop::sample::Index,
        by in -1_i64..=1,
    ) {
        let ring = ring(&weights, least, 300);
        prop_assert!(ring.hashes.is_sorted());
        let of_an_entry = ring.hashes[near.index(ring.len())].wrapping_add_signed(by);
        for hash in [hash, of_an_entry, 0, u64::MAX] {
            let first = ring.hashes.iter().position(|entry| *entry >= hash);
            prop_assert_eq!(ring.find(hash), first.unwrap_or(0));
        }
    }
}

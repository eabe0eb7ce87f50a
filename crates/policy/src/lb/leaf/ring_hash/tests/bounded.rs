//! Consistent hashing with bounded loads.

use super::*;

fn bounded(factor: f64) -> RingHash {
    RingHash::new(RingHashConfig {
        bounded_load_factor: Some(factor),
        ..config()
    })
}

/// The endpoint of a call that starts now.
fn begin(script: &Script, picker: &dyn Picker) -> u64 {
    let id = script.pick(picker, &[], 0);
    let endpoint = script.endpoints.iter().find(|one| one.id.0 == id);
    endpoint.unwrap().stats.begin();
    id
}

fn in_flight(script: &Script) -> Vec<u32> {
    let loads = script.endpoints.iter().map(|one| one.stats.in_flight());
    loads.collect()
}

#[test]
fn an_endpoint_with_its_share_in_flight_is_passed_over_along_the_ring() {
    let (script, ids) = along_the_ring(&[Ready; 4]);
    let picker = script.update(&mut bounded(1.25)).picker;
    // ceil(1.25 × calls / 4) calls each: 1 of up to 3, 2 of up to 6, 3 of up to 9, 4 of 10.
    let order = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0];
    for (call, place) in order.into_iter().enumerate() {
        assert_eq!(begin(&script, &*picker), ids[place], "call {call}");
    }
}

#[test]
fn without_a_factor_load_does_not_matter() {
    let (script, ids) = along_the_ring(&[Ready; 4]);
    let picker = script.update(&mut policy()).picker;
    for _ in 0..100 {
        assert_eq!(begin(&script, &*picker), ids[0]);
    }
}

#[test]
fn shares_are_by_weight() {
    let (mut script, _) = along_the_ring(&[Ready; 3]);
    script.weigh(0, 2.0);
    let picker = script.update(&mut bounded(1.0)).picker;
    for _ in 0..400 {
        begin(&script, &*picker);
    }
    assert_eq!(in_flight(&script), [200, 100, 100]);
}

#[test]
fn calls_that_end_make_room() {
    let (script, ids) = along_the_ring(&[Ready; 4]);
    let picker = script.update(&mut bounded(1.25)).picker;
    assert_eq!(begin(&script, &*picker), ids[0]);
    assert_eq!(begin(&script, &*picker), ids[1]);
    let owner = script.endpoints.iter().find(|one| one.id.0 == ids[0]);
    owner.unwrap().stats.unsent();
    assert_eq!(begin(&script, &*picker), ids[0]);
}

#[test]
fn an_idle_endpoint_that_is_passed_is_connected_for_later_calls() {
    let (mut script, ids) = along_the_ring(&[Ready, Idle, Idle, Ready]);
    let mut policy = bounded(1.25);
    let picker = script.update(&mut policy).picker;
    assert_eq!(begin(&script, &*picker), ids[0]);
    assert_eq!(begin(&script, &*picker), ids[3]);
    // Nobody READY has room: the least loaded of them takes it, the first of equals.
    assert_eq!(begin(&script, &*picker), ids[0]);
    assert_eq!(script.ids(&script.update(&mut policy).connect), ids[1..2]);
    script.set(ids[1], Ready);
    let picker = script.update(&mut policy).picker;
    assert_eq!(begin(&script, &*picker), ids[1]);
}

#[test]
fn a_retry_passes_over_tried_ones_too() {
    let (script, ids) = along_the_ring(&[Ready; 4]);
    let picker = script.update(&mut bounded(1.25)).picker;
    assert_eq!(begin(&script, &*picker), ids[0]);
    assert_eq!(script.pick(&*picker, &ids[1..2], 0), ids[2]);
    let all: Vec<u64> = ids.clone();
    assert_eq!(script.pick(&*picker, &all[..3], 0), ids[3]);
}

#[test]
fn loads_of_endpoints_that_stay_are_known_when_others_come() {
    let (mut script, ids) = along_the_ring(&[Ready; 4]);
    let mut policy = bounded(1.25);
    let picker = script.update(&mut policy).picker;
    for _ in 0..8 {
        begin(&script, &*picker);
    }
    script.set(ids[3], TransientFailure);
    let picker = script.update(&mut policy).picker;
    for _ in 0..4 {
        begin(&script, &*picker);
    }
    let loads = in_flight(&script);
    assert_eq!(loads.iter().sum::<u32>(), 12);
    assert!(loads.iter().all(|load| *load <= 5), "{loads:?}");
}

proptest! {
    #[test]
    fn no_load_is_above_its_bound_after_any_calls(
        endpoints in 1_usize..12,
        keys in proptest::collection::vec(0_u32..5, 1..200),
        factor in 1.0_f64..2.0,
    ) {
        let mut script = Script::new(&vec![Ready; endpoints]);
        let picker = script.update(&mut bounded(factor)).picker;
        let blocks = endpoints.div_ceil(8);
        for (count, key) in (1_u32..).zip(keys) {
            script.header(HEADER, &key.to_string());
            // Makes the picker look at all of them, which it does eight at a time.
            for _ in 1..blocks {
                script.pick(&*picker, &[], 0);
            }
            let id = begin(&script, &*picker);
            let bound = (factor * f64::from(count) / endpoints as f64).ceil() as u32;
            let load = script.find(id).stats.in_flight();
            prop_assert!(load <= bound, "{load} of at most {bound} in {:?}", in_flight(&script));
        }
    }
}

//! gRFC A113 (weighted shuffling in pick_first).

use evenkeel_core::ConnectivityState::Idle;
use evenkeel_policy::script::Script;

/// How often each endpoint is dialled first, and second, by 6000 channels.
fn places<const N: usize>(weights: [Option<f64>; N]) -> [[u32; N]; 2] {
    let config = crate::chosen::parsed("pick_first", r#"{"shuffleAddressList": true}"#);
    let mut places = [[0; N]; 2];
    for random in 0..6_000_u64 {
        let mut script = Script::new(&[Idle; N]);
        for (id, weight) in (0..).zip(weights) {
            if let Some(weight) = weight {
                script.weigh(id, weight);
            }
        }
        script.random = random.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut policy = config.load_balancing().build();
        for place in &mut places {
            let first = script.ids(&script.update(&mut *policy).connect)[0];
            place[first as usize] += 1;
            script.fail(first, "refused");
        }
    }
    places
}

fn are_about<const N: usize>(counts: [u32; N], expected: [u32; N]) -> bool {
    let mut pairs = counts.iter().zip(expected);
    pairs.all(|(count, expected)| count.abs_diff(expected) < 180)
}

#[test]
fn each_endpoint_is_first_as_often_as_its_share_of_the_weights() {
    let [first, _] = places([Some(1.0), Some(2.0), Some(3.0)]);
    assert!(are_about(first, [1_000, 2_000, 3_000]), "{first:?}");
    let [first, _] = places([Some(10.0), Some(20.0), Some(30.0)]);
    assert!(are_about(first, [1_000, 2_000, 3_000]), "{first:?}");
}

#[test]
fn those_that_remain_are_shuffled_by_their_weights_as_well() {
    let [_, second] = places([Some(1.0), Some(2.0), Some(3.0)]);
    // 1 is second after 2 with 2/6 × 1/4 and after 3 with 3/6 × 1/3; the others likewise.
    assert!(are_about(second, [1_500, 2_400, 2_100]), "{second:?}");
}

#[test]
fn an_endpoint_without_a_weight_has_the_weight_1() {
    let [first, _] = places([None, Some(2.0), Some(3.0)]);
    assert!(are_about(first, [1_000, 2_000, 3_000]), "{first:?}");
    let [first, _] = places([None, None, None]);
    assert!(are_about(first, [2_000; 3]), "{first:?}");
}

#[test]
fn weights_of_any_size_are_told_apart() {
    for unit in [1e-300, 1e-6, 1e6, 1e300] {
        let [first, _] = places([Some(unit), Some(2.0 * unit), Some(3.0 * unit)]);
        assert!(are_about(first, [1_000, 2_000, 3_000]), "{unit}: {first:?}");
    }
    let [first, _] = places([Some(1e-9), Some(1.0)]);
    assert_eq!(first, [0, 6_000]);
}

//! Calls without a key (gRFC A76).

use super::*;

/// The random number that comes to the endpoints in the order `ids` on the ring: the hash of the
/// key that does.
fn random() -> u64 {
    twox_hash::XxHash64::oneshot(0, b"alice")
}

#[test]
fn the_first_ready_endpoint_from_a_random_place_on_is_picked_and_at_most_one_idle_connects() {
    for (states, pick, connect) in [
        (&[Ready, Ready, Ready][..], Ok(0), None),
        (&[Idle, Ready, Idle], Ok(1), Some(0)),
        (&[Idle, Idle, Ready], Ok(2), Some(0)),
        (&[TransientFailure, Idle, Ready], Ok(2), Some(1)),
        (&[Idle, Connecting, Ready], Ok(2), None),
        (&[Idle, Ready, Connecting], Ok(1), None),
        (&[Ready, Idle, Idle], Ok(0), None),
        (&[Idle, Idle, TransientFailure], Err("queue"), None),
        (&[Idle, Idle, Idle], Err("queue"), Some(0)),
        (&[Connecting, Idle, Idle], Err("queue"), None),
        (&[TransientFailure; 3], Err("fail"), None),
    ] {
        for empty in [false, true] {
            let (mut script, ids) = along_the_ring(states);
            script.headers.clear();
            if empty {
                script.header(HEADER, "");
            }
            let mut policy = policy();
            let update = script.update(&mut policy);
            let mut connected = Vec::new();
            let picked = match script.answer(&*update.picker, &[], random()) {
                Pick::Endpoint(index) => Ok(script.endpoints[index.0].id.0),
                Pick::Queue => Err("queue"),
                Pick::Connect(index) => {
                    connected = script.ids(&[index]);
                    Err("queue")
                }
                Pick::Fail(_) => Err("fail"),
                Pick::Drop(_) => Err("drop"),
            };
            assert_eq!(picked, pick.map(|place: usize| ids[place]), "{states:?}");
            if !update.connect.is_empty() {
                continue;
            }
            let connect: Vec<u64> = connect.map(|place: usize| ids[place]).into_iter().collect();
            connected.extend(script.ids(&script.update(&mut policy).connect));
            assert_eq!(connected, connect, "{states:?}");
        }
    }
}

#[test]
fn a_retry_goes_to_an_untried_ready_endpoint() {
    let (mut script, ids) = along_the_ring(&[Ready, Idle, Ready]);
    script.headers.clear();
    let picker = script.update(&mut policy()).picker;
    assert_eq!(script.pick(&*picker, &ids[..1], random()), ids[2]);
    assert_eq!(script.pick(&*picker, &[ids[0], ids[2]], random()), ids[0]);
}

#[test]
fn calls_are_spread_by_weight() {
    let mut script = Script::new(&[Ready; 4]);
    script.weigh(0, 3.0);
    let picker = script.update(&mut policy()).picker;
    let mut counts = [0_u32; 4];
    let mut random = crate::lb::shared::random::Random::new(1);
    for _ in 0..6_000 {
        counts[script.pick(&*picker, &[], random.next()) as usize] += 1;
    }
    assert!((2_700..3_300).contains(&counts[0]), "{counts:?}");
}

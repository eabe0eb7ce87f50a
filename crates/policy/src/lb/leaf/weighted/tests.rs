use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::rotation::reduce;
use super::*;

/// How often each of `count` places has its turn in the first `picks` turns.
fn run(scheduler: &Scheduler, count: usize, picks: u64) -> Vec<u64> {
    let mut counts = vec![0; count];
    for drawn in 0..picks {
        counts[scheduler.place(drawn)] += 1;
    }
    counts
}

fn stride(weights: &[f64]) -> Scheduler {
    Scheduler::Stride(Stride::new(weights))
}

#[test]
fn weights_become_the_smallest_whole_numbers_in_their_proportion() {
    for (weights, shares) in [
        (&[10.0, 20.0, 30.0][..], Some(&[1, 2, 3][..])),
        (&[7.0], Some(&[1])),
        (&[0.5, 1.5, 1.0], Some(&[1, 3, 2])),
        (&[0.1, 0.2, 0.7], Some(&[1, 2, 7])),
        (&[0.1 + 0.2, 0.3], Some(&[1, 1])),
        (&[0.001, 1.0], Some(&[1, 1000])),
        (&[1e12, 3e12], Some(&[1, 3])),
        (&[1.0, 4095.0], Some(&[1, 4095])),
        (&[1.0, 4096.0], None),
        (&[1.0, 1.0 / 3.0], None),
        (&[1e-9, 1.0], None),
        (&[f64::MAX, f64::MAX], None),
        (&[1e15; 5000], None),
    ] {
        assert_eq!(reduce(weights).as_deref(), shares, "{weights:?}");
    }
}

#[test]
fn turns_are_spread_evenly() {
    for (shares, turns) in [
        (&[1, 2, 3][..], &[2, 1, 2, 0, 1, 2][..]),
        (&[1, 1, 1], &[0, 1, 2]),
        (&[4, 1], &[0, 0, 0, 0, 1]),
        (&[1], &[0]),
    ] {
        assert_eq!(Rotation::new(shares).turns(), turns, "{shares:?}");
    }
}

#[test]
fn weights_without_a_short_rotation_keep_their_proportion() {
    for weights in [
        &[1.0, 1.0 / 3.0, 0.123_456][..],
        &[1.0, 10_000.0],
        &[1e300, 2e300, 5e300],
        &[1e-300, 2e-300, 5e-300],
        &[f64::MAX, f64::MAX],
        &[1009.0, 2003.0, 4001.0],
    ] {
        let scheduler = Scheduler::new(weights);
        assert!(matches!(scheduler, Scheduler::Stride(_)), "{weights:?}");
        let picks = 400_000;
        let counts = run(&scheduler, weights.len(), picks);
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let total: f64 = weights.iter().map(|weight| weight / heaviest).sum();
        for (count, weight) in counts.iter().zip(weights) {
            let share = weight / heaviest / total;
            let actual = *count as f64 / picks as f64;
            assert!((actual - share).abs() < 0.001, "{weights:?}: {counts:?}");
        }
    }
}

#[test]
fn one_heavy_endpoint_among_many_light_ones_keeps_its_share() {
    let mut weights = vec![1.0; 10_000];
    weights[4_321] = 90_000.0;
    let picks = 500_000;
    let counts = run(&stride(&weights), weights.len(), picks);
    let share = counts[4_321] as f64 / picks as f64;
    assert!((share - 0.9).abs() < 0.01, "{share}");
}

#[test]
fn an_extreme_ratio_is_bounded_and_starves_nobody() {
    let weights = [1e-9, 1.0, 1.0, 1.0];
    let counts = run(&stride(&weights), 4, 4 * 65_535);
    assert!((1..=4).contains(&counts[0]), "{counts:?}");
}

#[test]
fn equal_weights_go_round_robin() {
    let scheduler = stride(&[3.0; 5]);
    let places: Vec<_> = (0..10).map(|drawn| scheduler.place(drawn)).collect();
    assert_eq!(places, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
}

#[test]
fn a_heavy_endpoint_is_not_called_in_bursts() {
    // The light ones, which leave it the rest of their turns, are all at one end of the list.
    let mut weights = vec![1.0; 100];
    weights.resize(1_100, 3.0);
    weights.push(200.0);
    let heavy = weights.len() - 1;
    let scheduler = stride(&weights);
    let mean = weights.iter().sum::<f64>() / 200.0;
    let calls: Vec<u64> = (0..200_000)
        .filter(|drawn| scheduler.place(*drawn) == heavy)
        .collect();
    let widest = calls.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(
        (widest as f64) < 3.0 * mean,
        "{widest} calls, on average {mean}"
    );
    let densest = calls
        .windows(9)
        .map(|nine| nine[8] - nine[0])
        .min()
        .unwrap();
    assert!(
        (densest as f64) > 4.0 * mean,
        "{densest} calls, on average {mean}"
    );
}

#[test]
fn a_stride_is_exact_from_many_threads() {
    const WEIGHTS: [f64; 5] = [65_535.0, 20_000.0, 7.0, 40_000.0, 12_345.678];
    const THREADS: u64 = 8;
    const PICKS: u64 = 50_000;
    let scheduler = stride(&WEIGHTS);
    let sequence = AtomicU64::new(0);
    let counts: [AtomicU64; 5] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..PICKS {
                    let place = scheduler.place(sequence.fetch_add(1, Ordering::Relaxed));
                    counts[place].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let counts = counts.map(AtomicU64::into_inner);
    assert_eq!(counts[..], run(&scheduler, 5, THREADS * PICKS));
}

proptest! {
    /// At no time is anyone a whole turn ahead of its share, nor a whole turn behind.
    #[test]
    fn a_rotation_follows_the_shares_at_every_turn(
        shares in proptest::collection::vec(1_u64..40, 1..30),
    ) {
        let total: u64 = shares.iter().sum();
        let rotation = Rotation::new(&shares);
        let mut had = vec![0_u64; shares.len()];
        for (turn, place) in (1_u64..).zip(rotation.turns()) {
            had[usize::from(*place)] += 1;
            for (had, share) in had.iter().zip(&shares) {
                let due = turn * share;
                prop_assert!(had * total < due + total && had * total + total > due);
            }
        }
        prop_assert_eq!(had, shares);
    }

    #[test]
    fn any_weights_make_a_scheduler_that_stays_in_the_list(
        weights in proptest::collection::vec(
            prop_oneof![0.01_f64..100.0, 1e-300_f64..1e300, Just(f64::MAX), Just(f64::MIN_POSITIVE)],
            1..40,
        ),
        start: u64,
    ) {
        for scheduler in [Scheduler::new(&weights), stride(&weights)] {
            for turn in 0..200 {
                prop_assert!(scheduler.place(start.wrapping_add(turn)) < weights.len());
            }
        }
    }

    /// In any number of rounds, wherever they begin, an endpoint is less than one call away from
    /// its due for each turn that it shares.
    #[test]
    fn a_stride_follows_the_shares_in_any_rounds(
        weights in proptest::collection::vec(prop_oneof![1.0_f64..3.0, 0.1_f64..100.0], 1..40),
        rounds in 1_u64..100,
        start in 0_u64..1 << 50,
    ) {
        let count = weights.len();
        let scheduler = stride(&weights);
        let first = start / count as u64 * count as u64;
        let mut had = vec![0_u64; count];
        for drawn in first..first + rounds * count as u64 {
            had[scheduler.place(drawn)] += 1;
        }
        let mean = weights.iter().sum::<f64>() / count as f64;
        for (place, had) in had.iter().enumerate() {
            let turns = weights[place] / mean;
            let due = rounds as f64 * turns;
            let shared = scheduler.shared_turns(place) as f64;
            prop_assert!((*had as f64 - due).abs() < shared + 1e-3, "{had} of {due}");
        }
    }
}

impl Scheduler {
    fn shared_turns(&self, place: usize) -> usize {
        match self {
            Self::Stride(stride) => stride.shared_turns(place),
            Self::Rotation(_) => panic!("a rotation"),
        }
    }
}

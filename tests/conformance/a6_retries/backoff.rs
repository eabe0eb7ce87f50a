//! How long a retry waits.

use std::time::Duration;

use tonic::Code;

use crate::servers::{Answer, Client, Servers, capped, config, failure, start};

const SECOND: Duration = Duration::from_secs(1);

/// Up to five attempts with these delays.
fn delays(initial: &str, max: &str, multiplier: f64) -> String {
    config(&format!(
        r#""retryPolicy": {{"maxAttempts": 5, "initialBackoff": "{initial}", "maxBackoff": "{max}",
            "backoffMultiplier": {multiplier}, "retryableStatusCodes": ["UNAVAILABLE"]}}"#
    ))
}

/// The four delays of so many calls that fail to the end.
async fn measured(config: &str, calls: usize) -> [Vec<Duration>; 4] {
    let (servers, client) = start(config).await;
    let mut delays = <[Vec<Duration>; 4]>::default();
    for _ in 0..calls {
        let before = servers.count();
        servers.answer([(); 5].map(|()| Answer::fails(Code::Unavailable)));
        failure(&mut client.clone()).await;
        for (of_retry, delay) in delays.iter_mut().zip(&servers.delays()[before..]) {
            of_retry.push(*delay);
        }
    }
    delays
}

/// The timer of a paused clock is as fine as a millisecond, and never early.
#[track_caller]
fn is_jittered(delays: &[Duration], base: Duration) {
    let tick = Duration::from_millis(1);
    let (least, most) = (base.mul_f64(0.8), base.mul_f64(1.2) + tick);
    for delay in delays {
        assert!((least..=most).contains(delay), "{delay:?} of {base:?}");
    }
    // That a hundred of them lie on one side does not happen.
    assert!(delays.iter().any(|delay| *delay > base + tick));
    assert!(delays.iter().any(|delay| *delay < base));
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_the_capped_exponential_and_a_jitter_of_a_fifth_comes_after_the_cap() {
    let [one, two, three, four] = measured(&delays("1s", "3s", 2.0), 100).await;
    is_jittered(&one, SECOND);
    is_jittered(&two, 2 * SECOND);
    // More than the maximum, and less.
    is_jittered(&three, 3 * SECOND);
    is_jittered(&four, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_multiplier_below_1_makes_delays_shorter() {
    let [one, two, three, four] = measured(&delays("8s", "10s", 0.5), 100).await;
    for (delays, base) in [(one, 8), (two, 4), (three, 2), (four, 1)] {
        is_jittered(&delays, base * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn an_initial_backoff_above_the_maximum_is_cut_to_it() {
    let [one, two, ..] = measured(&delays("60s", "5s", 2.0), 100).await;
    is_jittered(&one, 5 * SECOND);
    is_jittered(&two, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_waits_for_nothing_and_each_call_begins_with_the_initial_backoff() {
    let servers = Servers::default();
    let builder = servers
        .builder(1)
        .service_config(delays("1s", "100s", 10.0).replace("5,", "9,"))
        .parse_options(capped(9));
    let client = Client::new(servers.build(builder).await);
    for _ in 0..3 {
        let before = servers.count();
        let start = tokio::time::Instant::now();
        servers.answer([(); 9].map(|()| Answer::fails(Code::Unavailable)));
        failure(&mut client.clone()).await;
        assert_eq!(servers.attempts()[before].at, start);
        let first = servers.delays()[before];
        assert!(first <= SECOND.mul_f64(1.201), "{first:?}");
    }
}

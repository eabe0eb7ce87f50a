use super::*;

const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What happens to one endpoint, and the factor that it has then.
#[derive(Clone, Copy, Debug)]
enum Event {
    Succeeds,
    Exhausted(u64),
    Unavailable(u64),
    /// So many milliseconds, in steps of 500 as the policy takes them.
    Pass(u64),
}

use Event::{Exhausted, Pass, Succeeds, Unavailable};

struct Endpoint {
    effective: Effective,
    counts: Counts,
    now: Instant,
    gets_calls_anyway: bool,
    may_go_out: bool,
}

impl Endpoint {
    fn new() -> Self {
        let counts = Counts {
            succeeded: 7,
            failed: 17,
            exhausted: 8,
            unavailable: 9,
        };
        #[expect(clippy::disallowed_methods, reason = "an origin")]
        let now = Instant::now();
        Self {
            effective: Effective::new(now, counts),
            counts,
            now,
            gets_calls_anyway: false,
            may_go_out: true,
        }
    }

    fn advance(&mut self, steps: u32) {
        let config = RegisteredWeightedRoundRobinConfig {
            probe_interval: PROBE_INTERVAL,
            ..Default::default()
        };
        self.counts.failed = self.counts.exhausted + self.counts.unavailable;
        let look = Look {
            now: self.now,
            counts: self.counts,
            steps,
            gets_calls_anyway: self.gets_calls_anyway,
            may_go_out: self.may_go_out,
        };
        self.effective.advance(look, &config);
    }

    fn after(&mut self, event: Event) -> f64 {
        match event {
            Succeeds => self.counts.succeeded += 1,
            Exhausted(count) => self.counts.exhausted += count,
            Unavailable(count) => self.counts.unavailable += count,
            Pass(mut millis) => {
                while millis >= 500 {
                    millis -= 500;
                    self.now += STEP;
                    self.advance(1);
                }
                self.now += Duration::from_millis(millis);
            }
        }
        self.advance(0);
        self.effective.factor()
    }
}

#[test]
fn the_weight_follows_what_attempts_end_with() {
    for (name, events) in [
        (
            "while nothing fails it is whole",
            &[(Succeeds, 1.0), (Pass(60_000), 1.0), (Succeeds, 1.0)][..],
        ),
        (
            "RESOURCE_EXHAUSTED halves, and 10 % per second come back",
            &[
                (Exhausted(1), 0.5),
                (Succeeds, 0.5),
                (Pass(499), 0.5),
                (Pass(500), 0.55),
                (Pass(500), 0.6),
                (Pass(3_500), 0.95),
                (Pass(60_000), 1.0),
            ],
        ),
        (
            "a burst of them halves once",
            &[
                (Exhausted(100), 0.5),
                (Exhausted(1), 0.5),
                (Pass(99), 0.5),
                (Exhausted(7), 0.5),
                (Pass(1), 0.5),
                (Exhausted(1), 0.25),
            ],
        ),
        (
            "they never take all",
            &[
                (Exhausted(1), 0.5),
                (Pass(100), 0.5),
                (Exhausted(1), 0.25),
                (Pass(100), 0.25),
                (Exhausted(1), 0.125),
                (Pass(100), 0.125),
                (Exhausted(1), 0.0625),
                (Pass(100), 0.0625),
                (Exhausted(1), 0.03125),
                (Pass(100), 0.03125),
                (Exhausted(1), 0.015_625),
                (Pass(100), 0.015_625),
                (Exhausted(1), 0.015_625),
            ],
        ),
        (
            "UNAVAILABLE takes out, and a success of a probe brings back",
            &[
                (Unavailable(2), 0.0),
                (Unavailable(5), 0.0),
                (Succeeds, 0.0),
                (Pass(999), 0.0),
                (Pass(1), 0.0625),
                (Pass(10_000), 0.0625),
                (Succeeds, 0.0625),
                (Pass(1_000), 0.1625),
                (Pass(60_000), 1.0),
            ],
        ),
        (
            "a probe that fails waits twice as long, for half a minute at most",
            &[
                (Unavailable(2), 0.0),
                (Pass(1_000), 0.0625),
                (Unavailable(1), 0.0),
                (Pass(1_999), 0.0),
                (Pass(1), 0.0625),
                (Unavailable(1), 0.0),
                (Pass(4_000), 0.0625),
                (Unavailable(1), 0.0),
                (Pass(8_000), 0.0625),
                (Unavailable(1), 0.0),
                (Pass(16_000), 0.0625),
                (Unavailable(1), 0.0),
                (Pass(30_000), 0.0625),
                (Unavailable(1), 0.0),
                (Pass(30_000), 0.0625),
            ],
        ),
        (
            "who came back waits for the first interval again",
            &[
                (Unavailable(2), 0.0),
                (Pass(1_000), 0.0625),
                (Unavailable(1), 0.0),
                (Pass(2_000), 0.0625),
                (Succeeds, 0.0625),
                (Unavailable(2), 0.0),
                (Pass(1_000), 0.0625),
            ],
        ),
        (
            "one UNAVAILABLE halves, and two in a row take out",
            &[(Unavailable(1), 0.5), (Unavailable(1), 0.0)],
        ),
        (
            "calls that are far apart are no less in a row",
            &[
                (Succeeds, 1.0),
                (Pass(60_000), 1.0),
                (Unavailable(1), 0.5),
                (Pass(10_000), 1.0),
                (Unavailable(1), 0.0),
            ],
        ),
        (
            "UNAVAILABLE takes out when half of the attempts of a second end with it",
            &[
                (Succeeds, 1.0),
                (Succeeds, 1.0),
                (Succeeds, 1.0),
                (Unavailable(1), 0.5),
                (Pass(100), 0.5),
                (Unavailable(1), 0.25),
                (Unavailable(1), 0.0),
            ],
        ),
        (
            "being exhausted says nothing of a probe",
            &[
                (Unavailable(2), 0.0),
                (Exhausted(1), 0.0),
                (Pass(1_000), 0.0625),
                (Exhausted(1), 0.0625),
            ],
        ),
    ] {
        let mut endpoint = Endpoint::new();
        for (step, (event, factor)) in events.iter().enumerate() {
            let actual = endpoint.after(*event);
            assert!(
                (actual - factor).abs() < 1e-9,
                "{name}, {step}: {event:?} makes {actual}"
            );
        }
    }
}

#[test]
fn an_endpoint_that_gets_calls_although_it_is_out_comes_back_with_its_first_success() {
    let mut endpoint = Endpoint::new();
    endpoint.after(Unavailable(2));
    endpoint.gets_calls_anyway = true;
    endpoint.counts.unavailable += 1;
    assert!(endpoint.after(Succeeds) <= 0.0, "as many fail");
    assert!((endpoint.after(Succeeds) - PROBE).abs() < 1e-9);
    assert!(!endpoint.effective.is_doubtful());
}

#[test]
fn what_is_doubtful_and_when_to_look_again() {
    let next_step = |endpoint: &Endpoint| endpoint.now + STEP;
    let mut endpoint = Endpoint::new();
    let look = |endpoint: &Endpoint| {
        let wake_at = endpoint.effective.wake_at(next_step(endpoint));
        (
            endpoint.effective.is_doubtful(),
            wake_at.map(|at| at - endpoint.now),
        )
    };
    assert_eq!(look(&endpoint), (false, None));
    endpoint.after(Exhausted(1));
    assert_eq!(look(&endpoint), (false, Some(STEP)));
    for _ in 0..5 {
        endpoint.after(Pass(100));
        endpoint.after(Exhausted(1));
    }
    assert_eq!(look(&endpoint), (true, Some(STEP)), "at the floor");
    endpoint.after(Unavailable(9));
    assert_eq!(look(&endpoint), (true, Some(PROBE_INTERVAL)));
    endpoint.after(Pass(1_000));
    assert_eq!(look(&endpoint), (true, None), "probing");
    endpoint.after(Succeeds);
    assert_eq!(look(&endpoint), (false, Some(STEP)));
    endpoint.after(Pass(9_500));
    assert_eq!(look(&endpoint), (false, None));
}

#[test]
fn who_may_not_go_out_is_halved_and_doubtful_until_a_success() {
    let mut endpoint = Endpoint::new();
    endpoint.may_go_out = false;
    for factor in [0.5, 0.25, 0.125] {
        assert!((endpoint.after(Unavailable(5)) - factor).abs() < 1e-9);
        assert!(endpoint.effective.is_doubtful());
        endpoint.now += BURST;
    }
    endpoint.now += WINDOW;
    endpoint.after(Succeeds);
    assert!(!endpoint.effective.is_doubtful());
}

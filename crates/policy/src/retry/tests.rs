use std::time::{Duration, Instant};

use evenkeel_core::Progress;
use proptest::prelude::*;
use tonic::Code;

use super::*;
use crate::throttle::{Throttle, ThrottleConfig};

const MIDDLE: u64 = 1 << 63;

fn policy(max_attempts: u32) -> RetryPolicy {
    RetryPolicy::new(
        max_attempts,
        Duration::from_millis(100),
        Duration::from_secs(1),
        2.0,
        CodeSet::of(&[Code::Unavailable, Code::DeadlineExceeded]),
    )
}

fn unavailable() -> Failure {
    Failure::new(Code::Unavailable)
}

fn with_progress(progress: Progress) -> Failure {
    Failure {
        progress,
        ..unavailable()
    }
}

fn with_pushback(pushback: Pushback) -> Failure {
    Failure {
        pushback,
        ..unavailable()
    }
}

/// Any moment will do; the decisions only compare.
#[expect(clippy::disallowed_methods, reason = "an Instant has no constant")]
fn now() -> Instant {
    Instant::now()
}

fn state(max_attempts: u32) -> RetryState {
    RetryState::new(Some(policy(max_attempts)), None)
}

fn decide(state: &mut RetryState, failure: Failure) -> RetryDecision {
    state.on_failure(now(), &failure, None, MIDDLE)
}

fn retry(millis: u64) -> RetryDecision {
    RetryDecision::Retry(Duration::from_millis(millis))
}

#[test]
fn attempts_end_at_max_attempts_with_growing_delays() {
    let mut call = state(4);
    assert_eq!(call.attempt(), 1);
    assert_eq!(decide(&mut call, unavailable()), retry(100));
    assert_eq!(decide(&mut call, unavailable()), retry(200));
    assert_eq!(decide(&mut call, unavailable()), retry(400));
    assert_eq!(call.attempt(), 4);
    assert_eq!(
        decide(&mut call, unavailable()),
        RetryDecision::Stop(Stop::Attempts)
    );
}

#[test]
fn the_cap_comes_before_the_jitter() {
    let policy = policy(10);
    assert_eq!(policy.backoff(5), Duration::from_secs(1));
    assert_eq!(policy.jittered_backoff(5, 0), Duration::from_millis(800));
    assert!(policy.jittered_backoff(5, u64::MAX) > Duration::from_millis(1199));
    assert!(policy.jittered_backoff(5, u64::MAX) <= Duration::from_millis(1200));
}

#[test]
fn an_initial_backoff_above_the_maximum_is_cut() {
    let mut policy = policy(5);
    policy.initial_backoff = Duration::from_secs(9);
    assert_eq!(policy.backoff(1), Duration::from_secs(1));
}

#[test]
fn only_listed_codes_are_retried() {
    assert_eq!(
        decide(&mut state(4), Failure::new(Code::Internal)),
        RetryDecision::Stop(Stop::Code)
    );
    assert_eq!(
        decide(&mut state(4), Failure::new(Code::DeadlineExceeded)),
        retry(100),
        "a server's DEADLINE_EXCEEDED is a code like any other"
    );
}

#[test]
fn nothing_is_retried_without_a_policy_but_what_no_server_saw() {
    let mut call = RetryState::new(None, None);
    assert_eq!(
        decide(&mut call, with_progress(Progress::NotSent)),
        RetryDecision::Transparent
    );
    assert_eq!(
        decide(&mut call, with_progress(Progress::Refused)),
        RetryDecision::Transparent
    );
    assert_eq!(
        decide(&mut call, with_progress(Progress::Refused)),
        RetryDecision::Stop(Stop::NoPolicy)
    );
    assert_eq!(
        decide(&mut call, with_progress(Progress::Sent)),
        RetryDecision::Stop(Stop::NoPolicy)
    );
    assert_eq!(call.attempt(), 1, "transparent attempts do not count");
}

#[test]
fn a_second_refusal_is_the_policys_business() {
    let mut call = state(2);
    let refused = with_progress(Progress::Refused);
    assert_eq!(decide(&mut call, refused), RetryDecision::Transparent);
    assert_eq!(decide(&mut call, refused), retry(100));
    assert_eq!(
        decide(&mut call, refused),
        RetryDecision::Stop(Stop::Attempts)
    );
}

#[test]
fn an_unsent_attempt_does_not_spin_for_ever() {
    let mut call = state(2);
    let unsent = with_progress(Progress::NotSent);
    for _ in 0..1_000 {
        assert_eq!(decide(&mut call, unsent), RetryDecision::Transparent);
    }
    assert_eq!(decide(&mut call, unsent), retry(100));
}

#[test]
fn pushback_sets_the_delay_and_starts_the_sequence_again() {
    let mut call = state(5);
    decide(&mut call, unavailable());
    decide(&mut call, unavailable());
    let pushback = with_pushback(Pushback::After(Duration::from_secs(7)));
    assert_eq!(decide(&mut call, pushback), retry(7_000), "not capped");
    assert_eq!(decide(&mut call, unavailable()), retry(100));
}

#[test]
fn pushback_adds_no_attempts_and_no_codes() {
    let pushback = Pushback::After(Duration::ZERO);
    let mut call = state(2);
    assert_eq!(decide(&mut call, with_pushback(pushback)), retry(0));
    assert_eq!(
        decide(&mut call, with_pushback(pushback)),
        RetryDecision::Stop(Stop::Attempts)
    );
    let other = Failure {
        pushback,
        ..Failure::new(Code::Internal)
    };
    assert_eq!(
        decide(&mut state(2), other),
        RetryDecision::Stop(Stop::Code)
    );
}

#[test]
fn pushback_is_one_number_or_it_stops() {
    for (values, expected) in [
        (&[][..], Pushback::None),
        (&["0"], Pushback::After(Duration::ZERO)),
        (&["1500"], Pushback::After(Duration::from_millis(1500))),
        (
            &["2147483647"],
            Pushback::After(Duration::from_millis(2_147_483_647)),
        ),
        (&["2147483648"], Pushback::Stop),
        (&["-1"], Pushback::Stop),
        (&[""], Pushback::Stop),
        (&["xxx"], Pushback::Stop),
        (&["10.5"], Pushback::Stop),
        (&["+5"], Pushback::Stop),
        (&[" 5"], Pushback::Stop),
        (&["5", "5"], Pushback::Stop),
    ] {
        let bytes = values.iter().map(|value| value.as_bytes());
        assert_eq!(Pushback::parse(bytes), expected, "{values:?}");
    }
}

#[test]
fn a_throttled_call_stops_and_every_qualified_failure_costs() {
    let throttle = Throttle::new(ThrottleConfig::new(3_000, 1));
    let decide = |failure: Failure| {
        let decision = state(5).on_failure(now(), &failure, Some(&throttle), MIDDLE);
        (decision, throttle.milli_tokens())
    };
    assert_eq!(decide(unavailable()), (retry(100), 2_000));
    assert_eq!(
        decide(Failure::new(Code::NotFound)),
        (RetryDecision::Stop(Stop::Code), 2_000)
    );
    assert_eq!(
        decide(with_progress(Progress::Refused)),
        (RetryDecision::Transparent, 2_000)
    );
    assert_eq!(
        decide(unavailable()),
        (RetryDecision::Stop(Stop::Throttled), 1_000)
    );
    let told_to_stop = Failure {
        pushback: Pushback::Stop,
        ..Failure::new(Code::NotFound)
    };
    assert_eq!(
        decide(told_to_stop),
        (RetryDecision::Stop(Stop::Code), 0),
        "a do-not-retry costs with any code"
    );
}

#[test]
fn the_last_attempt_costs_a_token_too() {
    let throttle = Throttle::new(ThrottleConfig::new(10_000, 1));
    let mut call = state(2);
    call.on_failure(now(), &unavailable(), Some(&throttle), MIDDLE);
    call.on_failure(now(), &unavailable(), Some(&throttle), MIDDLE);
    assert_eq!(throttle.milli_tokens(), 8_000);
}

#[test]
fn methods_without_a_policy_cost_nothing() {
    let throttle = Throttle::new(ThrottleConfig::new(10_000, 1));
    let mut call = RetryState::new(None, None);
    call.on_failure(now(), &unavailable(), Some(&throttle), MIDDLE);
    assert_eq!(throttle.milli_tokens(), 10_000);
}

#[test]
fn a_committed_call_is_not_even_retried_transparently() {
    for progress in [Progress::NotSent, Progress::Refused, Progress::Sent] {
        let mut call = state(5);
        call.commit();
        assert_eq!(
            decide(&mut call, with_progress(progress)),
            RetryDecision::Stop(Stop::Committed)
        );
    }
}

#[test]
fn deadline_and_final_failures_come_first() {
    let start = now();
    let mut call = RetryState::new(Some(policy(5)), Some(start));
    assert_eq!(
        call.on_failure(start, &with_progress(Progress::NotSent), None, MIDDLE),
        RetryDecision::Stop(Stop::Deadline)
    );
    let local = Failure {
        is_final: true,
        ..Failure::new(Code::DeadlineExceeded)
    };
    assert_eq!(
        decide(&mut state(5), local),
        RetryDecision::Stop(Stop::Final)
    );
}

fn any_failure() -> impl Strategy<Value = Failure> {
    let code = (1_i32..17).prop_map(Code::from);
    let progress = prop::sample::select(&[Progress::NotSent, Progress::Refused, Progress::Sent]);
    let pushback = prop_oneof![
        5 => Just(Pushback::None),
        1 => (0_u64..5_000).prop_map(|it| Pushback::After(Duration::from_millis(it))),
        1 => Just(Pushback::Stop),
    ];
    (code, progress, pushback, prop::bool::weighted(0.05)).prop_map(
        |(code, progress, pushback, is_final)| Failure {
            code,
            progress,
            pushback,
            is_final,
        },
    )
}

proptest! {
    #[test]
    fn a_call_never_exceeds_its_attempts_and_its_delays_their_bounds(
        max_attempts in 2_u32..8,
        failures in prop::collection::vec(any_failure(), 1..40),
        random in any::<u64>(),
    ) {
        let mut call = state(max_attempts);
        let mut retries = 0;
        let mut refusals = 0;
        for failure in failures {
            match call.on_failure(now(), &failure, None, random) {
                RetryDecision::Retry(delay) => {
                    retries += 1;
                    prop_assert!(call.attempt() == 1 + retries);
                    prop_assert!(policy(2).retryable_codes.contains(failure.code));
                    if let Pushback::After(asked) = failure.pushback {
                        prop_assert_eq!(delay, asked);
                    } else {
                        prop_assert!(delay >= Duration::from_millis(80));
                        prop_assert!(delay <= Duration::from_millis(1_200));
                    }
                }
                RetryDecision::Transparent => {
                    prop_assert!(failure.progress != Progress::Sent);
                    refusals += u32::from(failure.progress == Progress::Refused);
                }
                RetryDecision::Stop(_) => break,
            }
        }
        prop_assert!(retries < max_attempts);
        prop_assert!(refusals <= 1);
    }

    #[test]
    fn backoff_never_panics(
        initial in any::<u64>(),
        max in any::<u64>(),
        multiplier in prop::num::f64::POSITIVE,
        number in any::<u32>(),
        random in any::<u64>(),
    ) {
        let policy = RetryPolicy::new(
            5,
            Duration::from_nanos(initial),
            Duration::from_secs(max),
            multiplier,
            CodeSet::default(),
        );
        prop_assert!(policy.backoff(number) <= policy.max_backoff);
        let _any = policy.jittered_backoff(number, random);
    }
}

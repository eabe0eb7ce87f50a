use std::time::{Duration, Instant};

use evenkeel_core::Progress;
use proptest::prelude::*;
use tonic::Code;

use super::*;
use crate::retry::{Failure, Pushback, Stop};
use crate::throttle::{Throttle, ThrottleConfig};

const DELAY: Duration = Duration::from_millis(100);

fn policy(max_attempts: u32) -> HedgingPolicy {
    HedgingPolicy::new(max_attempts, DELAY, CodeSet::of(&[Code::Unavailable]))
}

/// Any moment will do; the decisions only compare.
#[expect(clippy::disallowed_methods, reason = "an Instant has no constant")]
fn now() -> Instant {
    Instant::now()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn unavailable() -> Failure {
    Failure::new(Code::Unavailable)
}

fn pushed_back(pushback: Pushback) -> Failure {
    Failure {
        pushback,
        ..unavailable()
    }
}

fn call(max_attempts: u32) -> (HedgeState, Instant) {
    let now = now();
    (HedgeState::new(policy(max_attempts), now), now)
}

#[test]
fn an_attempt_starts_each_delay_until_there_are_enough() {
    let (mut call, start) = call(3);
    assert_eq!(call.next_at(), Some(start + DELAY));
    assert_eq!(call.start(start + millis(99), None), HedgeStart::No);
    assert_eq!(call.start(start + DELAY, None), HedgeStart::Yes(2));
    assert_eq!(call.next_at(), Some(start + 2 * DELAY));
    // The next one is counted from the start of this one.
    assert_eq!(call.start(start + millis(230), None), HedgeStart::Yes(3));
    assert_eq!(call.next_at(), None);
    assert_eq!(call.start(start + millis(900), None), HedgeStart::No);
    assert_eq!(call.running(), 3);
}

#[test]
fn without_a_delay_all_start_at_once() {
    let mut policy = policy(3);
    policy.hedging_delay = Duration::ZERO;
    let now = now();
    let mut call = HedgeState::new(policy, now);
    assert_eq!(call.start(now, None), HedgeStart::Yes(2));
    assert_eq!(call.start(now, None), HedgeStart::Yes(3));
    assert_eq!(call.start(now, None), HedgeStart::No);
}

#[test]
fn a_failure_that_is_not_fatal_starts_the_next_at_once_and_the_cadence_goes_on_from_there() {
    let (mut call, start) = call(4);
    let failed = start + millis(30);
    assert_eq!(
        call.on_failure(failed, &unavailable(), None),
        HedgeDecision::Wait
    );
    assert_eq!(call.next_at(), Some(failed));
    assert_eq!(call.start(failed, None), HedgeStart::Yes(2));
    assert_eq!(call.next_at(), Some(failed + DELAY));
}

#[test]
fn a_fatal_failure_ends_the_call_whatever_is_running() {
    let (mut call, start) = call(3);
    call.start(start + DELAY, None);
    assert_eq!(
        call.on_failure(start + DELAY, &Failure::new(Code::NotFound), None),
        HedgeDecision::Stop(Stop::Code)
    );
    assert_eq!(call.next_at(), None);
}

#[test]
fn without_listed_codes_every_failure_is_fatal() {
    let policy = HedgingPolicy::new(3, DELAY, CodeSet::default());
    let now = now();
    let mut call = HedgeState::new(policy, now);
    assert_eq!(
        call.on_failure(now, &unavailable(), None),
        HedgeDecision::Stop(Stop::Code)
    );
}

#[test]
fn the_last_failure_is_the_calls() {
    let (mut call, now) = call(2);
    call.start(now + DELAY, None);
    assert_eq!(
        call.on_failure(now, &unavailable(), None),
        HedgeDecision::Wait
    );
    assert_eq!(call.next_at(), None, "there have been enough");
    assert_eq!(
        call.on_failure(now, &unavailable(), None),
        HedgeDecision::Stop(Stop::Attempts)
    );
}

#[test]
fn a_pushback_puts_the_next_one_off_and_the_one_after_follows_the_delay() {
    let (mut call, start) = call(4);
    call.start(start + DELAY, None);
    let failed = start + millis(120);
    let later = pushed_back(Pushback::After(millis(700)));
    assert_eq!(call.on_failure(failed, &later, None), HedgeDecision::Wait);
    assert_eq!(call.start(start + 2 * DELAY, None), HedgeStart::No);
    let next = failed + millis(700);
    assert_eq!(call.next_at(), Some(next));
    assert_eq!(call.start(next, None), HedgeStart::Yes(3));
    assert_eq!(call.next_at(), Some(next + DELAY));
}

#[test]
fn a_pushback_that_stops_lets_the_others_win() {
    let (mut call, start) = call(4);
    call.start(start + DELAY, None);
    let stop = pushed_back(Pushback::Stop);
    assert_eq!(call.on_failure(start, &stop, None), HedgeDecision::Wait);
    assert_eq!(call.next_at(), None);
    assert_eq!(
        call.on_failure(start, &unavailable(), None),
        HedgeDecision::Stop(Stop::Pushback),
        "nothing starts after it, whatever fails later"
    );
}

#[test]
fn a_pushback_that_stops_the_only_attempt_ends_the_call() {
    let (mut call, now) = call(4);
    assert_eq!(
        call.on_failure(now, &pushed_back(Pushback::Stop), None),
        HedgeDecision::Stop(Stop::Pushback)
    );
}

#[test]
fn every_failure_that_counts_costs_a_token_and_too_few_of_them_start_nothing() {
    let throttle = Throttle::new(ThrottleConfig::new(4_000, 1));
    let (mut call, start) = call(5);
    call.start(start + DELAY, Some(&throttle));
    let now = start + DELAY;
    let tokens = || throttle.milli_tokens();
    assert_eq!(
        call.on_failure(now, &unavailable(), Some(&throttle)),
        HedgeDecision::Wait
    );
    assert_eq!(tokens(), 3_000);
    assert_eq!(call.start(now, Some(&throttle)), HedgeStart::Yes(3));
    assert_eq!(
        call.on_failure(now, &unavailable(), Some(&throttle)),
        HedgeDecision::Wait
    );
    assert_eq!((tokens(), call.next_at()), (2_000, None));
    assert_eq!(
        call.on_failure(now, &unavailable(), Some(&throttle)),
        HedgeDecision::Stop(Stop::Throttled)
    );
    assert_eq!(tokens(), 1_000);
}

#[test]
fn a_fatal_failure_costs_nothing_unless_it_says_stop() {
    let throttle = Throttle::new(ThrottleConfig::new(4_000, 1));
    let fatal = Failure::new(Code::NotFound);
    call(2).0.on_failure(now(), &fatal, Some(&throttle));
    assert_eq!(throttle.milli_tokens(), 4_000);
    let stop = Failure {
        pushback: Pushback::Stop,
        ..fatal
    };
    call(2).0.on_failure(now(), &stop, Some(&throttle));
    assert_eq!(throttle.milli_tokens(), 3_000);
}

#[test]
fn a_throttle_that_empties_while_a_call_waits_ends_it_with_its_last_failure() {
    let throttle = Throttle::new(ThrottleConfig::new(4_000, 1));
    let (mut call, now) = call(5);
    let later = pushed_back(Pushback::After(DELAY));
    assert_eq!(
        call.on_failure(now, &later, Some(&throttle)),
        HedgeDecision::Wait
    );
    throttle.on_failure();
    assert_eq!(
        call.start(now + DELAY, Some(&throttle)),
        HedgeStart::Stop(Stop::Throttled)
    );
}

#[test]
fn the_first_attempt_is_never_throttled_and_a_hedge_that_is_leaves_it_alone() {
    let throttle = Throttle::new(ThrottleConfig::new(2_000, 1));
    throttle.on_failure();
    let (mut call, start) = call(3);
    assert_eq!(call.running(), 1);
    assert_eq!(call.start(start + DELAY, Some(&throttle)), HedgeStart::No);
    assert_eq!(call.next_at(), None);
}

#[test]
fn what_no_server_has_seen_is_sent_again_and_a_second_refusal_counts() {
    let (mut call, now) = call(2);
    let with = |progress| Failure {
        progress,
        ..unavailable()
    };
    let unsent = with(Progress::NotSent);
    let refused = with(Progress::Refused);
    assert_eq!(
        call.on_failure(now, &unsent, None),
        HedgeDecision::Transparent
    );
    assert_eq!(
        call.on_failure(now, &refused, None),
        HedgeDecision::Transparent
    );
    assert_eq!(call.running(), 1);
    assert_eq!(call.on_failure(now, &refused, None), HedgeDecision::Wait);
    assert_eq!(call.start(now, None), HedgeStart::Yes(2));
}

#[test]
fn a_refusal_of_this_side_ends_its_attempt_and_the_call_only_when_it_is_alone() {
    let refused = Failure {
        is_final: true,
        ..unavailable()
    };
    let (mut call, start) = call(3);
    call.start(start + DELAY, None);
    assert_eq!(
        call.on_failure(start + DELAY, &refused, None),
        HedgeDecision::Wait
    );
    assert_eq!(call.next_at(), None);
    assert_eq!(
        call.on_failure(start + DELAY, &refused, None),
        HedgeDecision::Stop(Stop::Final)
    );
}

#[test]
fn a_committed_call_lives_and_dies_with_its_one_attempt() {
    let (mut call, start) = call(4);
    call.start(start + DELAY, None);
    call.start(start + 2 * DELAY, None);
    call.commit();
    assert_eq!((call.running(), call.next_at()), (1, None));
    let unsent = Failure {
        progress: Progress::NotSent,
        ..unavailable()
    };
    assert_eq!(
        call.on_failure(start, &unsent, None),
        HedgeDecision::Stop(Stop::Committed)
    );
}

#[test]
fn a_call_that_is_committed_after_it_was_frozen_is_not_sent_again_either() {
    let (mut call, start) = call(2);
    call.start(start + DELAY, None);
    call.on_failure(start, &unavailable(), None);
    call.commit();
    for progress in [Progress::NotSent, Progress::Refused, Progress::Sent] {
        let failure = Failure {
            progress,
            ..unavailable()
        };
        assert_eq!(
            call.clone().on_failure(start, &failure, None),
            HedgeDecision::Stop(Stop::Committed)
        );
    }
}

#[test]
fn the_delay_counts_from_when_an_attempt_has_found_its_place() {
    let (mut call, start) = call(3);
    call.placed(start + 5 * DELAY);
    assert_eq!(call.next_at(), Some(start + 6 * DELAY));
    let later = pushed_back(Pushback::After(9 * DELAY));
    call.on_failure(start + 5 * DELAY, &later, None);
    call.placed(start + 5 * DELAY);
    assert_eq!(call.next_at(), Some(start + 14 * DELAY), "no sooner");
    call.commit();
    call.placed(start);
    assert_eq!(call.next_at(), None);
}

proptest! {
    #[test]
    fn a_call_starts_no_more_than_its_attempts_and_always_knows_what_comes_next(
        max_attempts in 2_u32..7,
        delay in 0_u64..300,
        steps in prop::collection::vec((0_u64..200, any::<bool>(), 0_u8..6), 1..60),
    ) {
        let mut policy = policy(max_attempts);
        policy.hedging_delay = millis(delay);
        let mut now = now();
        let mut call = HedgeState::new(policy, now);
        let mut started = 1;
        for (pause, fails, kind) in steps {
            now += millis(pause);
            while let HedgeStart::Yes(number) = call.start(now, None) {
                started += 1;
                prop_assert_eq!(number, started);
            }
            prop_assert!(started <= max_attempts);
            prop_assert!(call.running() <= started);
            if fails && call.running() > 0 {
                let failure = match kind {
                    0 => Failure::new(Code::NotFound),
                    1 => pushed_back(Pushback::Stop),
                    2 => pushed_back(Pushback::After(millis(50))),
                    3 => Failure { is_final: true, ..unavailable() },
                    _ => unavailable(),
                };
                if let HedgeDecision::Stop(_) = call.on_failure(now, &failure, None) {
                    prop_assert_eq!(call.next_at(), None);
                    break;
                }
            }
            // A call that is not over has something to wait for.
            prop_assert!(call.running() > 0 || call.next_at().is_some());
        }
    }
}

//! Calls for which nothing else is left.

use super::*;

fn last_resort() -> BreakerConfig {
    BreakerConfig {
        last_resort: true,
        ..config()
    }
}

fn trip_it(watched: &Watched) {
    let refused = Outcome::Failure(Code::Unavailable);
    for _ in 0..config().consecutive_failures {
        let (_sender, admission) = watched.breaker.admit(Admit::Normally).unwrap();
        watched.breaker.settle(admission, refused, "server lost");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_passed_when_nothing_else_is_left_only_if_its_config_says_so() {
    for (config, passes) in [(config(), false), (last_resort(), true)] {
        let mut watched = watched_with(config);
        watched.is(Ready);
        watched.next().await;
        trip_it(&watched);
        let report = watched.next().await;
        assert_eq!(report.state, TransientFailure);
        assert!(report.connected);
        assert_eq!(report.held_back, passes);
        assert!(watched.breaker.admit(Admit::Normally).is_err());
        assert_eq!(watched.breaker.admit(Admit::LastResort).is_ok(), passes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_resort_counts_for_nothing_and_the_probe_still_decides() {
    let mut watched = watched_with(last_resort());
    watched.is(Ready);
    watched.report().await;
    trip_it(&watched);
    watched.report().await;
    // Neither closes it nor keeps it open for longer.
    for outcome in [Outcome::Success, Outcome::Failure(Code::Unavailable)] {
        let (_sender, passed) = watched.breaker.admit(Admit::LastResort).unwrap();
        watched.breaker.settle(passed, outcome, "");
    }
    watched.nothing_new();
    assert_eq!(watched.report().await, (Ready, HalfOpen, None));

    let (_sender, probe) = watched.breaker.admit(Admit::LastResort).unwrap();
    let (_sender, beside) = watched.breaker.admit(Admit::LastResort).unwrap();
    watched
        .breaker
        .settle(beside, Outcome::Failure(Code::Unavailable), "");
    watched.breaker.settle(probe, Outcome::Success, "");
    let last = loop {
        let report = watched.report().await;
        if report.1 == Closed {
            break report;
        }
    };
    assert_eq!(last, (Ready, Closed, None));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_was_opened_by_hand_refuses_whatever_the_need() {
    let mut watched = watched_with(last_resort());
    watched.is(Ready);
    watched.next().await;
    watched.breaker.handle().hold_open();
    let report = watched.next().await;
    assert_eq!((report.state, report.held_back), (TransientFailure, false));
    assert!(watched.breaker.admit(Admit::LastResort).is_err());
}

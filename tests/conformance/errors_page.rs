//! docs/errors.md: what each code does, cell by cell.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use evenkeel_core::ConnectivityState::Ready;
use evenkeel_core::error::code_name;
use evenkeel_core::{CodeSet, EndpointStats, LatencyConfig, Outcome};
use evenkeel_policy::breaker::{BreakerConfig, Verdict};
use evenkeel_policy::retry::{Failure, RetryDecision, RetryPolicy, RetryState, Stop};
use evenkeel_policy::script::Script;
use tonic::Code;

use crate::a6_throttling::throttled::{Throttled, throttled};
use crate::chosen::policy;
use crate::servers::{Answer, call, failure};

const PAGE: &str = include_str!("../../docs/errors.md");

/// The rows of the first table whose head begins with `first`, by the columns' names.
fn table(first: &str) -> Vec<HashMap<&'static str, &'static str>> {
    let mut lines = PAGE.lines().map(|line| {
        let cells = line.trim().trim_matches('|').split('|').map(str::trim);
        cells.collect::<Vec<_>>()
    });
    let head = lines.find(|cells| cells[0] == first).unwrap();
    let rows = lines.skip(1).take_while(|cells| cells.len() == head.len());
    rows.map(|cells| head.iter().copied().zip(cells).collect())
        .collect()
}

fn codes() -> impl Iterator<Item = Code> {
    (0..17).map(Code::from_i32)
}

/// Compares a column with what the code does.
#[track_caller]
fn column(name: &str, does: impl Fn(Code) -> &'static str) {
    let rows = table("code");
    assert_eq!(rows.len(), 17);
    for (row, code) in rows.iter().zip(codes()) {
        assert_eq!(row["code"].trim_matches('`'), code_name(code));
        assert_eq!(row[name], does(code), "{name} of {}", code_name(code));
    }
}

fn outcome(code: Code) -> Outcome {
    code.into()
}

/// What a retry policy that lists these codes makes of a failed first attempt.
fn decision(listed: CodeSet, code: Code) -> RetryDecision {
    let second = Duration::from_secs(1);
    let policy = RetryPolicy::new(2, second, second, 1.0, listed);
    let now = Script::new(&[]).now();
    let mut call = RetryState::new(Some(policy), None);
    call.on_failure(now, &Failure::new(code), None, 0)
}

fn others(code: Code) -> CodeSet {
    codes().filter(|other| *other != code).collect()
}

#[test]
fn what_is_retried() {
    column("retried", |code| match code {
        // No failure to begin with.
        Code::Ok => "no",
        code => {
            let unlisted = decision(others(code), code);
            assert_eq!(unlisted, RetryDecision::Stop(Stop::Code));
            let listed = decision(CodeSet::of(&[code]), code);
            assert!(matches!(listed, RetryDecision::Retry(_)), "{listed:?}");
            let now = Script::new(&[]).now();
            let without = RetryState::new(None, None).on_failure(now, &Failure::new(code), None, 0);
            assert_eq!(without, RetryDecision::Stop(Stop::NoPolicy));
            "if listed"
        }
    });
}

/// How many of ten tokens a call leaves that a server answers with this code: 6 to 8, as the attempts
/// of the next one tell. Before it there are seven.
async fn left_by(code: Code, is_listed: bool) -> usize {
    // What tells the tokens is listed in any case.
    let (told_by, tells): (Code, fn() -> Answer) = match code {
        Code::Unavailable => (Code::Aborted, || Answer::fails(Code::Aborted)),
        _ => (Code::Unavailable, || Answer::fails(Code::Unavailable)),
    };
    let listed = match is_listed {
        true => format!("{}\", \"{}", code_name(told_by), code_name(code)),
        false => code_name(told_by).to_owned(),
    };
    let mut calls = Throttled::of(&throttled(10, "1").replace("UNAVAILABLE", &listed)).await;
    calls.spend(3).await;
    match code {
        Code::Ok => drop(call(&mut calls.client).await.unwrap()),
        code => {
            // Its retry, if there is one, ends with a code that costs nothing.
            let last = match code {
                Code::NotFound => Code::OutOfRange,
                _ => Code::NotFound,
            };
            let answers = [Answer::fails(code), Answer::fails(last)];
            let attempts = if is_listed { 2 } else { 1 };
            calls.servers.answer(answers.into_iter().take(attempts));
            failure(&mut calls.client).await;
        }
    }
    calls.attempts_by(tells).await + 5
}

#[tokio::test(start_paused = true)]
async fn what_costs_a_token() {
    let mut cells = Vec::new();
    for code in codes() {
        cells.push(match code {
            Code::Ok => {
                assert_eq!(left_by(code, false).await, 8);
                "gives"
            }
            code => {
                assert_eq!(left_by(code, false).await, 7, "{code:?}");
                assert_eq!(left_by(code, true).await, 6, "{code:?}");
                "if listed"
            }
        });
    }
    column("throttle token", |code| cells[code as usize]);
}

#[test]
fn what_a_breaker_counts() {
    let config = BreakerConfig::default();
    column("breaker", |code| match config.verdict(outcome(code)) {
        Verdict::Success => "success",
        Verdict::Failure => "failure",
        Verdict::Nothing => "nothing",
    });
}

#[test]
fn what_outlier_detection_counts() {
    let config = r#"{"maxEjectionPercent": 100, "failurePercentageEjection": {},
        "childPolicy": [{"round_robin": {}}]}"#;
    column("outlier detection", |code| {
        let mut policy = policy("outlier_detection_experimental", config);
        let mut script = Script::new(&[Ready; 5]);
        script.update(&mut *policy);
        for id in 1..5 {
            script.end(id, 100, Outcome::Success);
        }
        script.end(0, 100, outcome(code));
        script.advance(Duration::from_secs(10));
        match script.update(&mut *policy).ejected.len() {
            0 => "success",
            1 => "failure",
            more => panic!("{more} are ejected"),
        }
    });
}

#[test]
fn what_takes_weight() {
    /// How many of 100 picks go to the first of two equal endpoints after some ends.
    fn share(code: Code, ends: usize) -> usize {
        let mut policy = policy("evenkeel.registered_weighted_round_robin", "{}");
        let mut script = Script::new(&[Ready; 3]);
        script.update(&mut *policy);
        script.end(1, 10, Outcome::Success);
        script.end(2, 10, Outcome::Success);
        script.end(0, ends, outcome(code));
        let update = script.update(&mut *policy);
        let picks = script.picks(&*update.picker, 300);
        picks.into_iter().filter(|id| *id == 0).count()
    }
    column("registered weight", |code| {
        match (share(code, 1), share(code, 10)) {
            (100, 100) => "stays",
            (60, 60) => "halved",
            (60, 0) => "halved, then out",
            other => panic!("{code:?}: {other:?}"),
        }
    });
}

#[test]
fn what_latency_is_taken_for() {
    let config = LatencyConfig::default();
    let now: Instant = Script::new(&[]).now();
    column("fastest response", |code| {
        let stats = EndpointStats::default();
        let took = Duration::from_millis(7);
        stats.record_latency(now, took, outcome(code), &config);
        match stats.latency() {
            None => "nothing",
            Some(latency) if latency == took => "its latency",
            Some(latency) => {
                assert!(latency >= config.failure_floor, "{latency:?}");
                "slow"
            }
        }
    });
}

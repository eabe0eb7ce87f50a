//! gRFC A6 (throttling of retries).
//!
//! The tokens themselves are not to be seen. But of ten, calls may be retried while more than five
//! are left, so a call that fails to the end tells with its attempts how many there were.

pub(crate) mod throttled;

use std::time::Duration;

use evenkeel::ConnectivityState;
use tokio::time::Instant;
use tonic::Code;

use crate::servers::{Answer, Client, call, failure, ready};
use throttled::{Throttled, stop, throttled};

#[tokio::test(start_paused = true)]
async fn retries_stop_when_no_more_than_half_of_the_tokens_are_left() {
    // Each failure costs one before it is looked at, that of a last attempt as well.
    for (max, expected) in [
        (1, [1, 1, 1]),
        (2, [1, 1, 1]),
        (3, [2, 1, 1]),
        (4, [2, 1, 1]),
        (5, [3, 1, 1]),
        (10, [4, 1, 1]),
        (12, [4, 2, 1]),
        (1000, [4, 4, 4]),
    ] {
        let mut calls = Throttled::new(max, "0.001").await;
        let mut attempts = [0; 3];
        for of_call in &mut attempts {
            *of_call = calls.attempts().await;
        }
        assert_eq!(attempts, expected, "of {max} tokens");
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_with_a_listed_code_costs_one() {
    for spent in 2..=4 {
        let mut calls = Throttled::new(10, "0.001").await;
        calls.spend(spent).await;
        calls.assert_left(10 - spent).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_another_code_costs_nothing() {
    let mut calls = Throttled::new(10, "0.001").await;
    calls.spend(2).await;
    for code in [Code::NotFound, Code::Internal, Code::DeadlineExceeded] {
        calls.servers.answer([Answer::fails(code)]);
        failure(&mut calls.client).await;
    }
    calls.assert_left(8).await;
}

#[tokio::test(start_paused = true)]
async fn a_pick_that_fails_costs_one() {
    let mut calls = Throttled::new(10, "0.001").await;
    calls.servers.go_down();
    while calls.channel.state() != ConnectivityState::TransientFailure {
        let state = calls.channel.state();
        calls.channel.wait_for_state_change(state).await;
    }
    // Four attempts, no server sees one.
    assert_eq!(calls.attempts().await, 0);
    calls.servers.come_up();
    calls.channel.reset_backoff();
    ready(&calls.channel).await;
    assert_eq!(calls.attempts().await, 1, "6 were left");
}

#[tokio::test(start_paused = true)]
async fn a_pushback_not_to_retry_costs_one_with_any_code() {
    let mut calls = Throttled::new(10, "0.001").await;
    for answer in [
        stop(Code::NotFound),
        stop(Code::Internal),
        stop(Code::Unavailable),
        Answer::fails(Code::NotFound).pushing_back("garbage"),
    ] {
        calls.servers.answer([answer]);
        failure(&mut calls.client).await;
    }
    calls.assert_left(6).await;
}

#[tokio::test(start_paused = true)]
async fn a_pushback_to_retry_costs_only_with_a_listed_code() {
    let mut calls = Throttled::new(10, "0.001").await;
    calls.spend(2).await;
    let answer = Answer::fails(Code::NotFound).pushing_back("0");
    calls.servers.answer([answer]);
    failure(&mut calls.client).await;
    calls.assert_left(8).await;
}

#[tokio::test(start_paused = true)]
async fn a_pushback_does_not_override_it() {
    let mut calls = Throttled::new(10, "0.001").await;
    calls.spend(5).await;
    let pushing_back = || Answer::fails(Code::Unavailable).pushing_back("0");
    assert_eq!(calls.attempts_by(pushing_back).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_method_without_a_policy_never_costs() {
    let mut calls = Throttled::new(10, "0.001").await;
    calls.spend(2).await;
    for answer in [Answer::fails(Code::Unavailable), stop(Code::Unavailable)] {
        calls.servers.answer([answer]);
        calls.list().await.unwrap_err();
    }
    calls.assert_left(8).await;
}

#[tokio::test(start_paused = true)]
async fn a_success_of_any_method_adds_the_ratio() {
    let mut calls = Throttled::new(10, "1").await;
    calls.spend(10).await;
    calls.succeed(6).await;
    call(&mut calls.client).await.unwrap();
    calls.assert_left(7).await;
}

#[tokio::test(start_paused = true)]
async fn a_success_counts_once_for_a_call_however_many_attempts_it_had() {
    let mut calls = Throttled::new(10, "1").await;
    let failures = [(); 3].map(|()| Answer::fails(Code::Unavailable));
    calls.servers.answer(failures);
    call(&mut calls.client).await.unwrap();
    calls.assert_left(8).await;
}

#[tokio::test(start_paused = true)]
async fn the_tokens_stay_between_none_and_all() {
    let mut calls = Throttled::new(10, "1").await;
    calls.succeed(50).await;
    calls.spend(3).await;
    calls.assert_left(7).await;

    calls.spend(50).await;
    calls.succeed(8).await;
    calls.assert_left(8).await;
}

#[tokio::test(start_paused = true)]
async fn the_ratio_counts_in_thousandths_and_further_digits_are_cut_off() {
    // From none: more than six are needed to be left with more than five.
    for (ratio, successes, attempts) in [
        ("0.1009", 60, 1),
        ("0.1009", 61, 2),
        ("0.5466", 10, 1),
        ("0.5466", 11, 2),
    ] {
        let mut calls = Throttled::new(10, ratio).await;
        calls.spend(10).await;
        calls.succeed(successes).await;
        assert_eq!(calls.attempts().await, attempts, "{successes} × {ratio}");
    }
    // 1.001 × 1000 is less than 1001 as a float is; 7.007 are more than 7.
    let mut calls = Throttled::new(12, "1.001").await;
    calls.spend(12).await;
    calls.succeed(7).await;
    assert_eq!(calls.attempts().await, 2);
}

#[tokio::test(start_paused = true)]
async fn first_attempts_are_neither_held_back_nor_delayed() {
    let mut calls = Throttled::new(10, "0.001").await;
    calls.spend(20).await;
    let start = Instant::now();
    for _ in 0..10 {
        call(&mut calls.client).await.unwrap();
        assert_eq!(calls.attempts().await, 1);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn transparent_retries_neither_cost_nor_are_held_back() {
    for transparent in [Answer::refused, Answer::unsent] {
        let mut calls = Throttled::new(10, "0.001").await;
        calls.spend(2).await;
        for _ in 0..5 {
            calls
                .servers
                .answer([transparent(), Answer::fails(Code::NotFound)]);
            assert_eq!(failure(&mut calls.client).await, Code::NotFound);
        }
        calls.assert_left(8).await;

        calls.servers.answer([transparent()]);
        call(&mut calls.client).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_channel_share_it_and_another_channel_has_its_own() {
    let mut calls = Throttled::new(10, "0.001").await;
    let mut another = Throttled::new(10, "0.001").await;
    calls.spend(1).await;
    calls.client = Client::new(calls.channel.clone());
    calls.spend(2).await;
    calls.client = calls.client.clone();
    calls.assert_left(7).await;
    another.spend(2).await;
    another.assert_left(8).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_with_the_same_parameters_changes_nothing() {
    let mut calls = Throttled::new(10, "0.5").await;
    calls.spend(3).await;
    let another = throttled(10, "0.5").replace("round_robin", "least_request_experimental");
    calls.channel.update_service_config(&another).unwrap();
    calls.assert_left(7).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_with_others_leaves_it_as_full_as_it_was() {
    // 8 of 10, or 16 of 20; Go would have 20.
    let mut calls = Throttled::new(10, "0.001").await;
    calls.spend(2).await;
    let update = throttled(20, "0.001");
    calls.channel.update_service_config(&update).unwrap();
    calls.spend(2).await;
    assert_eq!(calls.attempts().await, 4, "14 are left");
    assert_eq!(calls.attempts().await, 1, "10 are left");
}

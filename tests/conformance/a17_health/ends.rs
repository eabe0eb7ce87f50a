//! How streams end, and what comes after that.

use evenkeel_testkit::Log;

use super::*;

#[tokio::test(start_paused = true)]
async fn unimplemented_counts_as_healthy_and_is_not_retried_on_the_connection() {
    let log = Log::start();
    let mut test = Test::new(&[A], &round_robin());
    test.watch().await.fail(Code::Unimplemented);
    test.reach(A, Ready).await;
    test.calls(3).await;
    assert!(test.is_never_asked().await);
    let other = round_robin().replace(r#""s""#, r#""t""#);
    test.channel.update_service_config(&other).unwrap();
    assert!(test.is_never_asked().await, "about no other service either");
    let logged = log.lines_with("no health checks");
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].contains("ERROR") && logged[0].contains(A));
    test.servers.go_away(A);
    let _answers = test.watch().await.say(NOT_SERVING);
    test.reach(A, TransientFailure).await;
}

#[tokio::test(start_paused = true)]
async fn any_other_end_is_transient_failure_and_connecting_while_the_next_attempt_runs() {
    for code in [Code::Ok, Code::Unavailable, Code::Internal, Code::NotFound] {
        let mut test = Test::new(&[A], &round_robin());
        test.watch().await.open().end(code);
        test.reach(A, TransientFailure).await;
        let error = test.call().await.unwrap_err();
        let text = error.message();
        assert!(text.contains("its stream ended with"), "{text}");
        let watch = test.watch().await;
        test.settle().await;
        assert_eq!(test.state(A), Connecting, "{code:?}");
        let mut waiting = JoinSet::new();
        waiting.spawn(call(test.channel.clone()));
        test.settle().await;
        assert_eq!((test.servers.calls(A), waiting.len()), (0, 1));
        let _answers = watch.say(SERVING);
        waiting.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(test.servers.connections(A), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_is_immediate_after_a_message_and_else_backs_off_exponentially() {
    let mut test = Test::new(&[A], &round_robin());
    let mut watch = test.watch().await;
    for (message, seconds) in [
        (false, 1.0),
        (false, 1.6),
        (false, 2.56),
        (true, 0.0),
        (true, 0.0),
        (false, 1.0),
        (false, 1.6),
    ] {
        let at = watch.at;
        let answers = watch.open();
        if message {
            answers.say(SERVING);
        }
        answers.end(Code::Unavailable);
        watch = test.watch().await;
        let delay = (watch.at - at).as_secs_f64();
        // tokio's timers have a resolution of 1 ms.
        let (least, most) = (seconds * 0.8, seconds * 1.2 + 0.005);
        assert!((least..=most).contains(&delay), "{seconds}: {delay}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_backoff_ends_at_two_minutes() {
    let mut test = Test::new(&[A], &round_robin());
    let mut watch = test.watch().await;
    let mut delays = Vec::new();
    for _ in 0..20 {
        let at = watch.at;
        watch.fail(Code::Unavailable);
        watch = test.watch().await;
        delays.push((watch.at - at).as_secs_f64());
    }
    assert!(
        delays[12..]
            .iter()
            .all(|delay| (96.0..=144.01).contains(delay))
    );
}

#[tokio::test(start_paused = true)]
async fn the_watch_is_cancelled_on_goaway_and_at_shutdown() {
    let (mut test, answers) = Test::serving().await;
    test.servers.go_away(A);
    answers.cancelled().await;
    let answers = test.watch().await.say(SERVING);
    test.reach(A, Ready).await;
    assert_eq!(test.servers.connections(A), 2);
    drop(test.channel);
    answers.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn another_connection_starts_from_connecting_again() {
    let (mut test, _answers) = Test::serving().await;
    test.servers.go_away(A);
    let watch = test.watch().await;
    test.settle().await;
    assert_eq!(test.state(A), Connecting);
    let _answers = watch.say(SERVING);
    test.reach(A, Ready).await;
}

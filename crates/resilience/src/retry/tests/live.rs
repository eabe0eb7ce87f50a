//! A service config that changes while calls run.

use evenkeel_service_config::LiveConfig;
use tower_service::Service;

use super::*;
use crate::DeadlineLayer;

const NAMED: &str = r#""name":[{"service":"test.Service"}]"#;

fn timeout(seconds: u32) -> String {
    format!(r#"{{"methodConfig":[{{{NAMED},"timeout":"{seconds}s"}}]}}"#)
}

fn both(live: &LiveConfig) -> (Inner, Retry<Inner>) {
    service(&RetryLayer::live(live).with_deadline(DeadlineLayer::live(live)))
}

#[tokio::test(start_paused = true)]
async fn an_update_is_for_the_next_call_of_each_clone_and_a_bad_one_for_none() {
    let live = LiveConfig::default();
    let (inner, service) = both(&live);
    let mut clones = [service.clone(), service];
    for (update, expected) in [
        (None, None),
        (Some(timeout(1)), Some("1000000u")),
        (Some(timeout(2)), Some("2000000u")),
        (Some(timeout(3).replace("3s", "3 s")), Some("2000000u")),
        (Some("{}".to_owned()), None),
    ] {
        if let Some(update) = update {
            // One of them is wrong.
            drop(live.update(&update));
        }
        // Several each: what is remembered, borrowed or its own is as new.
        for _ in 0..3 {
            for service in &mut clones {
                inner.echo();
                drop(service.oneshot(unary("hello")).await.unwrap());
                let heads = inner.heads();
                assert_eq!(header(heads.last().unwrap(), "grpc-timeout"), expected);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_keeps_what_was_configured_when_it_started() {
    let live = LiveConfig::default();
    live.set(config());
    let (inner, mut service) = both(&live);
    inner.reply_with(async |_| Err(lost(1, Progress::Sent)));
    inner.echo();
    let mut call = Box::pin(service.ready().await.unwrap().call(unary("hello")));
    assert!(call.as_mut().now_or_never().is_none(), "the delay");
    live.update(&timeout(0)).unwrap();
    assert_eq!(collect(call.await.unwrap()).await.1, Some(Code::Ok));
    assert_eq!(inner.calls(), 2);

    let status = service.oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "the next call");
}

#[tokio::test(start_paused = true)]
async fn an_update_does_not_refill_the_throttle() {
    let live = LiveConfig::default();
    live.set(throttled());
    let layer = RetryLayer::live(&live);
    let (inner, service) = service(&layer);
    for _ in 0..3 {
        inner.reply_with(async |_| Err(lost(1, Progress::Sent)));
    }
    let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(inner.calls(), 3, "{status}");

    let wider = format!(r#"{{{POLICY},"retryThrottling":{{"maxTokens":60,"tokenRatio":1}}}}"#);
    live.update(&wider).unwrap();
    for _ in 0..2 {
        inner.reply_with(async |_| Err(lost(1, Progress::Sent)));
    }
    let other = layer.layer(inner.clone());
    for (service, calls) in [(service, 4), (other, 5)] {
        let status = service.oneshot(unary("hello")).await.unwrap_err();
        assert_eq!(inner.calls(), calls, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_configs_may_change_apart() {
    let (one, other) = (LiveConfig::default(), LiveConfig::default());
    one.set(config());
    let layer = RetryLayer::live(&one).with_deadline(DeadlineLayer::live(&other));
    let (inner, service) = service(&layer);
    other.update(&timeout(7)).unwrap();
    inner.reply_with(async |_| Err(lost(1, Progress::Sent)));
    inner.echo();
    drop(service.oneshot(unary("hello")).await.unwrap());
    let heads = inner.heads();
    assert_eq!(header(&heads[0], "grpc-timeout"), Some("7000000u"));
    assert_eq!(heads.len(), 2);
}

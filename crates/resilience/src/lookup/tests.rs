use evenkeel_policy::retry::RetryPolicy;
use evenkeel_service_config::{LiveConfig, ServiceConfig};

use super::*;

fn uri(path: &'static str) -> Uri {
    Uri::from_static(path)
}

#[test]
fn a_clone_that_is_called_once_borrows_and_one_that_is_called_again_has_its_own() {
    let mut first = Lookup::of_deadlines(&Methods::Config(ServiceConfig::default()));
    let method = Arc::clone(first.find(&uri("/a.B/C")));
    let mut second = first.clone();
    assert!(Arc::ptr_eq(second.find(&uri("/a.B/C")), &method));
    let own = Arc::clone(second.find(&uri("/a.B/C")));
    assert!(!Arc::ptr_eq(&own, &method));
    assert_eq!(own.path, method.path);
    assert!(Arc::ptr_eq(second.find(&uri("/a.B/C")), &own));
    assert!(Arc::ptr_eq(first.find(&uri("/a.B/C")), &method));
}

#[test]
fn another_method_and_a_change_are_looked_up_anew() {
    let live = LiveConfig::default();
    let mut lookup = Lookup::of_deadlines(&Methods::Live(live.clone()));
    assert!(lookup.find(&uri("/a.B/C")).timeout.is_none());
    live.update(r#"{"methodConfig": [{"name": [{"service": "a.B"}], "timeout": "1s"}]}"#)
        .unwrap();
    let mut clone = lookup.clone();
    for lookup in [&mut lookup, &mut clone] {
        let method = Arc::clone(lookup.find(&uri("/a.B/C")));
        let timeout = method.timeout.as_ref().map(|it| it.duration);
        assert_eq!(timeout, Some(Duration::from_secs(1)));
        assert!(Arc::ptr_eq(lookup.find(&uri("/a.B/C")), &method));
        assert!(lookup.find(&uri("/a.Other/C")).timeout.is_none());
    }
    assert!(live.current().unused_names().is_empty());
}

#[test]
fn a_fallback_is_for_methods_that_have_neither_retries_nor_hedging() {
    let second = Duration::from_secs(1);
    let codes = [tonic::Code::Unavailable].into_iter().collect();
    let fallback = RetryPolicy::new(7, second, second, 1.0, codes);
    let config = r#"{"methodConfig": [
        {"name": [{"service": "Retried"}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "1s",
            "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["ABORTED"]}},
        {"name": [{"service": "Hedged"}], "hedgingPolicy": {"maxAttempts": 3}},
        {"name": [{"service": "Timed"}], "timeout": "1s"}]}"#;
    let methods = Methods::Config(ServiceConfig::parse(config).unwrap());
    for enabled in [true, false] {
        let throttles = Arc::new(Throttles::of(&methods, None));
        let limits = MessageLimits::default();
        let mut fallback = FallbackRetry::from(fallback.clone());
        let except = ["Retried", "Hedged", "Timed/Not", "a.Never"];
        fallback.except = except.map(|name| name.parse().unwrap()).into();
        let retries = Retries::new(&methods, &throttles, limits, enabled);
        let retries = retries.or(Some(Arc::new(fallback)));
        let mut lookup = Lookup::of_retries(retries, &methods, None);
        for (path, attempts) in [
            // What the config says of it is not the fallback's business.
            ("/Retried/It", Some(2)),
            ("/Hedged/It", None),
            ("/Timed/It", Some(7)),
            ("/Timed/Not", None),
            ("/Other/It", Some(7)),
            ("/a.Never/It", None),
        ] {
            let method = lookup.find(&uri(path));
            let policy = method.retry_policy().map(|it| it.max_attempts);
            assert_eq!(policy, attempts.filter(|_| enabled), "{path}");
            let is_hedged = path == "/Hedged/It" && enabled;
            assert_eq!(method.hedging_policy().is_some(), is_hedged, "{path}");
        }
    }
}

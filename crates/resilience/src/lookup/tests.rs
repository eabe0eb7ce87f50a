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

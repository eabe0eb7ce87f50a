//! Documents that are refused: where, and why.

use super::*;
use crate::LiveConfig;

mod document;
mod health;
mod hedging;
mod lb;
mod methods;
mod retry;
mod sizes;
mod throttle;

/// Each document is refused as a whole, strictly or not: with the path, and with a reason that
/// contains the part; the config in force stays what it was.
fn refused(rows: &[(&str, &str, &str)]) {
    for (json, path, part) in rows {
        let error = ServiceConfig::parse(json).unwrap_err();
        assert_eq!(error.path, *path, "{json}: {error}");
        assert!(error.reason.contains(part), "{json}: {error}");
        assert_eq!(
            ParseOptions::strict().parse(json).unwrap_err(),
            error,
            "{json}"
        );

        let live = LiveConfig::from(ServiceConfig::parse(COURSE).unwrap());
        let before = live.current();
        assert_eq!(live.update(json), Err(error));
        assert!(Arc::ptr_eq(&live.current().parts, &before.parts));
    }
}

/// A config with these settings for all methods.
fn method(settings: &str) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], {settings}}}]}}"#)
}

#[test]
fn long_values_are_cut_in_the_reason() {
    let json = format!(
        r#"{{"methodConfig": [{{"timeout": "{}"}}]}}"#,
        "ü".repeat(500)
    );
    let error = ServiceConfig::parse(&json).unwrap_err();
    assert!(
        error.reason.len() < 300 && error.reason.contains('…'),
        "{error}"
    );
}

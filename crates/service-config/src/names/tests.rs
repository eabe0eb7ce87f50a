use crate::ServiceConfig;

const CONFIG: &str = r#"{"methodConfig": [
    {"name": [{}]},
    {"name": [{"service": "a"}, {"service": "b"}]},
    {"name": [{"service": "a", "method": "m"}, {"service": "a", "method": "n"}, {"service": "c", "method": "m"}]}
]}"#;

fn unused_after(calls: &[&str]) -> Vec<String> {
    let config = ServiceConfig::parse(CONFIG).unwrap();
    let of_a_clone = config.clone();
    for path in calls {
        let _ = of_a_clone.method(path);
    }
    config.unused_names()
}

#[test]
fn a_name_is_used_when_a_call_has_it_or_one_that_it_covers() {
    for (calls, unused) in [
        (&[][..], &["a", "b", "a/m", "a/n", "c/m"][..]),
        (&["/a/m"], &["b", "a/n", "c/m"]),
        (&["/a/x"], &["b", "a/m", "a/n", "c/m"]),
        (&["/a/m", "/a/n", "/a/m"], &["b", "c/m"]),
        (&["/c/x", "/d/m"], &["a", "b", "a/m", "a/n", "c/m"]),
        (&["/c/m", "/b/m"], &["a", "a/m", "a/n"]),
        (&["/a/m", "/a/n", "/b/x", "/c/m"], &[]),
    ] {
        assert_eq!(unused_after(calls), unused, "{calls:?}");
    }
}

#[test]
fn the_entry_for_all_services_has_no_name_that_could_be_wrong() {
    let config = ServiceConfig::parse(r#"{"methodConfig": [{"name": [{}]}]}"#).unwrap();
    assert!(config.unused_names().is_empty());
    assert!(!config.explain().methods[0].called);
    let _ = config.method("/s/m");
    assert!(config.explain().methods[0].called);
}

#[test]
fn threads_may_look_up_and_ask_at_the_same_time() {
    let config = ServiceConfig::parse(CONFIG).unwrap();
    std::thread::scope(|scope| {
        for path in ["/a/m", "/b/m", "/x/m", "/a/n"] {
            let config = &config;
            scope.spawn(move || {
                for _ in 0..1_000 {
                    assert!(config.method(path).is_some());
                    let _ = config.unused_names();
                }
            });
        }
    });
    assert_eq!(config.unused_names(), ["c/m"]);
}

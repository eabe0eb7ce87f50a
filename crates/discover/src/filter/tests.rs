use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel_core::{Availability, Metadata};
use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::*;
use crate::DiscoverExt;
use crate::testing::{endpoint, insert, remove, said, script, unavailable};

fn v2() -> Filter {
    Filter::new().with_version("v2")
}

#[test]
fn each_term_is_met_by_what_it_names() {
    let mut metadata = Metadata::default().with_weight(2.0);
    metadata.version = Some("v2".to_owned());
    metadata.zone = Some("a".to_owned());
    metadata.region = Some("eu".to_owned());
    metadata.tags = vec!["gpu".to_owned()];
    metadata.other.insert("rack".to_owned(), "7".to_owned());
    let server = endpoint("10.0.0.1:1").with_metadata(metadata.clone());
    let plain = endpoint("10.0.0.2:1");
    let new = Filter::new;
    for (filter, text) in [
        (new().with_version("v2"), "version=v2"),
        (new().with_zone("a"), "zone=a"),
        (new().with_region("eu"), "region=eu"),
        (new().with_tag("gpu"), "tag gpu"),
        (new().with_metadata("rack", "7"), "rack=7"),
        (
            new().with("an odd port", |one| one.to_string().ends_with(".1:1")),
            "an odd port",
        ),
        (new().with_zone("a").and(v2()), "zone=a, version=v2"),
    ] {
        assert_eq!(filter.to_string(), text);
        assert!(filter.matches(&server), "{text}");
        assert!(!filter.matches(&plain), "{text}");
    }
    assert!(!v2().with_zone("b").matches(&server), "all terms");
    assert!(new().matches(&plain));

    let up = new().accepting_calls();
    assert!(up.matches(&server));
    let draining = metadata.clone().with_availability(Availability::Draining);
    assert!(!up.matches(&server.clone().with_metadata(draining)));
    assert!(!up.matches(&server.with_metadata(metadata.with_weight(0.0))));
}

#[tokio::test]
async fn an_endpoint_comes_and_goes_with_its_metadata() {
    let (say, source) = script();
    let mut filtered = source.filter_endpoints(v2());
    for item in [insert("a", 1, "v1"), insert("b", 2, "v2")] {
        say.send(item).unwrap();
    }
    assert_eq!(said(&mut filtered), ["+b=2v2"]);
    say.send(insert("a", 1, "v2")).unwrap();
    assert_eq!(said(&mut filtered), ["+a=1v2"]);
    say.send(insert("a", 1, "v3")).unwrap();
    assert_eq!(said(&mut filtered), ["-a"]);
    say.send(remove("a")).unwrap();
    assert!(said(&mut filtered).is_empty());
    assert_eq!(
        (filtered.stats().known(), filtered.stats().matching()),
        (1, 1)
    );
}

#[tokio::test]
async fn nobody_left_is_told_with_their_number() {
    let (say, source) = script();
    let mut filtered = source.filter_endpoints(v2().with_zone("a"));
    say.send(insert("a", 1, "v1")).unwrap();
    say.send(insert("b", 2, "v2")).unwrap();
    assert_eq!(
        said(&mut filtered),
        ["!2 endpoints, none with version=v2, zone=a"]
    );
    say.send(remove("a")).unwrap();
    assert!(said(&mut filtered).is_empty(), "once");
    say.send(remove("b")).unwrap();
    say.send(Err(DiscoverError::empty("etcd", "user"))).unwrap();
    assert_eq!(
        said(&mut filtered),
        [r#"!no endpoint of "user" is registered in etcd"#]
    );
    say.send(insert("a", 1, "v1")).unwrap();
    assert_eq!(
        said(&mut filtered),
        ["!1 endpoint, none with version=v2, zone=a"]
    );
}

#[tokio::test]
async fn the_end_of_an_outage_is_told_even_if_nobody_who_passes_has_changed() {
    let (say, source) = script();
    let mut filtered = source.filter_endpoints(v2());
    for item in [insert("a", 1, "v1"), insert("b", 2, "v2")] {
        say.send(item).unwrap();
    }
    said(&mut filtered);
    say.send(Err(unavailable("etcd"))).unwrap();
    assert_eq!(said(&mut filtered), ["!etcd unavailable: unplugged"]);
    say.send(insert("a", 1, "v1")).unwrap();
    assert_eq!(said(&mut filtered), ["+b=2v2"]);

    say.send(remove("b")).unwrap();
    said(&mut filtered);
    say.send(Err(unavailable("etcd"))).unwrap();
    said(&mut filtered);
    say.send(insert("a", 1, "v1")).unwrap();
    assert_eq!(said(&mut filtered), ["!1 endpoint, none with version=v2"]);
}

#[tokio::test]
async fn the_fallback_is_not_used_for_half_a_list() {
    let (say, source) = script();
    let mut filtered = source.filter_endpoints(v2()).with_fallback(Fallback::Any);
    for item in [insert("a", 1, "v1"), insert("b", 2, "v2")] {
        say.send(item).unwrap();
    }
    assert_eq!(said(&mut filtered), ["+b=2v2"]);
    assert_eq!(filtered.stats().fallbacks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_fallback_takes_over_and_goes_and_is_counted() {
    let zone_a = |mut one: Endpoint| {
        let mut metadata = one.metadata().clone();
        metadata.zone = Some("a".to_owned());
        one = one.with_metadata(metadata);
        one
    };
    for (fallback, expected) in [
        (Fallback::Any, vec!["+a=1v1", "+c=3", "-b"]),
        (
            Fallback::To(Filter::new().with_zone("a")),
            vec!["+c=3", "-b"],
        ),
        (
            Fallback::None,
            vec!["-b", "!2 endpoints, none with version=v2"],
        ),
    ] {
        let counted = u64::from(!matches!(fallback, Fallback::None));
        let (say, source) = script();
        let mut filtered = source.filter_endpoints(v2()).with_fallback(fallback);
        let stats = filtered.stats();
        for item in [insert("a", 1, "v1"), insert("b", 2, "v2")] {
            say.send(item).unwrap();
        }
        let third = zone_a(endpoint("10.0.0.3:1"));
        say.send(Ok(Change::Insert("c".into(), third))).unwrap();
        assert_eq!(said(&mut filtered), ["+b=2v2"]);
        say.send(remove("b")).unwrap();
        assert_eq!(said(&mut filtered), expected);
        assert_eq!(stats.fallbacks(), counted);
        assert_eq!(stats.fallback_since().is_some(), counted == 1);

        tokio::time::advance(Duration::from_secs(7)).await;
        say.send(insert("b", 2, "v2")).unwrap();
        let back = said(&mut filtered);
        assert_eq!(back[0], "+b=2v2", "who matches comes before the others go");
        assert_eq!(
            back.len(),
            expected.iter().filter(|it| it.starts_with('+')).count() + 1
        );
        assert_eq!(stats.fallback_since(), None);
        let total = stats.fallback_time(now());
        assert_eq!(
            total,
            Duration::from_secs(7) * u32::try_from(counted).unwrap()
        );
    }
}

#[tokio::test]
async fn a_source_that_never_pauses_lets_others_run() {
    let endless = futures_util::stream::repeat_with(|| insert("a", 1, "v1"));
    let mut filtered = endless.filter_endpoints(v2());
    let first = filtered.next().now_or_never().unwrap().unwrap();
    assert!(first.is_err());
    assert!(filtered.next().now_or_never().is_none(), "nothing passes");
}

#[tokio::test]
async fn it_ends_with_its_source() {
    let mut filtered = futures_util::stream::iter([insert("a", 1, "v2")]).filter_endpoints(v2());
    assert_eq!(said(&mut filtered), ["+a=1v2"]);
    assert!(matches!(filtered.next().now_or_never(), Some(None)));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8),
    Remove(u8),
    Report,
    Tell,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6_u8, 0..3_u8).prop_map(|(key, version)| Step::Insert(key, version)),
        3 => (0..6_u8).prop_map(Step::Remove),
        1 => Just(Step::Report),
        3 => Just(Step::Tell),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// After any changes, who was told is who a fresh look at the whole list lets pass.
    #[test]
    fn what_was_told_is_what_the_whole_list_gives(steps in steps(), fallback in 0..3_u8) {
        let fallback = match fallback {
            0 => Fallback::None,
            1 => Fallback::Any,
            _ => Fallback::To(Filter::new().with_version("v1")),
        };
        let (say, source) = script();
        let mut filtered = source.filter_endpoints(v2()).with_fallback(fallback.clone());
        let mut list = BTreeMap::<EndpointKey, Endpoint>::new();
        let mut told = BTreeMap::<EndpointKey, Endpoint>::new();
        for step in steps.into_iter().chain([Step::Tell]) {
            match step {
                Step::Insert(key, version) => {
                    let item = insert(&format!("k{key}"), key, &format!("v{version}"));
                    if let Ok(Change::Insert(key, endpoint)) = &item {
                        list.insert(key.clone(), endpoint.clone());
                    }
                    say.send(item).unwrap();
                }
                Step::Remove(key) => {
                    let key = format!("k{key}");
                    list.remove(key.as_str());
                    say.send(remove(&key)).unwrap();
                }
                Step::Report => say.send(Err(unavailable("it"))).unwrap(),
                Step::Tell => {
                    while let Some(Some(item)) = filtered.next().now_or_never() {
                        match item {
                            Ok(Change::Insert(key, endpoint)) => drop(told.insert(key, endpoint)),
                            Ok(Change::Remove(key)) => prop_assert!(told.remove(&key).is_some()),
                            Err(_) => {}
                        }
                    }
                    let pass = |filter: &Filter| -> BTreeMap<_, _> {
                        let all = list.iter().filter(|(_, endpoint)| filter.matches(endpoint));
                        all.map(|(key, endpoint)| (key.clone(), endpoint.clone())).collect()
                    };
                    let mut expected = pass(&v2());
                    if expected.is_empty() {
                        expected = match &fallback {
                            Fallback::None => expected,
                            Fallback::Any => list.clone(),
                            Fallback::To(filter) => pass(filter),
                        };
                    }
                    prop_assert_eq!(&told, &expected);
                }
            }
        }
    }
}

use super::*;
use crate::codec::tests::{SAMPLES, Sample};
use crate::doctor::reading::{Raw, read};
use crate::{CODEC_NAMES, EtcdConfig, codec_named};

#[test]
fn names_that_begin_alike_are_found() {
    let near = |bare: bool, names: &[(&str, Option<usize>)]| {
        let names = names.iter().map(|(name, keys)| Neighbour {
            name: (*name).into(),
            keys: *keys,
        });
        let names = names.collect();
        found(|it| {
            it.neighbours = names;
            it.customs.matches_bare_names = bare;
        })
    };
    let both = [("user", Some(1)), ("user-admin/", Some(3))];
    assert_eq!(
        near(true, &both),
        ["warning prefix-bleed (user user-admin/): 2 other names begin alike, with 4 keys"]
    );
    assert_eq!(
        near(false, &both),
        ["note prefix-bleed (user-admin/): 1 other name begins alike, with 3 keys"]
    );
    assert_eq!(near(false, &both[..1]), [""; 0], "a placeholder");
    assert_eq!(
        near(true, &[("user0/", None), ("users", Some(1))]),
        ["warning prefix-bleed (user0/ users): 2 other names begin alike, with at least 2 keys"]
    );
    let many = near(true, &[("user0/", Some(1)); Facts::MOST_NEIGHBOURS]);
    assert!(
        many[0].ends_with(": 20 other names or more begin alike, with 20 keys"),
        "{many:?}"
    );
    let stranger = found(|it| it.entries[1].reading = Ok(None));
    let left_out = "note nested-service (user/10.0.0.2:80): 1 key of another service, left out";
    assert_eq!(stranger, [left_out]);
    let forever = found(|it| {
        it.entries[1].reading = Ok(None);
        it.entries[1].lease = None;
    });
    assert_eq!(forever, [left_out], "whatever its lease is");
    let dying = found(|it| {
        let lease = |granted, remaining| Lease {
            granted: granted * SECOND,
            remaining: remaining * SECOND,
        };
        for (id, lease) in [(2, lease(600, 1)), (3, lease(2, 2))] {
            it.leases.insert(id, Some(lease));
            let stranger = server("10.0.0.2:80");
            it.entries.push(Entry {
                lease: Some(id),
                reading: Ok(None),
                ..stranger
            });
        }
        it.entries.remove(1);
    });
    assert_eq!(dying.len(), 1, "{dying:?}");
    let nested = found(|it| {
        it.entries[1].key = "user/admin/10.0.0.2:80".into();
        it.entries.push(server("unix:///run/user.sock"));
        it.entries.remove(2);
    });
    assert_eq!(
        nested,
        [
            r#"warning nested-service (user/admin/10.0.0.2:80): 1 key of what looks like the service "user/admin""#
        ]
    );
}

/// As their own servers write them, beside a service with a similar name.
#[test]
fn a_healthy_registration_is_well_in_every_layout() {
    for layout in CODEC_NAMES.iter().filter(|name| **name != "auto") {
        let is_it = |sample: &&Sample| sample.layout == *layout && sample.says.is_ok();
        let samples = SAMPLES.iter().filter(is_it);
        for sample in samples {
            let codec = codec_named(layout).unwrap();
            let prefix = codec.prefix(sample.service);
            let stem = prefix.trim_end_matches('/');
            let neighbour = |name: String| Neighbour {
                name,
                keys: Some(1),
            };
            let mut neighbours = vec![neighbour(format!("{stem}-admin/"))];
            if *layout != "go" {
                // Placeholders, as of rpcx and dubbo-go.
                neighbours.push(neighbour(stem.to_owned()));
            }
            let config = EtcdConfig {
                codec: codec.clone(),
                ..EtcdConfig::default()
            };
            let raw = Raw {
                key: sample.key.as_bytes(),
                value: sample.value.as_bytes(),
                lease: i64::from(!codec.customs().is_kept_by_hand),
            };
            let found = found(|it| {
                it.entries = vec![read(&config, sample.service, &raw)];
                it.neighbours = neighbours;
                it.customs = codec.customs();
                it.prefix = prefix;
                // Some are at 127.0.0.1.
                it.members = vec![member("http://127.0.0.1:2379", 1)];
            });
            let expected = match *layout {
                "go" => "warning prefix-bleed",
                _ => "note ",
            };
            let is_fine = |it: &String| it.starts_with("note ") || it.starts_with(expected);
            assert!(
                !found.is_empty() && found.iter().all(is_fine),
                "{layout} {}: {found:?}",
                sample.key
            );
        }
    }
}

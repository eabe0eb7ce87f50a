use evenkeel_core::{Address, Availability, Endpoint, Metadata};

use super::*;
use crate::codec::tests::{SAMPLES, Sample};
use crate::doctor::reading::{Raw, read};
use crate::doctor::{Dialled, Lease, Member, MemberStatus, Neighbour, Unanswered, Unreadable};
use crate::{CODEC_NAMES, Decoded, EtcdConfig, EtcdError, codec_named};

const SECOND: Duration = Duration::from_secs(1);

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn key(address: &str) -> String {
    format!("user/{address}")
}

/// A server that registered itself at `at`, under lease 1.
fn server(at: &str) -> Entry {
    described(at, Metadata::default())
}

fn described(at: &str, metadata: Metadata) -> Entry {
    Entry {
        key: key(at),
        lease: Some(1),
        reading: Ok(Some(Decoded::new(
            Endpoint::new(address(at)).with_metadata(metadata),
        ))),
        expected_key: Some(key(at)),
    }
}

fn weighing(at: &str, weight: f64) -> Entry {
    described(at, Metadata::default().with_weight(weight))
}

fn unreadable(name: &str, unreadable: Unreadable) -> Entry {
    Entry {
        reading: Err(unreadable),
        expected_key: None,
        ..Entry {
            key: key(name),
            ..server("10.0.0.1:1")
        }
    }
}

fn member(url: &str, cluster: u64) -> Member {
    let status = MemberStatus {
        cluster,
        member: 1,
        has_leader: true,
        version: "3.4.23".into(),
    };
    Member {
        url: url.into(),
        status: Ok(status),
    }
}

/// A service in which nothing is wrong.
fn well() -> Facts {
    let lease = Lease {
        granted: 10 * SECOND,
        remaining: 8 * SECOND,
    };
    Facts {
        service: "user".into(),
        prefix: "user/".into(),
        revision: 7,
        members: vec![member("http://etcd:2379", 1)],
        entries: vec![server("10.0.0.1:80"), server("10.0.0.2:80")],
        leases: [(1, Some(lease))].into(),
        ..Facts::default()
    }
}

/// What is found in the service that is well but for `change`: `severity check (keys): what`.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = well();
    change(&mut facts);
    let findings = facts.judge(&Limits::default());
    findings
        .iter()
        .map(|it| {
            let keys = match it.keys.as_slice() {
                [] => String::new(),
                keys => format!(" ({})", keys.join(" ")),
            };
            format!("{} {}{keys}: {}", it.severity, it.check, it.what)
        })
        .collect()
}

fn refused(what: &str) -> Unanswered {
    Unanswered {
        what: what.into(),
        is_refused: true,
    }
}

fn failed(reason: &str, code: tonic::Code) -> EtcdError {
    EtcdError::Request {
        action: "ask",
        code,
        reason: reason.into(),
    }
}

#[test]
fn a_healthy_service_has_no_findings() {
    assert_eq!(found(|_| {}), [""; 0]);
    let equal = found(|it| it.entries = vec![weighing("10.0.0.1:80", 5.0)]);
    assert_eq!(equal, [""; 0]);
}

#[test]
fn the_worst_comes_first() {
    let found = found(|it| {
        it.unanswered.push(refused("x"));
        it.entries[0].lease = None;
        it.neighbours.push(Neighbour {
            name: "user-admin/".into(),
            keys: Some(2),
        });
        it.customs.matches_bare_names = true;
    });
    let severities: Vec<_> = found
        .iter()
        .map(|it| it.split(' ').next().unwrap())
        .collect();
    assert_eq!(severities, ["error", "warning", "note"]);
}

#[test]
fn etcd_itself_is_judged() {
    type Change = fn(&mut Facts);
    let cases: [(Change, &str); 9] = [
        (
            |it| it.members[0].status = Err(failed("refused", tonic::Code::Unavailable)),
            "warning member-unreachable: http://etcd:2379: ask: refused",
        ),
        (
            |it| {
                it.members[0].status =
                    Err(failed("etcdserver: no leader", tonic::Code::Unavailable))
            },
            "error no-leader: http://etcd:2379 has no leader",
        ),
        (
            |it| {
                it.members[0].status = Ok(MemberStatus {
                    cluster: 1,
                    ..MemberStatus::default()
                });
            },
            "error no-leader: http://etcd:2379 has no leader",
        ),
        (
            |it| it.members[0].status = Err(failed("denied", tonic::Code::PermissionDenied)),
            "note unanswered: http://etcd:2379: ask: denied",
        ),
        (
            |it| it.members.push(member("http://other:2379", 2)),
            "error several-clusters: the members are of 2 clusters: http://etcd:2379 | http://other:2379",
        ),
        (
            |it| it.alarms = ["NOSPACE"].into(),
            "error alarm: etcd has raised NOSPACE",
        ),
        (
            |it| it.unlisted_members = vec!["http://c:2379".into()],
            "note unlisted-member: the cluster has a member http://c:2379 that was not named",
        ),
        (
            |it| it.unanswered = vec![refused("alarms: denied")],
            "note unanswered: alarms: denied",
        ),
        (
            |it| {
                it.unanswered = vec![Unanswered {
                    what: "alarms: no answer within 3s".into(),
                    is_refused: false,
                }];
            },
            "warning unanswered: alarms: no answer within 3s",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(found(change), [expected]);
    }
}

#[test]
fn who_lists_nobody_is_told_where_somebody_is() {
    assert_eq!(
        found(|it| it.entries.clear()),
        [r#"error no-endpoints: no key begins with "user/""#]
    );
    let elsewhere = found(|it| {
        it.entries.clear();
        it.elsewhere = vec![("kratos", "/microservices/user/".into(), 1)];
    });
    let kratos = r#"error no-endpoints: no key begins with "user/"; 1 key under "/microservices/user/", the place of --layout kratos"#;
    assert_eq!(elsewhere, [kratos]);
}

#[test]
fn values_that_are_no_endpoints_are_grouped_by_what_is_wrong() {
    let reason = |reason: &str, readable_as: &[&'static str]| Unreadable {
        reason: reason.into(),
        unspecified: None,
        readable_as: readable_as.into(),
    };
    let found = found(|it| {
        it.entries = vec![
            unreadable("a", reason("not JSON", &[])),
            unreadable("b", reason("Addr", &["kratos"])),
            unreadable("c", reason("not JSON", &[])),
            unreadable(
                "d",
                Unreadable {
                    unspecified: Some("0.0.0.0:80".into()),
                    ..reason("Addr", &[])
                },
            ),
        ];
    });
    assert_eq!(
        found,
        [
            "error no-endpoints: 4 keys and no endpoint",
            "error unreadable (user/b): Addr; looks like kratos",
            "error unreadable (user/a user/c): not JSON",
            "error unspecified-address (user/d): 1 server at 0.0.0.0:80",
        ]
    );
}

#[test]
fn what_of_a_value_is_left_out_is_said() {
    let decoded = Decoded::new(Endpoint::new(address("10.0.0.1:80")));
    let found = found(|it| {
        it.entries[0].reading = Ok(Some(decoded.with_remark("weight cannot be \"heavy\"")));
    });
    let expected = r#"warning partly-ignored (user/10.0.0.1:80): weight cannot be "heavy""#;
    assert_eq!(found, [expected]);
}

#[test]
fn local_addresses_are_fine_only_where_all_is_on_one_machine() {
    let here = |it: &mut Facts| it.entries = vec![server("127.0.0.1:80"), server("localhost:81")];
    assert_eq!(
        found(here),
        [
            "error loopback-address (user/127.0.0.1:80 user/localhost:81): 2 servers that no other machine can reach"
        ]
    );
    for url in [
        "http://127.0.0.1:2379",
        "http://[::1]:2379",
        "http://localhost:2379",
    ] {
        let found = found(|it| {
            here(it);
            it.members = vec![member(url, 1)];
        });
        assert!(found[0].starts_with("note loopback-address"), "{found:?}");
    }
    let through = |client_urls: &[&str]| {
        let client_urls = client_urls.iter().map(|url| (*url).to_owned()).collect();
        found(|it| {
            here(it);
            it.members = vec![member("http://127.0.0.1:2379", 1)];
            it.client_urls = client_urls;
        })
    };
    let here_indeed = through(&["http://localhost:2379"]);
    assert!(
        here_indeed[0].starts_with("note loopback-address"),
        "{here_indeed:?}"
    );
    let by_a_tunnel = through(&["http://10.0.0.9:2379", "http://127.0.0.1:2379"]);
    assert!(
        by_a_tunnel[0].starts_with("error loopback-address"),
        "{by_a_tunnel:?}"
    );
    let mixed = found(|it| {
        it.members = vec![member("http://127.0.0.1:2379", 1)];
        it.entries[0] = server("127.0.0.1:80");
    });
    assert!(
        mixed[0].starts_with("error loopback-address (user/127.0.0.1:80)"),
        "{mixed:?}"
    );
    let lenient = found(|it| it.entries[0] = server("0.0.0.0:80"));
    let expected = "error unspecified-address (user/0.0.0.0:80): 1 server without an address";
    assert_eq!(lenient, [expected]);
}

#[test]
fn addresses_that_no_router_passes_on_are_found() {
    for (at, what) in [
        (
            "169.254.7.8:80",
            "error unroutable-address (K): 1 server with an address of one link",
        ),
        (
            "[fe80::1]:80",
            "error unroutable-address (K): 1 server with an address of one link",
        ),
        (
            "224.0.0.1:80",
            "error unroutable-address (K): 1 server with an address of many",
        ),
        (
            "[ff02::1]:80",
            "error unroutable-address (K): 1 server with an address of many",
        ),
        (
            "255.255.255.255:80",
            "error unroutable-address (K): 1 server with an address of many",
        ),
        (
            "172.17.0.2:80",
            "note unroutable-address (K): 1 server with an address of what is mostly Docker's bridge",
        ),
    ] {
        let found = found(|it| it.entries[0] = server(at));
        assert_eq!(found, [what.replace('K', &key(at))]);
    }
    for fine in ["172.18.0.2:80", "[fd00::1]:80", "192.168.1.1:80", "host:80"] {
        assert_eq!(found(|it| it.entries[0] = server(fine)), [""; 0], "{fine}");
    }
}

#[test]
fn several_keys_of_one_server_are_found_whatever_they_are_called() {
    let found = found(|it| {
        it.entries.push(Entry {
            key: "user/8f14".into(),
            ..server("10.0.0.1:80")
        });
    });
    assert_eq!(
        found,
        ["warning duplicate (user/10.0.0.1:80 user/8f14): 10.0.0.1:80 has 2 keys"]
    );
}

#[test]
fn leases_are_judged_by_their_times() {
    let lease = |granted: u64, remaining: u64| {
        move |it: &mut Facts| {
            it.entries.truncate(1);
            let lease = Lease {
                granted: Duration::from_secs(granted),
                remaining: Duration::from_secs(remaining),
            };
            it.leases = [(1, Some(lease))].into();
        }
    };
    let cases = [
        (
            lease(4, 4),
            Some("warning short-ttl (user/10.0.0.1:80): a TTL of 4s"),
        ),
        (lease(5, 0), None),
        (lease(6, 2), None),
        (
            lease(6, 1),
            Some("warning not-renewed (user/10.0.0.1:80): 1s left of 6s"),
        ),
        (lease(120, 90), None),
        (
            lease(121, 90),
            Some("warning long-ttl (user/10.0.0.1:80): a TTL of 121s"),
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(found(change), Vec::from_iter(expected));
    }
    let forever = found(|it| it.entries[1].lease = None);
    assert_eq!(
        forever,
        ["error no-lease (user/10.0.0.2:80): 1 key without a lease"]
    );
    let gone = found(|it| it.leases = [(1, None)].into());
    assert_eq!(
        gone,
        [
            "note lease-gone (user/10.0.0.1:80 user/10.0.0.2:80): 2 keys with a lease that etcd does not have"
        ]
    );
    let by_hand = found(|it| {
        it.entries[1].lease = None;
        it.customs.is_kept_by_hand = true;
    });
    assert_eq!(
        by_hand,
        ["note no-lease (user/10.0.0.2:80): 1 key without a lease"]
    );
    assert_eq!(found(|it| it.leases.clear()), [""; 0], "etcd did not tell");
    let many = found(|it| {
        let own = (0..5_000).map(|n: i64| Entry {
            lease: Some(n + 2),
            ..server(&format!("10.1.{}.{}:80", n / 250, n % 250))
        });
        it.entries = own.collect();
    });
    assert_eq!(many, ["warning many-leases: 5000 leases for 5000 keys"]);
    let endless = lease(u64::MAX, u64::MAX);
    assert_eq!(found(endless).len(), 1, "only long");
}

#[test]
fn weights_and_statuses_are_judged_together() {
    let of = |weights: &[Option<f64>]| {
        let entries = weights.iter().enumerate().map(|(at, weight)| {
            let at = format!("10.0.0.{at}:80");
            weight.map_or_else(|| server(&at), |weight| weighing(&at, weight))
        });
        let entries: Vec<_> = entries.collect();
        found(|it| it.entries = entries)
    };
    assert_eq!(
        of(&[Some(10.0), None]),
        ["warning mixed-weights (user/10.0.0.1:80): 1 of 2 have no weight"]
    );
    assert_eq!(of(&[Some(1.0), None]), [""; 0], "none counts as 1");
    assert_eq!(
        of(&[Some(10.0), Some(0.0)]),
        ["note no-new-calls (user/10.0.0.1:80): 1 server: weight 0"]
    );
    assert_eq!(
        of(&[Some(0.0)])[0],
        "error all-weights-zero: 1 server, all with weight 0"
    );
    let at = |availability| Metadata::default().with_availability(availability);
    let resting = found(|it| {
        it.entries = vec![
            described("10.0.0.1:80", at(Availability::Draining)),
            described("10.0.0.2:80", at(Availability::Down)),
        ];
    });
    assert_eq!(
        resting,
        [
            "error nobody-takes-calls: 2 servers, none of which takes calls",
            "note no-new-calls (user/10.0.0.2:80): 1 server: down",
            "note no-new-calls (user/10.0.0.1:80): 1 server: draining",
        ]
    );
}

#[test]
fn who_does_not_answer_is_as_bad_as_the_calls_that_go_there() {
    let refused = || Dialled::Unreachable("refused".into());
    let dialled = |it: &mut Facts, how: [Dialled; 2]| {
        let addresses = ["10.0.0.1:80", "10.0.0.2:80"].map(address);
        it.dialled = addresses.into_iter().zip(how).collect();
    };
    let one = found(|it| dialled(it, [Dialled::Http2, refused()]));
    assert_eq!(
        one,
        ["error unreachable (user/10.0.0.2:80): 1 server: refused"]
    );
    let other = found(|it| dialled(it, [Dialled::Http2, Dialled::NotHttp2("TLS?".into())]));
    assert_eq!(
        other,
        ["warning not-http2 (user/10.0.0.2:80): 1 server: TLS?"]
    );

    let tls = found(|it| dialled(it, [Dialled::Http2, Dialled::Tls("expired".into())]));
    assert_eq!(tls, ["error tls (user/10.0.0.2:80): 1 server: expired"]);

    let draining = Metadata::default().with_availability(Availability::Draining);
    let leaving = found(|it| {
        it.entries[1] = described("10.0.0.2:80", draining);
        dialled(it, [Dialled::Http2, refused()]);
    });
    assert_eq!(
        leaving[0],
        "warning unreachable (user/10.0.0.2:80): 1 server: refused"
    );

    let two = Endpoint::with_addresses(["10.0.0.1:80", "10.0.0.2:80"].map(address)).unwrap();
    let half = found(|it| {
        it.entries = vec![Entry {
            reading: Ok(Some(Decoded::new(two))),
            ..server("10.0.0.1:80")
        }];
        dialled(it, [Dialled::Http2, refused()]);
    });
    assert_eq!(
        half,
        ["warning unreachable (user/10.0.0.1:80): 1 server: refused"]
    );
}

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

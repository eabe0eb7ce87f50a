mod addresses;
mod leases;
mod names;

use evenkeel_core::{Address, Availability, Endpoint, Metadata};

use super::*;
use crate::doctor::{Dialled, Lease, Member, MemberStatus, Neighbour, Unanswered, Unreadable};
use crate::{Decoded, EtcdError};

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

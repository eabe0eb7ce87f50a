use super::*;

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

use super::*;

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

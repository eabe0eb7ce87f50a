use std::time::Duration;

use evenkeel_core::{Address, Availability};

use super::*;

fn entries() -> (Entries, Arc<DiscoverStats>) {
    let stats = Arc::new(DiscoverStats::default());
    let entries = Entries::new(&EtcdConfig::default(), "user", Arc::clone(&stats));
    (entries, stats)
}

fn raw<'a>(key: &'a str, value: &'a str, revision: i64) -> Raw<'a> {
    Raw {
        key: key.as_bytes(),
        value: value.as_bytes(),
        revision,
    }
}

#[expect(clippy::disallowed_methods, reason = "any start will do")]
fn now() -> Instant {
    Instant::now()
}

/// Changes as short text, in order: `+key`, `-key`.
fn told(entries: &mut Entries) -> Vec<String> {
    let text = |change| match change {
        Change::Insert(key, _) => format!("+{key}"),
        Change::Remove(key) => format!("-{key}"),
    };
    let mut told: Vec<_> = entries.changes().into_iter().map(text).collect();
    told.sort();
    told
}

const GOOD: &str = r#"{"Addr":"10.0.0.1:1"}"#;
const OTHER: &str = r#"{"Addr":"10.0.0.2:1"}"#;
const THIRD: &str = r#"{"Addr":"10.0.0.3:1"}"#;

/// Three servers, told.
fn three() -> (Entries, Instant) {
    let (mut entries, _) = entries();
    let list = [
        raw("user/a", GOOD, 100),
        raw("user/b", OTHER, 101),
        raw("user/c", THIRD, 102),
    ];
    let now = now();
    entries.replace(list, true, now);
    assert_eq!(entries.changes().len(), 3);
    (entries, now)
}

#[test]
fn a_bad_value_is_skipped_counted_and_does_not_touch_others() {
    let (mut entries, stats) = entries();
    entries.replace(
        [raw("user/a", GOOD, 1), raw("user/b", "oops", 2)],
        true,
        now(),
    );
    assert_eq!((entries.changes().len(), stats.decode_errors()), (1, 1));
    assert_eq!(entries.warned.len(), 1);
    entries.put(raw("user/b", "still", 3));
    assert_eq!((entries.changes().len(), stats.decode_errors()), (0, 2));
    entries.put(raw("user/b", OTHER, 4));
    assert_eq!((entries.changes().len(), stats.decode_errors()), (1, 2));
    assert!(
        entries.warned.is_empty(),
        "mended, so the next fault is worth a warning"
    );
}

#[test]
fn a_value_that_turns_bad_takes_its_endpoint_away_unless_all_do() {
    let (mut entries, now) = three();
    entries.put(raw("user/a", "oops", 103));
    entries.settle(now);
    assert_eq!(told(&mut entries), ["-user/a"]);
    entries.put(raw("user/b", "oops", 104));
    entries.put(raw("user/c", "oops", 104));
    entries.settle(now);
    assert_eq!(told(&mut entries), ["+user/a"]);
    let bad = ["user/a", "user/b", "user/c"].map(|key| raw(key, "oops", 105));
    entries.replace(bad, true, now);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 3));
    entries.delete(b"user/a");
    entries.settle(now);
    assert_eq!((told(&mut entries).len(), entries.warned.len()), (0, 2));
}

#[test]
fn a_key_that_is_not_text_is_skipped() {
    let (mut entries, stats) = entries();
    entries.put(Raw {
        key: b"user/\xff",
        value: GOOD.as_bytes(),
        revision: 1,
    });
    assert_eq!((entries.changes().len(), stats.decode_errors()), (0, 1));
}

#[derive(Debug)]
struct Panics;

impl Codec for Panics {
    fn key(&self, _: &str, _: &Endpoint) -> String {
        String::new()
    }
    fn encode(&self, _: &str, _: &Endpoint) -> Result<Vec<u8>, CodecError> {
        Ok(Vec::new())
    }
    fn decode(&self, _: &str, _: &str, value: &[u8]) -> Result<Option<Decoded>, CodecError> {
        let address: Address = std::str::from_utf8(value).unwrap().parse().unwrap();
        Ok(Some(Decoded::new(Endpoint::new(address))))
    }
}

#[test]
fn a_value_at_which_a_codec_panics_is_skipped() {
    let config = EtcdConfig {
        codec: Arc::new(Panics),
        ..EtcdConfig::default()
    };
    let stats = Arc::new(DiscoverStats::default());
    let mut entries = Entries::new(&config, "user", Arc::clone(&stats));
    entries.put(raw("user/a", "nowhere", 1));
    entries.put(raw("user/b", "10.0.0.1:1", 2));
    assert_eq!(
        (told(&mut entries), stats.decode_errors()),
        (vec!["+user/b".into()], 1)
    );
}

#[test]
fn one_deletion_of_many_is_believed_and_most_at_once_are_not() {
    let (mut entries, now) = three();
    entries.delete(b"user/a");
    entries.settle(now);
    assert_eq!(told(&mut entries), ["-user/a"]);
    entries.delete(b"user/b");
    entries.settle(now);
    assert_eq!(
        told(&mut entries),
        ["+user/a"],
        "two of three: that is a loss"
    );
    entries.delete(b"user/c");
    entries.settle(now);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 3));
    assert_eq!(entries.stats.kept(), 3);

    entries.refused(&"user/a".into());
    assert_eq!(told(&mut entries), ["-user/a"]);
    entries.refused(&"user/a".into());
    entries.put(raw("user/lease-7", OTHER, 200));
    entries.settle(now);
    assert!(
        told(&mut entries).is_empty(),
        "it is back under another key"
    );
    entries.expire(entries.expire_at().unwrap());
    assert_eq!(told(&mut entries), ["-user/c"]);
    assert_eq!((entries.kept_len(), entries.stats.kept()), (0, 0));
}

#[test]
fn an_answer_is_judged_as_a_whole() {
    let (mut entries, now) = three();
    // All keys are deleted, and all servers are there again: under other keys, or the same.
    for key in ["user/a", "user/b", "user/c"] {
        entries.delete(key.as_bytes());
    }
    entries.put(raw("user/1", GOOD, 103));
    entries.put(raw("user/2", OTHER, 103));
    entries.put(raw("user/c", THIRD, 103));
    entries.settle(now);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 0));
}

#[test]
fn who_said_goodbye_is_not_kept() {
    let (mut entries, now) = three();
    for (key, address, how) in [
        ("user/a", "10.0.0.1:1", r#""status":"draining""#),
        ("user/b", "10.0.0.2:1", r#""status":"down""#),
        ("user/c", "10.0.0.3:1", r#""weight":0"#),
    ] {
        let value = format!(r#"{{"Addr":"{address}","Metadata":{{{how}}}}}"#);
        entries.put(raw(key, &value, 103));
        let availability = entries.set.get(key).unwrap().metadata().availability;
        assert_eq!(availability == Availability::Up, key == "user/c");
        entries.delete(key.as_bytes());
    }
    entries.settle(now);
    assert_eq!(told(&mut entries), ["-user/a", "-user/b", "-user/c"]);
}

#[test]
fn whom_a_list_of_the_same_history_misses_goes_unless_most_are_missed() {
    let (mut entries, now) = three();
    entries.replace(
        [raw("user/a", GOOD, 100), raw("user/b", OTHER, 101)],
        true,
        now,
    );
    assert_eq!(told(&mut entries), ["-user/c"]);
    let later = now + Duration::from_secs(60);
    entries.replace([], true, later);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 2));
    entries.replace([], true, later);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 2));
    entries.replace([raw("user/a", GOOD, 100)], true, later);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 1));
}

#[test]
fn whom_the_first_list_after_a_remembered_one_misses_has_left() {
    let all = [
        raw("user/a", GOOD, 100),
        raw("user/b", OTHER, 101),
        raw("user/c", THIRD, 102),
    ];
    let recalled = || {
        let mut entries = entries().0;
        let now = now();
        entries.recall(all, now);
        assert_eq!(entries.changes().len(), 3);
        (entries, now)
    };
    let (mut entries, now) = recalled();
    entries.replace([all[0]], true, now);
    assert_eq!(told(&mut entries), ["-user/b", "-user/c"]);
    entries.replace([], true, now);
    assert_eq!(entries.kept_len(), 1, "the second one is as any other");
    // Nobody at all, or another history: that is a loss all the same.
    let (mut entries, now) = recalled();
    entries.replace([], true, now);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 3));
    let (mut entries, now) = recalled();
    entries.replace([all[0]], false, now);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (0, 2));
}

#[test]
fn whom_another_history_misses_stays_until_found_or_expired() {
    let (mut entries, start) = three();
    let given_up = start + Duration::from_secs(60);
    entries.replace([], false, start);
    assert_eq!((entries.changes().len(), entries.kept_len()), (0, 3));
    entries.replace([raw("user/a", GOOD, 2)], true, start);
    assert_eq!((entries.changes().len(), entries.kept_len()), (0, 2));
    // It may come back under another key, and is what was told all the same.
    entries.put(raw("user/lease-7", OTHER, 3));
    assert_eq!((entries.changes().len(), entries.kept_len()), (0, 1));
    let weighted = r#"{"Addr":"10.0.0.1:1","Metadata":{"weight":7}}"#;
    entries.put(raw("user/a", weighted, 4));
    assert_eq!(told(&mut entries), ["+user/a"]);

    entries.delete(b"user/lease-7");
    entries.settle(start + Duration::from_secs(11));
    assert_eq!(told(&mut entries), ["-user/b"], "one of two");
    assert_eq!(entries.expire_at(), Some(given_up));
    entries.expire(given_up);
    assert_eq!(told(&mut entries), ["-user/c"]);
    assert!(!entries.is_empty() && entries.expire_at().is_none());
}

#[test]
fn a_key_that_passes_to_another_server_ends_the_one_that_was_kept() {
    let (mut entries, now) = three();
    entries.replace([], true, now);
    entries.put(raw("user/a", r#"{"Addr":"10.0.0.9:1"}"#, 103));
    entries.settle(now);
    assert_eq!((told(&mut entries).len(), entries.kept_len()), (1, 2));
}

/// One answer for each of ten thousand: quadratic costs would take minutes here.
#[test]
fn a_mass_expiry_leaves_all_of_them() {
    const OF: usize = 10_000;
    let (mut entries, _) = entries();
    let key = |n: usize| format!("user/{n}");
    let value = |n: usize| format!(r#"{{"Addr":"10.0.{}.{}:1"}}"#, n / 250, n % 250);
    let start = now();
    let list: Vec<_> = (0..OF).map(|n| (key(n), value(n))).collect();
    let raws = list.iter().map(|(key, value)| raw(key, value, 1));
    entries.replace(raws, true, start);
    entries.changes();
    let mut told = 0;
    for n in 0..OF {
        entries.delete(key(n).as_bytes());
        entries.settle(start + Duration::from_millis(3 * n as u64));
        told += entries.changes().len();
    }
    // One half went, and came back.
    assert_eq!((entries.kept_len(), told), (OF, OF));
    entries.expire(start + Duration::from_secs(120));
    assert_eq!((entries.changes().len(), entries.kept_len()), (OF, 0));
}

use std::time::Duration;

use evenkeel_core::Metadata;
use proptest::prelude::*;

use super::*;

fn endpoint(n: usize) -> Endpoint {
    let address: Address = format!("10.0.{}.{}:1", n / 250, n % 250).parse().unwrap();
    Endpoint::new(address)
}

fn entry(n: usize) -> Entry {
    (format!("user/{n}").into(), endpoint(n))
}

fn entries(of: impl IntoIterator<Item = usize>) -> Vec<Entry> {
    of.into_iter().map(entry).collect()
}

/// Which ones, in order.
fn which(entries: &[Entry]) -> Vec<&str> {
    let mut keys: Vec<_> = entries.iter().map(|(key, _)| &key.as_str()[5..]).collect();
    keys.sort_unstable();
    keys
}

#[expect(clippy::disallowed_methods, reason = "a start for the tables' times")]
fn clock() -> impl Fn(u64) -> Instant {
    let start = Instant::now();
    move |seconds| start + Duration::from_secs(seconds)
}

fn loss() -> Loss {
    Loss::new(&OnLoss::default())
}

#[test]
fn what_counts_as_a_loss() {
    let at = clock();
    // (gone at once, left, whether they are kept)
    for (gone, left, kept) in [
        (1, 9, false),
        (1, 1, false),
        (1, 0, true),
        (2, 2, false),
        (2, 1, true),
        (5, 5, false),
        (6, 4, true),
        (10, 0, true),
        (0, 0, false),
    ] {
        let mut loss = loss();
        let told = loss.lose(entries(0..gone), left, at(0)).len();
        assert_eq!(
            told,
            if kept { gone } else { 0 },
            "{gone} gone, {left} left"
        );
        assert_eq!(loss.len(), told);
    }
}

#[test]
fn those_that_went_first_are_taken_back_when_it_turns_out_to_be_a_loss() {
    let at = clock();
    let mut loss = loss();
    assert!(loss.lose(entries([0]), 3, at(0)).is_empty());
    assert!(loss.lose(entries([1]), 2, at(9)).is_empty());
    assert_eq!(which(&loss.lose(entries([2]), 1, at(10))), ["0", "1", "2"]);
    assert_eq!(which(&loss.lose(entries([3]), 0, at(10))), ["3"]);
    assert_eq!((loss.len(), loss.expire_at()), (4, Some(at(60))));
    assert_eq!(which(&loss.expired(at(60))), ["0"]);
    assert_eq!(loss.expire_at(), Some(at(69)));
}

#[test]
fn deletions_far_apart_are_no_loss_but_the_last_one_is() {
    let at = clock();
    let mut loss = loss();
    for n in 0..3 {
        let now = at(11 * n as u64);
        assert!(loss.lose(entries([n]), 3 - n, now).is_empty());
    }
    assert_eq!(which(&loss.lose(entries([3]), 0, at(33))), ["3"]);
    assert_eq!(loss.lost.len(), 1, "nothing is kept in mind for ever");
}

#[test]
fn one_that_comes_back_is_not_lost() {
    let at = clock();
    let mut loss = loss();
    loss.lose(entries([0]), 3, at(0));
    assert_eq!(loss.found(&endpoint(0)), None, "it was not kept");
    loss.lose(entries([1]), 3, at(1));
    assert!(loss.lose(entries([2]), 2, at(2)).is_empty(), "2 of 4");

    let mut loss = self::loss();
    loss.lose(entries([0, 1]), 0, at(0));
    let again = endpoint(0).with_metadata(Metadata::default().with_weight(7.0));
    assert_eq!(loss.found(&again), Some("user/0".into()));
    assert!(loss.forget(&"user/1".into()) && !loss.forget(&"user/1".into()));
    assert!(loss.len() == 0 && loss.expire_at().is_none() && loss.kept().next().is_none());
}

#[test]
fn another_history_keeps_all_it_misses_and_gives_all_their_time_anew() {
    let at = clock();
    let mut loss = loss();
    assert_eq!(which(&loss.forgotten(entries([0, 1]), at(0))), ["0", "1"]);
    assert_eq!(which(&loss.forgotten(entries([2]), at(30))), ["2"]);
    assert!(loss.expired(at(89)).is_empty());
    assert!(loss.get(&"user/2".into()).is_some() && loss.expire_at() == Some(at(90)));
    loss.lose(entries([3]), 0, at(40));
    assert_eq!(which(&loss.expired(at(90))), ["0", "1", "2"]);
    assert_eq!((loss.len(), loss.expire_at()), (1, Some(at(100))));
}

#[test]
fn time_stands_still_while_nobody_watches() {
    let at = clock();
    let mut loss = loss();
    assert_eq!(loss.lose(entries([0, 1]), 0, at(0)).len(), 2);
    loss.watched(false, at(5));
    loss.watched(false, at(7));
    assert!(loss.expired(at(1000)).is_empty());
    loss.watched(true, at(1005));
    loss.watched(true, at(1006));
    assert_eq!(loss.expire_at(), Some(at(1060)));
    assert!(loss.expired(at(1059)).is_empty());
    loss.watched(false, at(1059));
    loss.watched(true, at(1069));
    assert_eq!(which(&loss.expired(at(1070))), ["0", "1"]);
}

#[test]
fn a_burst_that_an_outage_interrupts_goes_on_after_it() {
    let at = clock();
    let mut loss = loss();
    assert!(loss.lose(entries([0, 1]), 3, at(0)).is_empty());
    loss.watched(false, at(5));
    // As a list finds them, before the next watch.
    let told = loss.lose(entries([2]), 2, at(500));
    loss.watched(true, at(500));
    assert_eq!(which(&told), ["0", "1", "2"]);
    assert_eq!(loss.expire_at(), Some(at(555)));
}

/// (of, one in so many milliseconds, whether that is a loss)
#[test]
fn a_loss_may_be_slow_and_takes_back_all_that_went() {
    let start = clock()(0);
    for (of, every, is_loss) in [
        (100, 300, true),
        (1_000, 50, true),
        (10_000, 3, true),
        (10, 9_000, true),
        (10, 11_000, false),
        // Half of it takes longer than anybody is kept.
        (100, 2_000, false),
    ] {
        let mut loss = loss();
        let mut back = 0;
        for n in 0..of - 1 {
            let now = start + Duration::from_millis(every * n as u64);
            let told = loss.lose(entries([n]), of - 1 - n, now);
            assert!(told.is_empty() || n >= of / 2, "{n} of {of}");
            back += told.len();
            if n == of / 2 {
                assert_eq!(back == n + 1, is_loss, "{back} of {of} in {every} ms");
            }
        }
        assert!(!is_loss || back == of - 1);
    }
}

/// (list, how many are out at the same time)
#[test]
fn servers_that_are_replaced_one_by_one_without_a_word_are_no_loss() {
    let at = clock();
    for (of, out) in [(1, 0), (2, 1), (4, 2), (10, 5), (100, 0)] {
        let mut loss = loss();
        for n in 0..3 * of {
            // Newcomers are `left` as soon as they are there.
            let left = if n < out { of - 1 - n } else { of - out };
            let told = loss.lose(entries([n]), left.max(1), at(5 * n as u64));
            assert!(told.is_empty(), "number {n} of {of}, {out} out");
        }
        assert!(loss.lost.len() <= 13, "nobody is kept in mind for ever");
    }
}

#[test]
fn those_that_say_goodbye_do_not_make_a_loss_of_the_others() {
    let at = clock();
    let mut loss = loss();
    assert!(loss.lose(entries([0]), 9, at(0)).is_empty());
    // Six of them do, which is not told.
    assert!(loss.lose(entries([1]), 2, at(5)).is_empty());
    assert_eq!(loss.lose(entries([2]), 1, at(6)).len(), 3, "most of them");
}

#[test]
fn who_accepts_empty_keeps_nobody() {
    let at = clock();
    let never = KeepLast {
        limit: Duration::ZERO,
        ..KeepLast::default()
    };
    for on_loss in [OnLoss::AcceptEmpty, OnLoss::KeepLast(never)] {
        let mut loss = Loss::new(&on_loss);
        assert!(loss.lose(entries(0..9), 0, at(0)).is_empty());
        assert!(loss.forgotten(entries(0..9), at(0)).is_empty());
        assert!(loss.lost.is_empty() && loss.servers.is_empty());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Lose(Vec<usize>),
    Forgotten(Vec<usize>),
    Found(usize),
    Written(usize),
    Wait(u64),
    /// Whether etcd is watched, after so many seconds.
    Watched(bool, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(0..12_usize, 0..6);
    prop_oneof![
        some().prop_map(Step::Lose),
        some().prop_map(Step::Forgotten),
        (0..12_usize).prop_map(Step::Found),
        (0..12_usize).prop_map(Step::Written),
        (0..40_u64).prop_map(Step::Wait),
        (any::<bool>(), 0..200_u64).prop_map(|(watched, after)| Step::Watched(watched, after)),
    ]
}

proptest! {
    /// Against a list as a discovery has one: it never becomes empty by deletions alone, nobody
    /// is kept for longer than the limit, and the counts agree.
    #[test]
    fn the_list_is_never_emptied_by_etcd_alone(steps in prop::collection::vec(step(), 1..60)) {
        let at = clock();
        let mut now = 0;
        let mut watched = true;
        let mut loss = loss();
        let mut present: std::collections::BTreeSet<usize> = (0..12).collect();
        for step in steps {
            let take = |present: &mut std::collections::BTreeSet<_>, which: Vec<usize>| {
                entries(which.into_iter().filter(|n| present.remove(n)))
            };
            let had = present.len() + loss.len();
            match step {
                Step::Lose(which) => {
                    let gone = take(&mut present, which);
                    loss.lose(gone, present.len(), at(now));
                    prop_assert!(had == 0 || present.len() + loss.len() > 0);
                }
                Step::Forgotten(which) => {
                    let gone = take(&mut present, which);
                    loss.forgotten(gone, at(now));
                    prop_assert!(present.len() + loss.len() >= had);
                }
                Step::Found(n) => {
                    loss.found(&endpoint(n));
                    present.insert(n);
                }
                Step::Written(n) => {
                    loss.forget(&entry(n).0);
                    present.insert(n);
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    if watched {
                        loss.expired(at(now));
                        prop_assert!(loss.expire_at().is_none_or(|due| due > at(now)));
                    } else {
                        // What was due before, but nothing that became so meanwhile.
                        loss.expired(at(now));
                        prop_assert!(loss.expired(at(now + 1000)).is_empty());
                    }
                }
                Step::Watched(to, seconds) => {
                    now += seconds;
                    watched = to;
                    loss.watched(to, at(now));
                }
            }
            prop_assert_eq!(loss.kept().count(), loss.len());
            let most = at(now + 60);
            prop_assert!(!watched || loss.lost.values().filter_map(|lost| lost.keep_until)
                .all(|until| loss.watched.clock(until) <= most));
            let order = |queue: &VecDeque<(Instant, _)>| queue.iter().is_sorted_by_key(|(at, _)| *at);
            prop_assert!(order(&loss.due) && order(&loss.believed));
            prop_assert_eq!(loss.lost.len(), loss.servers.len());
            prop_assert!(loss.kept().all(|(key, _)| loss.get(key).is_some()));
            prop_assert_eq!(loss.len() > 0, loss.expire_at().is_some());
        }
    }
}

proptest! {
    /// Whatever the speed, as long as half of it takes less time than anybody is kept.
    #[test]
    fn a_mass_expiry_ends_with_the_whole_list(
        of in 2..200_usize, pauses in prop::collection::vec(0..10_000_u64, 200),
    ) {
        let mut loss = loss();
        let mut now = clock()(0);
        let start = now;
        let mut back = 0;
        let mut half = None;
        for (n, pause) in pauses.iter().take(of).enumerate() {
            now += Duration::from_millis(*pause);
            back += loss.lose(entries([n]), of - 1 - n, now).len();
            half = half.or((n + 1 > of / 2).then_some(now));
        }
        let quick = half.is_some_and(|half| half < start + Duration::from_secs(60));
        prop_assert!(!quick || back == of, "{} of {}", back, of);
        prop_assert!(back > 0);
    }
}

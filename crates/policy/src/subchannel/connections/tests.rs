use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

/// A connection whose peer says how many streams it lets be open.
#[derive(Clone, Debug, Default)]
struct Fake(Rc<(Cell<usize>, Cell<Option<usize>>)>);

impl Fake {
    fn allowing(streams: usize) -> Self {
        let fake = Self::default();
        fake.allow(streams);
        fake
    }

    fn allow(&self, streams: usize) {
        self.0.0.set(streams);
    }

    fn open(&self, streams: usize) {
        self.0.1.set(Some(streams));
    }

    fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Capacity for Fake {
    fn max_concurrent_streams(&self) -> usize {
        self.0.0.get()
    }

    fn open_streams(&self) -> Option<usize> {
        self.0.1.get()
    }
}

/// Calls are known by a letter.
type Calls = Connections<Fake, char>;

fn wait(calls: &mut Calls, call: char) -> u64 {
    calls.wait(|number| (call, number))
}

/// Where a call goes: the place of its connection, or why it has none.
fn begin(calls: &mut Calls, fakes: &[Fake]) -> Result<(usize, ConnectionKey), &'static str> {
    match calls.begin() {
        Begun::On(key, connection) => {
            let place = fakes.iter().position(|fake| fake.is(&connection));
            Ok((place.unwrap(), key))
        }
        Begun::Wait => Err("wait"),
        Begun::Nowhere => Err("nowhere"),
    }
}

fn connected(most: usize, allowing: &[usize]) -> (Calls, Vec<Fake>, Vec<ConnectionKey>) {
    let mut calls = Calls::new(most);
    let fakes: Vec<_> = allowing.iter().copied().map(Fake::allowing).collect();
    let keys = fakes.iter().map(|fake| calls.add(fake.clone())).collect();
    (calls, fakes, keys)
}

#[test]
fn a_call_takes_the_oldest_connection_that_has_a_stream_to_spare() {
    let (mut calls, fakes, keys) = connected(3, &[2, 0, 1]);
    let places: Vec<_> = (0..4)
        .map(|_| begin(&mut calls, &fakes).map(|(place, _)| place))
        .collect();
    assert_eq!(places, [Ok(0), Ok(0), Ok(2), Err("wait")]);
    calls.end(keys[0], true);
    assert_eq!(begin(&mut calls, &fakes), Ok((0, keys[0])));
}

#[test]
fn without_a_connection_a_call_goes_nowhere() {
    let mut calls = Calls::new(2);
    assert_eq!(begin(&mut calls, &[]), Err("nowhere"));
    assert!(!calls.wants_another(), "the first one is the machine's");
}

#[test]
fn who_waits_goes_first_and_in_order() {
    let (mut calls, fakes, keys) = connected(1, &[1]);
    begin(&mut calls, &fakes).unwrap();
    for call in ['a', 'b', 'c'] {
        wait(&mut calls, call);
    }
    fakes[0].allow(3);
    assert_eq!(begin(&mut calls, &fakes), Err("wait"), "others wait");
    let next: Vec<_> = std::iter::from_fn(|| calls.give()).map(|it| it.0).collect();
    assert_eq!(next, ['a', 'b']);
    calls.end(keys[0], true);
    assert_eq!(calls.give().unwrap().0, 'c');
    assert!(calls.give().is_none());
}

#[test]
fn a_call_that_is_given_up_while_it_waits_lets_the_others_pass() {
    let (mut calls, fakes, keys) = connected(1, &[1]);
    begin(&mut calls, &fakes).unwrap();
    let (first, second) = (wait(&mut calls, 'a'), wait(&mut calls, 'b'));
    assert!(calls.leave(first));
    assert!(!calls.leave(first), "once");
    calls.end(keys[0], true);
    assert_eq!(calls.give().unwrap().0, 'b');
    assert!(!calls.leave(second), "it has its stream");
}

#[test]
fn another_connection_is_wanted_when_calls_wait_none_has_room_and_one_more_is_allowed() {
    for (most, allowing, waits, attempting, expected) in [
        (2, &[1][..], true, false, true),
        (2, &[1], true, true, false),
        (2, &[1], false, false, false),
        (1, &[1], true, false, false),
        (2, &[1, 1], true, false, false),
        (3, &[1, 1], true, false, true),
        (10, &[0], true, false, true),
    ] {
        let (mut calls, fakes, _) = connected(most, allowing);
        while begin(&mut calls, &fakes).is_ok() {}
        if waits {
            wait(&mut calls, 'a');
        }
        calls.set_attempting(attempting);
        assert_eq!(
            calls.wants_another(),
            expected,
            "{most} {allowing:?} {waits} {attempting}"
        );
    }
}

#[test]
fn raising_the_number_allowed_counts_at_once_and_lowering_it_gives_up_none() {
    let (mut calls, fakes, _) = connected(1, &[1]);
    begin(&mut calls, &fakes).unwrap();
    wait(&mut calls, 'a');
    assert!(!calls.wants_another());
    assert!(calls.set_most(2));
    assert!(calls.wants_another());
    calls.add(fakes[0].clone());
    assert!(calls.set_most(1));
    assert!(!calls.set_most(1));
    assert_eq!(calls.iter().count(), 2);
}

#[test]
fn a_new_limit_of_the_peer_counts_for_the_next_call() {
    let (mut calls, fakes, keys) = connected(1, &[3]);
    for _ in 0..3 {
        begin(&mut calls, &fakes).unwrap();
    }
    fakes[0].allow(1);
    for _ in 0..2 {
        calls.end(keys[0], true);
        assert_eq!(begin(&mut calls, &fakes), Err("wait"));
    }
    calls.end(keys[0], true);
    assert_eq!(begin(&mut calls, &fakes), Ok((0, keys[0])));
}

#[test]
fn streams_that_others_have_opened_count_too() {
    let (mut calls, fakes, keys) = connected(1, &[2]);
    fakes[0].open(1);
    assert!(begin(&mut calls, &fakes).is_ok());
    assert_eq!(begin(&mut calls, &fakes), Err("wait"));
    fakes[0].open(2);
    calls.opened(keys[0]);
    assert_eq!(begin(&mut calls, &fakes), Err("wait"));
    // That of the other one has ended.
    fakes[0].open(1);
    assert!(begin(&mut calls, &fakes).is_ok());
}

#[test]
fn a_stream_is_given_to_one_call_though_it_has_not_opened_it() {
    let (mut calls, fakes, keys) = connected(1, &[2]);
    fakes[0].open(2);
    for call in ['a', 'b', 'c'] {
        wait(&mut calls, call);
    }
    fakes[0].open(1);
    assert!(calls.is_due());
    assert_eq!(calls.give().unwrap().0, 'a');
    assert!(calls.give().is_none(), "the only one is given");
    assert!(!calls.is_due());
    // It is given up before it is sent.
    calls.end(keys[0], false);
    assert_eq!(calls.give().unwrap().0, 'b');
    fakes[0].open(2);
    calls.opened(keys[0]);
    assert!(calls.give().is_none());
    // Settled at its head: its stream is open for as long as its body lives.
    calls.end(keys[0], true);
    assert!(calls.give().is_none());
    fakes[0].open(1);
    assert_eq!(calls.give().unwrap().0, 'c');
}

#[test]
fn only_the_last_connection_takes_those_who_wait_with_it() {
    let (mut calls, fakes, keys) = connected(2, &[1, 1]);
    while begin(&mut calls, &fakes).is_ok() {}
    wait(&mut calls, 'a');
    wait(&mut calls, 'b');
    assert!(calls.remove(keys[0]).is_empty());
    assert_eq!(calls.remove(keys[1]), ['a', 'b']);
    assert_eq!(begin(&mut calls, &fakes), Err("nowhere"));
    // The calls that were on them end later.
    calls.end(keys[0], true);
}

#[derive(Clone, Debug)]
enum Event {
    Comes,
    GivenUp(prop::sample::Index),
    Ends(prop::sample::Index),
    Connected(usize),
    Lost(prop::sample::Index),
    Limit(prop::sample::Index, usize),
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => Just(Event::Comes),
        1 => index().prop_map(Event::GivenUp),
        4 => index().prop_map(Event::Ends),
        1 => (0_usize..4).prop_map(Event::Connected),
        1 => index().prop_map(Event::Lost),
        1 => (index(), 0_usize..4).prop_map(|(place, limit)| Event::Limit(place, limit)),
    ]
}

proptest! {
    /// Whatever happens in whatever order: no connection is given more calls than its peer allows, calls go
    /// in the order in which they came, and nobody waits while there is room.
    #[test]
    fn nobody_waits_in_vain_and_nobody_is_passed(
        events in prop::collection::vec(event(), 1..200),
    ) {
        let mut calls = Connections::<Fake, u64>::new(4);
        let mut connections: Vec<(Fake, ConnectionKey)> = Vec::new();
        let mut running: Vec<ConnectionKey> = Vec::new();
        let mut queue: VecDeque<u64> = VecDeque::new();
        for event in events {
            match event {
                Event::Comes => match calls.begin() {
                    Begun::On(key, connection) => {
                        prop_assert!(queue.is_empty());
                        running.push(key);
                        let on = running.iter().filter(|one| **one == key).count();
                        prop_assert!(on <= connection.max_concurrent_streams());
                    }
                    Begun::Wait => queue.push_back(calls.wait(|number| (number, number))),
                    Begun::Nowhere => prop_assert!(connections.is_empty()),
                },
                Event::GivenUp(place) if !queue.is_empty() => {
                    let number = queue.remove(place.index(queue.len())).unwrap();
                    prop_assert!(calls.leave(number));
                }
                Event::Ends(place) if !running.is_empty() => {
                    calls.end(running.swap_remove(place.index(running.len())), true);
                }
                Event::Connected(limit) if connections.len() < calls.most() => {
                    let fake = Fake::allowing(limit);
                    connections.push((fake.clone(), calls.add(fake)));
                }
                Event::Lost(place) if !connections.is_empty() => {
                    let (_, key) = connections.remove(place.index(connections.len()));
                    let failed = calls.remove(key);
                    let expected = if connections.is_empty() { queue.drain(..).collect() } else { vec![] };
                    prop_assert_eq!(failed, expected);
                    running.retain(|one| *one != key);
                }
                Event::Limit(place, limit) if !connections.is_empty() => {
                    connections[place.index(connections.len())].0.allow(limit);
                }
                _ => {}
            }
            while let Some((number, key, connection)) = calls.give() {
                prop_assert_eq!(Some(number), queue.pop_front());
                running.push(key);
                let on = running.iter().filter(|one| **one == key).count();
                prop_assert!(on <= connection.max_concurrent_streams());
            }
            let has_room = connections.iter().any(|(fake, key)| {
                let on = running.iter().filter(|one| *one == key).count();
                on < fake.max_concurrent_streams()
            });
            prop_assert!(queue.is_empty() || !has_room);
            let wanted = !queue.is_empty() && connections.len() < calls.most();
            prop_assert_eq!(calls.wants_another(), wanted);
        }
    }
}

use std::collections::BTreeMap;

use evenkeel_core::{Address, Metadata};
use proptest::prelude::*;

use super::*;

fn endpoint(n: u16, weight: u32) -> Endpoint {
    let address: Address = format!("10.0.0.1:{}", n + 1).parse().unwrap();
    Endpoint::new(address).with_metadata(Metadata::default().with_weight(weight.into()))
}

fn insert(n: u16, weight: u32) -> Change {
    Change::Insert(n.to_string().into(), endpoint(n, weight))
}

fn remove(n: u16) -> Change {
    Change::Remove(n.to_string().into())
}

fn publish(board: &mut Board, changes: impl Into<Vec<Change>>, state: Option<State>) {
    let changes = changes.into();
    board.publish(News { changes, state });
    board.waiting().wake();
}

fn down() -> Option<State> {
    Some(State::Report(DiscoverError::empty("etcd", "user")))
}

/// Items as short text: `+key*weight`, `-key`, `!`.
fn told(view: &mut View, board: &Board) -> Vec<String> {
    let text = |item: Item| match item {
        Ok(Change::Insert(key, endpoint)) => {
            format!("+{key}*{}", endpoint.metadata().weight.unwrap())
        }
        Ok(Change::Remove(key)) => format!("-{key}"),
        Err(_) => "!".to_owned(),
    };
    view.catch_up(board).into_iter().map(text).collect()
}

#[test]
fn a_late_follower_is_told_the_whole_list_in_order_and_then_what_is_new() {
    let mut board = Board::default();
    let mut first = board.enter();
    publish(&mut board, [insert(2, 1), insert(1, 1)], None);
    assert_eq!(told(&mut first, &board), ["+2*1", "+1*1"]);
    publish(&mut board, [insert(3, 1), insert(2, 5), remove(1)], None);
    let mut late = board.enter();
    assert_eq!(told(&mut late, &board), ["+3*1", "+2*5"]);
    assert_eq!(told(&mut first, &board), ["+3*1", "+2*5", "-1"]);
    assert!(told(&mut first, &board).is_empty() && told(&mut late, &board).is_empty());
}

#[test]
fn what_came_and_went_meanwhile_is_not_told() {
    let mut board = Board::default();
    let mut view = board.enter();
    publish(&mut board, [insert(1, 1), insert(2, 1)], None);
    publish(&mut board, [remove(1)], None);
    assert_eq!(told(&mut view, &board), ["+2*1"]);
}

#[test]
fn each_follower_is_told_of_an_outage_and_of_its_end() {
    let mut board = Board::default();
    let [mut quick, mut slow] = [board.enter(), board.enter()];
    publish(&mut board, [insert(1, 1)], None);
    assert_eq!(told(&mut quick, &board), ["+1*1"]);
    publish(&mut board, [], down());
    assert_eq!(told(&mut quick, &board), ["!"]);
    assert!(told(&mut quick, &board).is_empty());
    publish(&mut board, [], down());
    assert_eq!(told(&mut quick, &board), ["!"], "again, with every attempt");
    assert_eq!(told(&mut board.enter(), &board), ["+1*1", "!"]);
    publish(&mut board, [], Some(State::Well));
    assert_eq!(
        told(&mut quick, &board),
        ["+1*1"],
        "it is well, and that says so"
    );
    assert_eq!(told(&mut slow, &board), ["+1*1"], "it has not heard of it");
    publish(&mut board, [], down());
    told(&mut quick, &board);
    publish(&mut board, [insert(2, 1)], Some(State::Well));
    assert_eq!(told(&mut quick, &board), ["+2*1"], "news say so too");
}

#[test]
fn memory_does_not_grow_with_what_a_sleeper_misses() {
    let mut board = Board::default();
    let mut sleeper = board.enter();
    publish(&mut board, [insert(1, 1), insert(2, 1)], None);
    told(&mut sleeper, &board);
    publish(&mut board, [remove(1)], None);
    for weight in 0..10_000 {
        publish(&mut board, [insert(2, weight), insert(3, weight)], None);
    }
    assert_eq!(board.log.len(), MEMORY);
    assert_eq!(told(&mut sleeper, &board), ["+2*9999", "+3*9999", "-1"]);
}

proptest! {
    /// However seldom a follower looks, it ends with the list as it is.
    #[test]
    fn every_follower_gets_to_the_present(
        steps in prop::collection::vec((0..400_u16, 0..3_u32, 0..40_usize), 0..900),
    ) {
        let mut board = Board::default();
        let mut followers: Vec<_> = (1..40).step_by(6).map(|every| {
            (every, board.enter(), BTreeMap::new())
        }).collect();
        let mut list = BTreeMap::new();
        for (n, weight, look) in steps {
            if weight == 0 {
                if list.remove(&n).is_some() {
                    publish(&mut board, [remove(n)], None);
                }
            } else if list.insert(n, weight) != Some(weight) {
                publish(&mut board, [insert(n, weight)], None);
            }
            for (every, view, seen) in &mut followers {
                if look % *every == 0 {
                    apply(view.catch_up(&board), seen)?;
                }
            }
        }
        let list: BTreeMap<_, _> = list.iter().map(|(n, weight)| {
            (n.to_string(), endpoint(*n, *weight))
        }).collect();
        for (_, mut view, mut seen) in followers {
            apply(view.catch_up(&board), &mut seen)?;
            prop_assert_eq!(&seen, &list);
        }
    }
}

fn apply(items: Vec<Item>, seen: &mut BTreeMap<String, Endpoint>) -> Result<(), TestCaseError> {
    for item in items {
        match item {
            Ok(Change::Insert(key, endpoint)) => drop(seen.insert(key.to_string(), endpoint)),
            Ok(Change::Remove(key)) => prop_assert!(seen.remove(key.as_str()).is_some()),
            Err(_) => prop_assert!(false, "nothing was reported"),
        }
    }
    Ok(())
}

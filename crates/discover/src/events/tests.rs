use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::DiscoverExt;
use crate::testing::{insert, remove, script, unavailable};

#[tokio::test]
async fn changes_are_told_with_what_was_before() {
    let (say, source) = script();
    let mut events = source.events();
    let mut seen = |items: Vec<Result<Change, DiscoverError>>| {
        for item in items {
            say.send(item).unwrap();
        }
        let version = |one: &Endpoint| one.metadata().version.clone().unwrap_or_default();
        let mut seen = Vec::new();
        while let Some(Some(event)) = events.next().now_or_never() {
            seen.push(match event {
                Event::Added { key, endpoint } => format!("+{key} {}", version(&endpoint)),
                Event::Updated { key, old, new } => {
                    format!("{key} {}->{}", version(&old), version(&new))
                }
                Event::Removed { key, endpoint } => format!("-{key} {}", version(&endpoint)),
                Event::Report(report) => format!("!{report}"),
                Event::Recovered => "recovered".to_owned(),
            });
        }
        seen
    };
    assert_eq!(
        seen(vec![insert("a", 1, "v1"), insert("b", 2, "v1")]),
        ["+a v1", "+b v1"]
    );
    assert!(
        seen(vec![insert("a", 1, "v1")]).is_empty(),
        "nothing is new"
    );
    assert_eq!(seen(vec![insert("a", 1, "v2")]), ["a v1->v2"]);
    assert_eq!(
        seen(vec![Err(unavailable("etcd")), insert("a", 1, "v2")]),
        ["!etcd unavailable: unplugged", "recovered"]
    );
    assert_eq!(seen(vec![remove("a"), remove("nobody")]), ["-a v2"]);
}

#[tokio::test]
async fn they_end_with_their_source() {
    let mut events = futures_util::stream::iter([insert("a", 1, "v1")]).events();
    assert!(matches!(events.next().await, Some(Event::Added { .. })));
    assert!(events.next().await.is_none());
}

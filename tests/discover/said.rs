use evenkeel_discover::{Change, DiscoverError};
use evenkeel_testkit::within;
use futures_util::{Stream, StreamExt};

pub(crate) type Item = Result<Change, DiscoverError>;

/// The next thing a source says: `+key`, `-key`, or a report.
pub(crate) async fn next(source: &mut (impl Stream<Item = Item> + Unpin)) -> String {
    let item = within("something is said", source.next()).await;
    match item.expect("a source never ends") {
        Ok(Change::Insert(key, _)) => format!("+{key}"),
        Ok(Change::Remove(key)) => format!("-{key}"),
        Err(report) => report.to_string(),
    }
}

/// The next so many things.
pub(crate) async fn some(
    source: &mut (impl Stream<Item = Item> + Unpin),
    count: usize,
) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..count {
        said.push(next(source).await);
    }
    said
}

/// Waits until it says `what`, whatever it says before.
pub(crate) async fn until(source: &mut (impl Stream<Item = Item> + Unpin), what: &str) {
    while next(source).await != what {}
}

//! What the tests of the combinators have in common.

use std::fmt;

use evenkeel_core::{Address, Endpoint, Metadata};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{Change, DiscoverError};

pub(crate) type Item = Result<Change, DiscoverError>;

/// What a test says as a source, and the source.
pub(crate) fn script() -> (mpsc::UnboundedSender<Item>, UnboundedReceiverStream<Item>) {
    let (say, said) = mpsc::unbounded_channel();
    (say, UnboundedReceiverStream::new(said))
}

pub(crate) fn endpoint(address: &str) -> Endpoint {
    Endpoint::new(address.parse::<Address>().unwrap())
}

/// One that runs `version`, if that is a word.
pub(crate) fn versioned(address: &str, version: &str) -> Endpoint {
    let mut metadata = Metadata::default();
    metadata.version = (!version.is_empty()).then(|| version.to_owned());
    endpoint(address).with_metadata(metadata)
}

/// `name` at port 1 of `10.0.0.host`.
pub(crate) fn insert(name: &str, host: u8, version: &str) -> Item {
    let endpoint = versioned(&format!("10.0.0.{host}:1"), version);
    Ok(Change::Insert(name.into(), endpoint))
}

pub(crate) fn remove(name: &str) -> Item {
    Ok(Change::Remove(name.into()))
}

pub(crate) fn unavailable(registry: &str) -> DiscoverError {
    let now = crate::source::now();
    DiscoverError::unavailable(registry, now, now, "unplugged")
}

/// `+key=host version`, `-key` or the report.
pub(crate) fn text<E: fmt::Display>(item: &Result<Change, E>) -> String {
    match item {
        Ok(Change::Insert(key, endpoint)) => {
            let address = endpoint.to_string();
            let host = address.trim_start_matches("10.0.0.").trim_end_matches(":1");
            let version = endpoint.metadata().version.as_deref().unwrap_or_default();
            format!("+{key}={host}{version}")
        }
        Ok(Change::Remove(key)) => format!("-{key}"),
        Err(report) => format!("!{report}"),
    }
}

/// All that a stream says now.
pub(crate) fn said<S, E>(stream: &mut S) -> Vec<String>
where
    S: Stream<Item = Result<Change, E>> + Unpin,
    E: fmt::Display,
{
    let mut said = Vec::new();
    while let Some(Some(item)) = stream.next().now_or_never() {
        said.push(text(&item));
    }
    said
}

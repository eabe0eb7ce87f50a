use etcd_client::{GetOptions, KeyValue};
use tracing::debug;

use super::cursor::Cursor;
use crate::connect::Connection;
use crate::{Etcd, EtcdError};

/// A page or a watch response may have this many bytes. gRPC's default of 4 MiB is less than what
/// one transaction may write. etcd splits no answer unless it is asked to, so one of its answers is
/// one of its revisions as a whole; one that is longer is an error, and so is the list after it.
pub(super) const MAX_MESSAGE: usize = 64 << 20;

const ACTION: &str = "list endpoints";

/// What etcd has, as of when.
pub(crate) type Listed = (Cursor, Vec<KeyValue>);

/// What etcd has under `prefix`, and the connection over which it said so; one that fails is given
/// up.
pub(super) async fn fetch(etcd: Etcd, prefix: String) -> Result<(Connection, Listed), EtcdError> {
    let connection = etcd.connection().await?;
    match list(&etcd, &connection, &prefix).await {
        Ok(listed) => Ok((connection, listed)),
        Err(error) => {
            etcd.suspect(connection.generation(), &error).await;
            Err(error)
        }
    }
}

/// All keys that start with `prefix`, in order, as they were at one revision.
///
/// One that was overtaken by a compaction between two pages begins again at once, with longer
/// pages: so it ends however often etcd is compacted.
pub(crate) async fn list(
    etcd: &Etcd,
    connection: &Connection,
    prefix: &str,
) -> Result<Listed, EtcdError> {
    let mut page = i64::from(etcd.config().page);
    loop {
        match pages(etcd, connection, prefix, page).await {
            Err(Interrupted::Compacted) => {
                page = page.saturating_mul(4);
                debug!(
                    prefix,
                    page, "a compaction came between two pages, listing again"
                );
            }
            Err(Interrupted::Failed(error)) => return Err(error),
            Ok(list) => return Ok(list),
        }
    }
}

enum Interrupted {
    Compacted,
    Failed(EtcdError),
}

async fn pages(
    etcd: &Etcd,
    connection: &Connection,
    prefix: &str,
    limit: i64,
) -> Result<Listed, Interrupted> {
    let mut kv = connection
        .client
        .kv_client()
        .max_decoding_message_size(MAX_MESSAGE);
    let end = range_end(prefix.as_bytes());
    let mut from = prefix.as_bytes().to_owned();
    let mut cursor = None::<Cursor>;
    let mut keys = Vec::new();
    loop {
        let mut options = GetOptions::new().with_range(end.clone()).with_limit(limit);
        if let Some(cursor) = cursor {
            options = options.with_revision(cursor.revision);
        }
        let page = etcd.answer(ACTION, kv.get(from, Some(options))).await;
        let mut page = page.map_err(|error| {
            if cursor.is_some() && error.is_compaction() {
                Interrupted::Compacted
            } else {
                Interrupted::Failed(error)
            }
        })?;
        let header = page.header().ok_or_else(|| {
            Interrupted::Failed(EtcdError::ended(ACTION, "an answer without a header"))
        })?;
        let cursor = *cursor.get_or_insert(header.into());
        let more = page.more();
        keys.append(&mut page.take_kvs());
        match keys.last() {
            Some(last) if more => from = [last.key(), b"\0"].concat(),
            _ => return Ok((cursor, keys)),
        }
    }
}

/// The first key after all that start with `prefix`. A prefix ends in `/`, so there is one.
pub(crate) fn range_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_owned();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_before_the_neighbours() {
        assert_eq!(range_end(b"user/"), b"user0");
        assert!(b"user/z".as_slice() < b"user0".as_slice());
        assert!(b"user-admin/x".as_slice() < b"user/".as_slice());
    }
}

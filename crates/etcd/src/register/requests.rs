//! What is asked of etcd for many keys at once, and what the answers mean. No connection.

use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse};

use super::ledger::{Delete, Put};

/// Keys in one request; etcd takes 128 operations unless told otherwise, those in nested
/// transactions included.
pub(super) const CHUNK: usize = 100;

/// Writes keys. What is no claim is only written while nobody has the key but us.
pub(super) fn put(puts: &[Put], lease: i64) -> Txn {
    let operation = |put: &Put| {
        let options = PutOptions::new().with_lease(lease);
        let write = TxnOp::put(put.key.as_str(), put.value.as_slice(), Some(options));
        if put.claims {
            return write;
        }
        let read = TxnOp::get(put.key.as_str(), Some(GetOptions::new().with_keys_only()));
        let unless_ours = Txn::new()
            .when([held_by(&put.key, lease)])
            .and_then([write.clone()])
            .or_else([read]);
        // A key that is not there has lease 0, as one that was written by hand.
        let unless_free = Txn::new()
            .when([held_by(&put.key, 0)])
            .and_then([write])
            .or_else([TxnOp::txn(unless_ours)]);
        TxnOp::txn(unless_free)
    };
    Txn::new().and_then(puts.iter().map(operation).collect::<Vec<_>>())
}

/// The lease of somebody else who has the key, if that is why a [`put`] has not written it.
pub(super) fn holder(answer: &TxnOpResponse) -> Option<i64> {
    match answer {
        TxnOpResponse::Txn(txn) if !txn.succeeded() => txn.op_responses().first().and_then(holder),
        TxnOpResponse::Get(found) => found.kvs().first().map(etcd_client::KeyValue::lease),
        _ => None,
    }
}

/// Has clients read that the servers are going: only where the key is still ours, so that a late
/// goodbye brings nothing back. `None` when there is nothing to say.
pub(super) fn goodbye<'a>(
    goodbyes: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    lease: i64,
) -> Option<Txn> {
    let operation = |(key, value): (&str, &[u8])| {
        let write = TxnOp::put(key, value, Some(PutOptions::new().with_lease(lease)));
        let write = Txn::new().when([held_by(key, lease)]).and_then([write]);
        TxnOp::txn(write)
    };
    let operations: Vec<_> = goodbyes.into_iter().map(operation).collect();
    (!operations.is_empty()).then(|| Txn::new().and_then(operations))
}

/// Deletes keys, but not those that a successor has by now.
pub(super) fn delete(deletes: &[Delete], lease: i64) -> Txn {
    let operation = |delete: &Delete| {
        let key = delete.key.as_str();
        let delete = TxnOp::delete(key, None);
        TxnOp::txn(Txn::new().when([held_by(key, lease)]).and_then([delete]))
    };
    Txn::new().and_then(deletes.iter().map(operation).collect::<Vec<_>>())
}

/// Whether all keys are as we wrote them; if not, what is there.
pub(super) fn verify(keys: &[(String, i64)]) -> Txn {
    let untouched = |(key, revision): &(String, i64)| {
        Compare::mod_revision(key.as_str(), CompareOp::Equal, *revision)
    };
    let options = || Some(GetOptions::new().with_keys_only());
    let read = |(key, _): &(String, i64)| TxnOp::get(key.as_str(), options());
    Txn::new()
        .when(keys.iter().map(untouched).collect::<Vec<_>>())
        .or_else(keys.iter().map(read).collect::<Vec<_>>())
}

/// Whether we hold none of these; if we hold one, who holds which.
pub(super) fn absent(keys: &[String], lease: i64) -> Txn {
    let not_ours = |key: &String| Compare::lease(key.as_str(), CompareOp::NotEqual, lease);
    let read = |key: &String| {
        let options = GetOptions::new().with_keys_only();
        TxnOp::get(key.as_str(), Some(options))
    };
    Txn::new()
        .when(keys.iter().map(not_ours).collect::<Vec<_>>())
        .or_else(keys.iter().map(read).collect::<Vec<_>>())
}

fn held_by(key: &str, lease: i64) -> Compare {
    Compare::lease(key, CompareOp::Equal, lease)
}

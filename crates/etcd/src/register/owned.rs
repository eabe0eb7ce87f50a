use std::sync::Arc;

use evenkeel_core::{Availability, Endpoint, Metadata};
use evenkeel_discover::{Control, Presence, RegisterError};

use super::Inner;
use super::ledger::{Denied, Values};
use crate::{CodecError, Etcd};

/// One registration's hold on its key.
pub(super) struct Owned {
    pub(super) inner: Arc<Inner>,
    pub(super) service: String,
    pub(super) endpoint: Endpoint,
    pub(super) key: String,
    pub(super) id: u64,
}

impl Owned {
    fn done(&self, done: Result<(), Denied>) -> Result<(), RegisterError> {
        match done {
            Ok(()) => {
                self.inner.shared.changed.notify_one();
                Ok(())
            }
            Err(Denied::Ended) => Err(RegisterError::Ended),
            Err(Denied::NoWord) => {
                let missing = CodecError::no_place("a server that is draining");
                Err(RegisterError::encode(&self.endpoint, missing))
            }
        }
    }
}

impl Control for Owned {
    fn update(&self, metadata: Metadata) -> Result<(), RegisterError> {
        let endpoint = self.endpoint.clone().with_metadata(metadata);
        let values = encode(&self.inner.etcd, &self.service, &endpoint)?;
        let mut ledger = self.inner.shared.ledger.lock();
        let done = ledger.update(&self.key, self.id, values);
        drop(ledger);
        self.done(done)
    }

    fn present(&self, presence: Presence) -> Result<(), RegisterError> {
        let mut ledger = self.inner.shared.ledger.lock();
        let done = ledger.present(&self.key, self.id, presence);
        drop(ledger);
        self.done(done)
    }

    fn deregister(&self) {
        let shared = &self.inner.shared;
        if shared.ledger.lock().leave(&self.key, self.id) {
            shared.changed.notify_one();
        }
    }
}

/// What is written for `endpoint`.
pub(super) fn encode(
    etcd: &Etcd,
    service: &str,
    endpoint: &Endpoint,
) -> Result<Values, RegisterError> {
    let codec = &etcd.config().codec;
    let listed = codec.encode(service, endpoint);
    let listed = listed.map_err(|error| RegisterError::encode(endpoint, error))?;
    let metadata = endpoint.metadata().clone();
    let draining = metadata.with_availability(Availability::Draining);
    let draining = endpoint.clone().with_metadata(draining);
    let key = codec.key(service, endpoint);
    // Only what clients would read as that is a word for it.
    let readable = |value: &Vec<u8>| {
        let decoded = codec.decode(service, &key, value).ok().flatten();
        decoded.is_some_and(|it| it.endpoint.metadata().availability == Availability::Draining)
    };
    Ok(Values {
        listed,
        draining: codec.encode(service, &draining).ok().filter(readable),
    })
}

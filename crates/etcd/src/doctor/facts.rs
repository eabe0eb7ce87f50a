use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evenkeel_core::{Address, Endpoint};

use super::Unreadable;
use crate::{Customs, Decoded, EtcdError};

/// What etcd has of a service, and how etcd itself is doing, at one time.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Facts {
    /// The service that was asked for.
    pub service: String,
    /// What the full keys of its endpoints start with; ends in `/`.
    pub prefix: String,
    /// How others use the layout.
    pub customs: Customs,
    /// etcd's revision when the keys were listed.
    pub revision: i64,
    /// The members that were configured, in that order.
    pub members: Vec<Member>,
    /// Client URLs of members that the cluster has and nobody has configured, one of each.
    pub unlisted_members: Vec<String>,
    /// The client URLs that the cluster's members tell others; empty when etcd did not tell them.
    pub client_urls: Vec<String>,
    /// Alarms that are raised: `NOSPACE`, `CORRUPT`.
    pub alarms: BTreeSet<&'static str>,
    /// The keys under [`Self::prefix`], in etcd's order.
    pub entries: Vec<Entry>,
    /// The leases of the keys, by their ids; `None` for one that etcd does not have any more.
    /// One that could not be asked for is missing.
    pub leases: BTreeMap<i64, Option<Lease>>,
    /// Keys that begin like the service's and are not its own.
    /// At most [`Self::MOST_NEIGHBOURS`].
    pub neighbours: Vec<Neighbour>,
    /// When there are no keys: prefixes of the service in other layouts that have some, with the
    /// layout's name and how many there are.
    pub elsewhere: Vec<(&'static str, String, usize)>,
    /// What else could not be found out.
    pub unanswered: Vec<Unanswered>,
    /// How dialling the endpoints' addresses went; empty when nobody has tried.
    pub dialled: BTreeMap<Address, Dialled>,
}

/// A member of the etcd cluster.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its client URL, as configured.
    pub url: String,
    /// What it says of itself, or why it does not.
    pub status: Result<MemberStatus, EtcdError>,
}

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberStatus {
    /// The cluster it belongs to.
    pub cluster: u64,
    /// Its number there.
    pub member: u64,
    /// Whether it knows a leader. Without one nothing can be written or surely read.
    pub has_leader: bool,
    /// The release it runs.
    pub version: String,
}

/// One key of the service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The full key; what of it is not UTF-8 is replaced.
    pub key: String,
    /// The lease it hangs on.
    pub lease: Option<i64>,
    /// What the layout makes of it; nothing when it is another service's, whose name begins alike.
    pub reading: Result<Option<Decoded>, Unreadable>,
    /// How the layout names the key of this endpoint, if it is written and not only read.
    pub expected_key: Option<String>,
}

/// A lease, as etcd tells of it: in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what etcd tells of a lease")]
pub struct Lease {
    /// Its time to live after a renewal.
    pub granted: Duration,
    /// What is left of that.
    pub remaining: Duration,
}

/// Keys that begin like the service's, without being its own: those of `user-admin` for `user`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Neighbour {
    /// The start of the keys up to the first `/` after the name of the service; the key itself if
    /// it has none.
    pub name: String,
    /// How many keys there are; none when etcd did not tell.
    pub keys: Option<usize>,
}

/// Something that could not be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Unanswered {
    /// What, and why.
    pub what: String,
    /// Whether we may not know it; otherwise it may be found out next time.
    pub is_refused: bool,
}

/// How dialling an address went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialled {
    /// It answered as an HTTP/2 server.
    Http2,
    /// It was dialled by TLS, and that did not come about.
    Tls(String),
    /// Somebody took the connection and did not answer as an HTTP/2 server.
    NotHttp2(String),
    /// There was no connection.
    Unreachable(String),
}

impl Entry {
    /// The endpoint, if there is one in it.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.decoded().map(|decoded| &decoded.endpoint)
    }

    /// What its value says, if there is an endpoint in it.
    pub(super) fn decoded(&self) -> Option<&Decoded> {
        self.reading.as_ref().ok()?.as_ref()
    }
}

impl Facts {
    /// More neighbours say nothing more.
    pub const MOST_NEIGHBOURS: usize = 20;

    /// The addresses of all endpoints, each once.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<Address> {
        let endpoints = self.entries.iter().filter_map(Entry::endpoint);
        endpoints
            .flat_map(|endpoint| endpoint.addresses().iter().cloned())
            .collect()
    }

    /// The keys of the service, without those of others that the layout tells apart.
    pub(super) fn own(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(|entry| !matches!(entry.reading, Ok(None)))
    }

    /// The lease of `entry`, if it has one and etcd tells of it.
    #[must_use]
    pub fn lease(&self, entry: &Entry) -> Option<Lease> {
        self.leases.get(&entry.lease?).copied().flatten()
    }
}

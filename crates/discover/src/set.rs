use std::collections::{HashMap, HashSet};

use evenkeel_core::{Address, Endpoint};
use indexmap::IndexSet;
use smallvec::SmallVec;

use crate::{Change, EndpointKey};

/// What a source knows of one service, and what it has told of that: hands out the difference.
///
/// The source puts and removes keys, or replaces the whole list; [`Self::changes`] then gives the
/// fewest [`Change`]s that bring a consumer from what it was told last to the present list:
///
/// - an endpoint that was put again as it was is no change; other metadata is one `Insert`;
/// - keys whose endpoints reach the same server are one endpoint, and the highest revision wins;
/// - a server keeps the key it was told under as long as it is listed under any key, so one that
///   comes back under another key keeps its connection;
/// - inserts come before removes, so a list that is replaced is never empty in between.
///
/// The cost of a change is that of the keys it touches, whatever the size of the list.
///
/// ```
/// use evenkeel_core::{Address, Endpoint};
/// use evenkeel_discover::{Change, EndpointSet};
///
/// let server = Endpoint::new("10.0.0.5:8090".parse::<Address>()?);
/// let mut set = EndpointSet::new();
/// set.put("user/1".into(), server.clone(), 1);
/// assert_eq!(set.changes().len(), 1);
///
/// set.replace([("user/1".into(), server, 2)]);
/// assert!(set.changes().is_empty(), "nothing is new");
/// # Ok::<(), evenkeel_core::ParseAddressError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct EndpointSet {
    entries: HashMap<EndpointKey, Entry>,
    servers: HashMap<Server, Claims>,
    told: HashMap<EndpointKey, (Server, Endpoint)>,
    touched: IndexSet<Server>,
}

/// What the source has under one key.
#[derive(Clone, Debug)]
struct Entry {
    endpoint: Endpoint,
    server: Server,
    revision: u64,
}

/// Who is reached: equal exactly when [`Endpoint::reaches_the_same_server_as`] says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    addresses: SmallVec<[Address; 1]>,
    authority: Option<Box<str>>,
}

/// The keys that name one server.
#[derive(Clone, Debug, Default)]
struct Claims {
    keys: SmallVec<[EndpointKey; 1]>,
    told: Option<EndpointKey>,
}

impl Server {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let mut addresses: SmallVec<_> = endpoint.addresses().iter().cloned().collect();
        addresses.sort_unstable();
        Self {
            addresses,
            authority: endpoint.authority().map(Into::into),
        }
    }
}

impl EndpointSet {
    /// A set of nothing, of which nothing was told.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The source has `endpoint` under `key`, written at `revision`; ignored when the key is
    /// already known with a higher revision.
    pub fn put(&mut self, key: EndpointKey, endpoint: Endpoint, revision: u64) {
        let server = Server::of(&endpoint);
        if let Some(known) = self.entries.get(&key) {
            if known.revision > revision {
                return;
            }
            if known.server != server {
                self.remove(&key);
            }
        }
        if let Some((other, _)) = self.told.get(&key)
            && *other != server
        {
            // It goes by this key although its own is another one: it has to give it back.
            self.touched.insert(other.clone());
        }
        let claims = self.servers.entry(server.clone()).or_default();
        if !claims.keys.contains(&key) {
            claims.keys.push(key.clone());
        }
        self.touched.insert(server.clone());
        let entry = Entry {
            endpoint,
            server,
            revision,
        };
        self.entries.insert(key, entry);
    }

    /// The source has nothing under `key` any more.
    pub fn remove(&mut self, key: &EndpointKey) {
        if let Some(entry) = self.entries.remove(key) {
            if let Some(claims) = self.servers.get_mut(&entry.server) {
                claims.keys.retain(|claim| claim != key);
            }
            self.touched.insert(entry.server);
        }
    }

    /// The source has exactly this list: key, endpoint and revision. Revisions may be lower than
    /// those known: a registry can be restored from a backup.
    pub fn replace(&mut self, list: impl IntoIterator<Item = (EndpointKey, Endpoint, u64)>) {
        let mut listed = HashSet::new();
        for (key, endpoint, revision) in list {
            if listed.insert(key.clone())
                && let Some(known) = self.entries.get_mut(&key)
            {
                known.revision = revision.min(known.revision);
            }
            self.put(key, endpoint, revision);
        }
        let gone: Vec<_> = self
            .entries
            .keys()
            .filter(|key| !listed.contains(*key))
            .cloned()
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// What the source has under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Endpoint> {
        self.entries.get(key).map(|entry| &entry.endpoint)
    }

    /// Whether the source has the server of `endpoint`, under whatever key.
    #[must_use]
    pub fn reaches(&self, endpoint: &Endpoint) -> bool {
        let claims = self.servers.get(&Server::of(endpoint));
        claims.is_some_and(|claims| !claims.keys.is_empty())
    }

    /// How many keys the source has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the source has nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was told last: one item for each server.
    pub fn told(&self) -> impl Iterator<Item = (&EndpointKey, &Endpoint)> {
        self.told.iter().map(|(key, (_, endpoint))| (key, endpoint))
    }

    /// What is new since the last call, in the order in which it was put.
    pub fn changes(&mut self) -> Vec<Change> {
        let mut inserts = Vec::new();
        let mut left = Vec::new();
        for server in std::mem::take(&mut self.touched) {
            let Some(claims) = self.servers.get_mut(&server) else {
                continue;
            };
            let newest = claims
                .keys
                .iter()
                .max_by_key(|key| self.entries[*key].revision);
            let Some(newest) = newest else {
                left.extend(claims.told.take());
                self.servers.remove(&server);
                continue;
            };
            let endpoint = &self.entries[newest].endpoint;
            let free = |key: &&EndpointKey| {
                let entry = self.entries.get(*key);
                entry.is_none_or(|entry| entry.server == server)
            };
            let key = claims.told.as_ref().filter(free).unwrap_or(newest).clone();
            if let Some((holder, told)) = self.told.get(&key)
                && *holder == server
                && told == endpoint
            {
                continue;
            }
            if let Some(old) = claims.told.replace(key.clone())
                && old != key
            {
                left.push(old);
            }
            inserts.push((key, server, endpoint.clone()));
        }
        // All leave before anybody enters: a key may pass from one server to another.
        for key in &left {
            self.told.remove(key);
        }
        let mut changes = Vec::with_capacity(inserts.len() + left.len());
        for (key, server, endpoint) in inserts {
            self.told.insert(key.clone(), (server, endpoint.clone()));
            changes.push(Change::Insert(key, endpoint));
        }
        left.retain(|key| !self.told.contains_key(key));
        changes.extend(left.into_iter().map(Change::Remove));
        changes
    }
}

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// What a connection can take, and what it has.
pub trait Capacity {
    /// How many streams its peer lets be open at once: MAX_CONCURRENT_STREAMS.
    fn max_concurrent_streams(&self) -> usize;

    /// How many are open, whoever has opened them; `None` where nobody counts them.
    fn open_streams(&self) -> Option<usize>;
}

/// The connections of one subchannel that may have several, and the calls that wait for a stream
/// of one of them.
///
/// `W` is what is known of a call that waits. Who changes anything asks [`Self::give`] until it has
/// none, and then whether another connection is [wanted](Self::wants_another).
///
/// # Specification
///
/// gRFC A105: a call takes the oldest connection that has a stream to spare; else it waits, in order,
/// and another connection is made if there may be one more, one attempt at a time. No connection is
/// ever given up.
#[derive(Debug)]
pub struct Connections<C, W> {
    most: usize,
    attempting: bool,
    /// The oldest one first.
    lanes: Vec<Lane<C>>,
    /// By their numbers: in the order in which they came.
    waiting: BTreeMap<u64, W>,
    next: u64,
}

#[derive(Debug)]
struct Lane<C> {
    key: ConnectionKey,
    connection: C,
    /// Calls that have been given a stream and have not ended.
    calls: usize,
    /// Those of them that have yet to open it.
    reserved: usize,
}

/// Which connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionKey(u64);

/// Where a call goes that begins.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "its caller does all of them")]
pub enum Begun<C> {
    /// On this connection; [`Connections::end`] ends it.
    On(ConnectionKey, C),
    /// It has to wait.
    Wait,
    /// There is no connection.
    Nowhere,
}

impl<C, W> Connections<C, W> {
    /// None yet, and no more than `most`, which is at least 1.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            attempting: false,
            lanes: Vec::new(),
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    /// Another number of connections is allowed; none is given up. Whether it is another one.
    pub const fn set_most(&mut self, most: usize) -> bool {
        let changed = self.most != most;
        self.most = most;
        changed
    }

    /// How many are allowed.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Whether there is an attempt at another connection, or the backoff after one.
    pub const fn set_attempting(&mut self, attempting: bool) {
        self.attempting = attempting;
    }

    /// A connection has been made.
    pub fn add(&mut self, connection: C) -> ConnectionKey {
        let key = ConnectionKey(self.number());
        self.lanes.push(Lane {
            key,
            connection,
            calls: 0,
            reserved: 0,
        });
        key
    }

    /// A connection takes no more calls. With the last one gone, nobody waits any longer: what comes
    /// back are the calls that did.
    pub fn remove(&mut self, key: ConnectionKey) -> Vec<W> {
        self.lanes.retain(|lane| lane.key != key);
        if self.lanes.is_empty() {
            self.clear()
        } else {
            Vec::new()
        }
    }

    /// No connection takes calls any more.
    pub fn clear(&mut self) -> Vec<W> {
        self.lanes.clear();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().collect()
    }

    /// The connections, the oldest one first.
    pub fn iter(&self) -> impl Iterator<Item = &C> {
        self.lanes.iter().map(|lane| &lane.connection)
    }

    /// A call waits from now on, by its number.
    pub fn wait<R>(&mut self, call: impl FnOnce(u64) -> (W, R)) -> R {
        let number = self.number();
        let (waiting, told) = call(number);
        self.waiting.insert(number, waiting);
        told
    }

    /// A call that waited is given up; `false` if it does not wait any more.
    pub fn leave(&mut self, number: u64) -> bool {
        self.waiting.remove(&number).is_some()
    }

    /// A call has opened the stream of this connection that it was given: from now on the connection
    /// counts it, if it counts any.
    pub fn opened(&mut self, key: ConnectionKey) {
        if let Some(lane) = self.lane(key) {
            lane.reserved = lane.reserved.saturating_sub(1);
        }
    }

    /// A call has ended that was given a stream of this connection, and that has or has not
    /// [opened](Self::opened) it.
    pub fn end(&mut self, key: ConnectionKey, is_opened: bool) {
        if let Some(lane) = self.lane(key) {
            lane.calls = lane.calls.saturating_sub(1);
            lane.reserved = lane.reserved.saturating_sub(usize::from(!is_opened));
        }
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Unless it has gone before.
    fn lane(&mut self, key: ConnectionKey) -> Option<&mut Lane<C>> {
        self.lanes.iter_mut().find(|lane| lane.key == key)
    }

    const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl<C: Capacity + Clone, W> Connections<C, W> {
    /// A call has come.
    pub fn begin(&mut self) -> Begun<C> {
        if self.lanes.is_empty() {
            return Begun::Nowhere;
        }
        // Whoever waits goes first.
        let stream = self.waiting.is_empty().then(|| self.take()).flatten();
        match stream {
            Some((key, connection)) => Begun::On(key, connection),
            None => Begun::Wait,
        }
    }

    /// The next call that need not wait any longer, with the stream it is given.
    pub fn give(&mut self) -> Option<(W, ConnectionKey, C)> {
        if self.waiting.is_empty() {
            return None;
        }
        let (key, connection) = self.take()?;
        let (_, first) = self.waiting.pop_first()?;
        Some((first, key, connection))
    }

    /// Whether to try for another connection.
    #[must_use]
    pub fn wants_another(&self) -> bool {
        !self.waiting.is_empty()
            && !self.attempting
            && self.lanes.len() < self.most
            && !self.has_room()
    }

    /// Whether [`Self::give`] has one.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.waiting.is_empty() && self.has_room()
    }

    fn has_room(&self) -> bool {
        self.lanes.iter().any(Lane::has_room)
    }

    /// A stream of the oldest connection that has one to spare.
    fn take(&mut self) -> Option<(ConnectionKey, C)> {
        let lane = self.lanes.iter_mut().find(|lane| lane.has_room())?;
        lane.calls += 1;
        lane.reserved += 1;
        Some((lane.key, lane.connection.clone()))
    }
}

impl<C: Capacity> Lane<C> {
    /// A call counts from when it is given its stream to the end of that. Streams of others count too:
    /// those of calls that came before there could be several connections, and those of health and load.
    fn has_room(&self) -> bool {
        let used = match self.connection.open_streams() {
            Some(open) => open.saturating_add(self.reserved),
            None => self.calls,
        };
        used < self.connection.max_concurrent_streams()
    }
}

#[cfg(test)]
mod tests;

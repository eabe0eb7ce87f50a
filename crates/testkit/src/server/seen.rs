use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::metadata::MetadataMap;

use super::{CALL_ID, health, open_rca};

/// A method of `UserService`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the methods of the service")]
pub enum Method {
    /// Unary.
    GetById,
    /// Server streaming.
    ListUsers,
    /// Client streaming.
    ImportUsers,
    /// Bidirectional.
    SyncUsers,
}

impl Method {
    /// Its path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::GetById => "/UserService/GetById",
            Self::ListUsers => "/UserService/ListUsers",
            Self::ImportUsers => "/UserService/ImportUsers",
            Self::SyncUsers => "/UserService/SyncUsers",
        }
    }
}

/// What a server has seen.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Seen {
    calls: [u64; 4],
    /// Calls that are running: begun, and neither ended nor cancelled.
    pub in_flight: usize,
    /// Calls that the caller gave up: reset, or lost with their connection.
    pub cancelled: u64,
    /// Messages that have come in on streams.
    pub messages_in: u64,
    /// Connections that are open.
    pub connections: usize,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Calls by the number of attempts before them (`grpc-previous-rpc-attempts`); the last
    /// place has all higher numbers.
    pub previous_attempts: [u64; 6],
    /// Streams of load reports that were asked for; they count as no calls.
    pub load_streams: u64,
    /// Those that are open.
    pub open_load_streams: usize,
    /// How often the last of them was to report.
    pub load_interval: Option<Duration>,
    /// Streams of health that were asked for; they count as no calls.
    pub health_streams: u64,
    /// Those that are open.
    pub open_health_streams: usize,
    /// The service that the last of them was about.
    pub health_service: Option<String>,
    /// The head of the last request of `UserService`.
    pub last_request: Option<Request>,
}

/// The head of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// `:authority`.
    pub authority: Option<String>,
    /// `:path`.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Seen {
    /// Calls of `method` that have begun.
    #[must_use]
    pub const fn calls(&self, method: Method) -> u64 {
        self.calls[method as usize]
    }

    /// Calls of any method that have begun.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// Calls that said they were not the first attempt.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.previous_attempts[1..].iter().sum()
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    seen: watch::Sender<Seen>,
    /// Apart, because what is seen is copied often.
    executed: Mutex<Vec<u64>>,
}

impl Counters {
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    pub(super) fn executed(&self) -> Vec<u64> {
        self.executed.lock().clone()
    }

    pub(super) async fn wait_for(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        let found = seen.wait_for(condition).await;
        found.expect("the sender is borrowed").clone()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }

    pub(super) fn request(&self, head: &http::request::Parts) {
        match head.uri.path() {
            open_rca::METHOD => return self.count(|seen| seen.load_streams += 1),
            health::METHOD => return self.count(|seen| seen.health_streams += 1),
            _ => {}
        }
        let previous = head
            .headers
            .get("grpc-previous-rpc-attempts")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .unwrap_or(0_usize);
        let request = Request {
            authority: head.uri.authority().map(ToString::to_string),
            path: head.uri.path().to_owned(),
            headers: head.headers.clone(),
        };
        self.count(|seen| {
            let last = seen.previous_attempts.len() - 1;
            seen.previous_attempts[previous.min(last)] += 1;
            seen.last_request = Some(request);
        });
    }

    pub(super) fn begin(&self, method: Method, metadata: &MetadataMap) {
        let id = metadata.get(CALL_ID).and_then(|id| id.to_str().ok());
        if let Some(id) = id.and_then(|id| id.parse().ok()) {
            self.executed.lock().push(id);
        }
        self.count(|seen| {
            seen.calls[method as usize] += 1;
            seen.in_flight += 1;
        });
    }
}

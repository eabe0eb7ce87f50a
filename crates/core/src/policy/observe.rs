use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::CodeSet;

/// What a policy wants to know of attempts beside what is always counted. Each costs every
/// attempt something, so the default is nothing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Observe {
    /// Measures how long attempts take for
    /// [`EndpointStats::latency`](crate::EndpointStats::latency): from the pick to the head of the
    /// response, or to its failure if it has none. What comes after the head says little of the
    /// endpoint: how much there is to stream, and how slowly the caller reads. (A server sends
    /// the head of a unary response when it has the answer.)
    pub latency: Option<LatencyConfig>,
    /// Asks the policy again soon after an attempt has ended with one of these codes: within some
    /// milliseconds, once for all that did by then. Default: none.
    pub failures: CodeSet,
    /// Reads the load reports that come with responses, for
    /// [`EndpointStats::load`](crate::EndpointStats::load).
    pub load: Option<Arc<dyn ReadLoad>>,
    /// Has every server that is connected stream its load reports out of band, for the same
    /// [`EndpointStats::load`](crate::EndpointStats::load). This costs attempts nothing.
    pub load_stream: Option<LoadStream>,
    /// Lets what servers say of their own health count, if the service config has a
    /// `healthCheckConfig` (gRFC A17): an endpoint is CONNECTING until its server has answered, and
    /// in TRANSIENT_FAILURE while it is not SERVING. This costs attempts nothing. What is made by
    /// `petiole` has it; pick_first does without, as it has nobody to compare its endpoint with.
    pub health: bool,
}

/// Makes a weight of a load report.
pub trait ReadLoad: Send + Sync + fmt::Debug {
    /// `report` is an encoded `xds.data.orca.v3.OrcaLoadReport`. `None` ignores it: what was
    /// reported before stays.
    fn weight(&self, report: &[u8]) -> Option<f64>;
}

/// How servers are to report their load out of band (gRFC A51). Two are equal if they have the very same
/// reader.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct LoadStream {
    /// How often. A server may have a least interval, by default 30 s.
    pub interval: Duration,
    /// Reads what comes.
    pub reader: Arc<dyn ReadLoad>,
}

impl PartialEq for LoadStream {
    fn eq(&self, other: &Self) -> bool {
        self.interval == other.interval && Arc::ptr_eq(&self.reader, &other.reader)
    }
}

/// How the latency of an endpoint follows that of its attempts: a slower one counts at once,
/// faster ones pull it down little by little (peak EWMA).
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct LatencyConfig {
    /// After how long a latency counts for 1/e of what it did. Default: 10 s.
    pub decay: Duration,
    /// The codes of attempts that have failed. Default: [`CodeSet::SERVER_FAILURES`]. Any other is an
    /// answer, which counts for as long as it took, except CANCELLED, which counts for nothing.
    pub failures: CodeSet,
    /// A failed attempt counts as this many times the latency so far, if it did not take even
    /// longer, so that who fails fast does not look fast. Default: 2; at least 1. Failures in a
    /// row come to 10 s in this way, and no further.
    pub failure_penalty: f64,
    /// What a failed attempt counts at least. Default: 1 s.
    pub failure_floor: Duration,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            failures: CodeSet::SERVER_FAILURES,
            failure_penalty: 2.0,
            failure_floor: Duration::from_secs(1),
        }
    }
}

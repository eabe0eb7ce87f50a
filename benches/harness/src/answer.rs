use serde::{Deserialize, Serialize};

/// What a contender answers to a line of its standard input, as one line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Calls (or streams) that ended.
    pub calls: u64,
    /// Time on the wall.
    pub wall_ns: u64,
    /// CPU time of the process, user and kernel.
    pub cpu_ns: u64,
    /// Heap allocations, a reallocation counting as one; `None` if they were not counted.
    pub allocations: Option<u64>,
    /// Bytes of these allocations.
    pub allocated_bytes: Option<u64>,
    /// Half of the calls took at most this long; 0 when nobody looked.
    pub p50_ns: u64,
    /// 99 % of the calls took at most this long; 0 when nobody looked.
    pub p99_ns: u64,
    /// Resident memory of the process at the end.
    pub rss_bytes: u64,
}

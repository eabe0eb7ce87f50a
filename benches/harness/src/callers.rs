use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// Makes one call after the other.
pub trait Caller: Send + 'static {
    /// Makes one call and reads its answer to the end.
    ///
    /// # Panics
    ///
    /// When the call fails, or its answer is not the one that was expected.
    fn call(&mut self) -> impl Future<Output = ()> + Send;
}

/// When callers stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After this long; calls that run then are finished and counted.
    Time(Duration),
    /// After this many calls, in shares as equal as can be.
    Calls(u64),
}

/// What callers have done.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) count: u64,
    /// How long each took, in ns, in no order; empty unless it ran for a time: the reading of
    /// clocks would be among the instructions, and this list among the allocations.
    pub(crate) latencies: Vec<u32>,
}

/// Has `callers` make calls, all at the same time.
pub(crate) async fn drive<C: Caller>(
    caller: impl Fn() -> C,
    callers: usize,
    until: Until,
) -> Calls {
    let stop = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    for place in 0..callers as u64 {
        let (caller, stop) = (caller(), stop.clone());
        match until {
            Until::Time(_) => running.spawn(timed(caller, stop)),
            Until::Calls(calls) => {
                let share = calls / callers as u64 + u64::from(place < calls % callers as u64);
                running.spawn(counted(caller, share))
            }
        };
    }
    if let Until::Time(time) = until {
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
    }
    let mut all = Calls::default();
    while let Some(ended) = running.join_next().await {
        let mut calls = ended.expect("calls succeed");
        all.count += calls.count;
        all.latencies.append(&mut calls.latencies);
    }
    all
}

async fn timed(mut caller: impl Caller, stop: Arc<AtomicBool>) -> Calls {
    let mut calls = Calls::default();
    let mut begin = Instant::now();
    // Each makes one call at least, however late it comes to it.
    loop {
        caller.call().await;
        let end = Instant::now();
        let took = end.duration_since(begin).as_nanos();
        calls.latencies.push(took.try_into().unwrap_or(u32::MAX));
        calls.count += 1;
        if stop.load(Ordering::Relaxed) {
            return calls;
        }
        begin = end;
    }
}

async fn counted(mut caller: impl Caller, share: u64) -> Calls {
    for _ in 0..share {
        caller.call().await;
    }
    Calls {
        count: share,
        latencies: Vec::new(),
    }
}

impl Calls {
    /// The latency that this part of the calls did not exceed; 0 if nobody looked.
    pub(crate) fn percentile(&mut self, part: f64) -> u64 {
        let Some(last) = self.latencies.len().checked_sub(1) else {
            return 0;
        };
        let place = (last as f64 * part).round() as usize;
        u64::from(*self.latencies.select_nth_unstable(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_latencies() {
        let mut calls = Calls {
            count: 101,
            latencies: (0..=100).rev().collect(),
        };
        assert_eq!(calls.percentile(0.5), 50);
        assert_eq!(calls.percentile(0.99), 99);
        assert_eq!(Calls::default().percentile(0.5), 0);
    }

    struct Yield;

    impl Caller for Yield {
        async fn call(&mut self) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn callers_make_exactly_the_calls_they_are_told() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let calls = runtime.block_on(drive(|| Yield, 3, Until::Calls(10)));
        assert_eq!(calls.count, 10);
        assert!(calls.latencies.is_empty());
    }
}

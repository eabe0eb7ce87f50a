//! Which core runs what, and for how long.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The core of clients and layers.
pub const CLIENT: usize = 0;
/// The core of servers.
pub const SERVER: usize = 1;

/// Keeps this thread, and those it will start, on one core. Without effect where there is only
/// one core, or where the system forbids it: the comparison is noisier then, and still fair.
pub fn pin(core: usize) {
    let cores = std::thread::available_parallelism();
    if cores.is_ok_and(|cores| cores.get() > 1) {
        let mut set = CpuSet::new();
        set.set(core);
        if let Err(error) = sched_setaffinity(None, &set) {
            eprintln!("not pinned to core {core}: {error}");
        }
    }
}

/// What this process has used of its cores, user and kernel.
#[must_use]
pub fn of_process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// What this thread has used. Unlike the time on the wall, it does not grow while others run.
#[must_use]
pub fn of_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::try_from(time).expect("time that was used is not negative")
}

use std::time::Duration;

/// What has become of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Those that speak for the endpoint.
    pub successes: u64,
    /// Those that speak against it.
    pub failures: u64,
    /// Those that adaptive throttling has refused.
    pub refused: u64,
}

impl Counts {
    /// Those that were sent, and say something.
    #[must_use]
    pub const fn calls(self) -> u64 {
        self.successes.saturating_add(self.failures)
    }

    /// The same and those that were refused: all that the caller wanted.
    #[must_use]
    pub const fn requests(self) -> u64 {
        self.calls().saturating_add(self.refused)
    }

    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            successes: self.successes.saturating_sub(before.successes),
            failures: self.failures.saturating_sub(before.failures),
            refused: self.refused.saturating_sub(before.refused),
        }
    }
}

/// Counts of the last time, in steps of one bucket: those of the bucket that is running, and of
/// the ones before it.
///
/// It does not count itself. It remembers what the counts of all time were when each bucket began,
/// so whoever counts only ever adds, and nothing is lost when buckets turn.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// How long a bucket is, in nanoseconds.
    bucket: u64,
    /// The bucket that is running, from 0.
    running: u64,
    /// What was counted before each of the last buckets began, at its number modulo their count.
    before: Box<[Counts]>,
}

impl Window {
    /// The longest window: what does not fit into it is as good as for ever.
    const LONGEST: Duration = Duration::from_secs(24 * 3_600);
    const SHORTEST_BUCKET: Duration = Duration::from_millis(1);
    const BUCKETS: u32 = 128;

    /// A window of `length` in `buckets`, from time 0 on.
    pub(super) fn new(length: Duration, buckets: u32) -> Self {
        let count = buckets.clamp(1, Self::BUCKETS);
        let bucket = (length.min(Self::LONGEST) / count).max(Self::SHORTEST_BUCKET);
        Self {
            bucket: u64::try_from(bucket.as_nanos()).unwrap_or(u64::MAX),
            running: 0,
            before: vec![Counts::default(); count as usize].into(),
        }
    }

    /// How much time its buckets are.
    pub(super) fn length(&self) -> Duration {
        Duration::from_nanos(self.bucket.saturating_mul(self.before.len() as u64))
    }

    /// Begins the buckets that are due at `now`, in nanoseconds: before what happens then is
    /// counted. `totals` are the counts of all time.
    pub(super) fn advance(&mut self, now: u64, totals: Counts) {
        let running = now / self.bucket;
        let count = self.before.len() as u64;
        // Of a longer pause every bucket is empty.
        let first = (self.running + 1).max((running + 1).saturating_sub(count));
        for begun in first..=running {
            *self.place(begun) = totals;
        }
        self.running = self.running.max(running);
    }

    /// When the next bucket begins, in nanoseconds.
    pub(super) const fn due(&self) -> u64 {
        (self.running + 1).saturating_mul(self.bucket)
    }

    /// What had been counted when it began: the rest of `totals` is in it.
    pub(super) fn start(&self) -> Counts {
        let oldest = (self.running + 1) % self.before.len() as u64;
        self.before[usize::try_from(oldest).expect("less than their count")]
    }

    /// Forgets all that is in it.
    pub(super) fn clear(&mut self, totals: Counts) {
        self.before.fill(totals);
    }

    fn place(&mut self, bucket: u64) -> &mut Counts {
        let place = bucket % self.before.len() as u64;
        &mut self.before[usize::try_from(place).expect("less than their count")]
    }
}

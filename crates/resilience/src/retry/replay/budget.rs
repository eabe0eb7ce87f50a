use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes all calls of a channel may keep.
#[derive(Debug)]
pub(in crate::retry) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// A share of a [`Budget`], given back on drop.
#[derive(Debug)]
pub(in crate::retry) struct Lease {
    /// `None`: so small that it is not counted.
    budget: Option<Arc<Budget>>,
    bytes: usize,
}

impl Budget {
    /// Up to here a unary request is not worth two writes to a line that all threads share.
    const UNCOUNTED: usize = 1024;

    pub(in crate::retry) const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    /// A share of `bytes`, if there are as many.
    pub(in crate::retry) fn lease(self: &Arc<Self>, bytes: usize) -> Option<Lease> {
        if bytes <= Self::UNCOUNTED && self.limit > 0 {
            return Some(Lease {
                budget: None,
                bytes: 0,
            });
        }
        let mut lease = self.empty_lease();
        lease.resize(bytes).then_some(lease)
    }

    /// A share that is going to grow.
    pub(in crate::retry) fn empty_lease(self: &Arc<Self>) -> Lease {
        Lease {
            budget: Some(Arc::clone(self)),
            bytes: 0,
        }
    }

    /// The bytes that are taken.
    #[cfg(test)]
    pub(in crate::retry) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Lease {
    /// Takes more or gives some back; `false`, and unchanged, when there is not enough.
    pub(in crate::retry) fn resize(&mut self, bytes: usize) -> bool {
        let Some(budget) = &self.budget else {
            return true;
        };
        let (before, limit) = (self.bytes, budget.limit);
        let fits = |used: usize| {
            let used = (used - before).saturating_add(bytes);
            (bytes <= before || used <= limit).then_some(used)
        };
        let resized = budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if resized.is_ok() {
            self.bytes = bytes;
        }
        resized.is_ok()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_and_come_back() {
        let budget = Arc::new(Budget::new(10_000));
        let mut a = budget.lease(6_000).unwrap();
        assert!(budget.lease(6_000).is_none());
        assert!(!a.resize(10_001));
        assert!(a.resize(10_000));
        assert!(a.resize(2_000));
        let b = budget.lease(8_000).unwrap();
        assert_eq!(budget.used(), 10_000);
        drop((a, b));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn small_requests_do_not_count_unless_nothing_may_be_kept() {
        let budget = Arc::new(Budget::new(2_000));
        let lease = budget.lease(1_024).unwrap();
        assert_eq!(budget.used(), 0);
        drop(lease);
        assert!(Arc::new(Budget::new(0)).lease(1).is_none());
    }
}

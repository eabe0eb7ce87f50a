use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// A value that one task replaces and many read, each through a [`Cached`] of its own: while it
/// stays the same, reading it is one load of a counter that nobody writes.
pub(crate) struct Published<T> {
    value: ArcSwap<T>,
    version: AtomicU64,
}

/// A reader's copy of a published value.
pub(crate) struct Cached<T> {
    value: Arc<T>,
    version: u64,
}

impl<T> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: ArcSwap::from_pointee(value),
            version: AtomicU64::new(0),
        }
    }

    pub(crate) fn publish(&self, value: T) {
        self.value.store(Arc::new(value));
        // After the value: who sees the new version finds that value or a newer one.
        self.version.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.value.load_full()
    }

    pub(crate) fn cached(&self) -> Cached<T> {
        let version = self.version.load(Ordering::Acquire);
        Cached {
            value: self.load_full(),
            version,
        }
    }
}

impl<T> Cached<T> {
    /// The present value of `published`, of which this is a copy.
    pub(crate) fn get(&mut self, published: &Published<T>) -> &Arc<T> {
        if published.version.load(Ordering::Acquire) != self.version {
            *self = published.cached();
        }
        &self.value
    }
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            version: self.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_the_newest_value() {
        let published = Published::new(1);
        let mut early = published.cached();
        published.publish(2);
        assert_eq!(**early.clone().get(&published), 2);
        published.publish(3);
        assert_eq!(**early.get(&published), 3);
    }
}

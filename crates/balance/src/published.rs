use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// A value that one task replaces and many read, each through a [`Cached`] of its own: while it
/// stays the same, reading it is one load of a counter that nobody writes.
pub(crate) struct Published<T> {
    value: ArcSwap<T>,
    version: AtomicU64,
}

/// A reader's copy of a published value, if it has read one.
pub(crate) struct Cached<T> {
    value: Option<Arc<T>>,
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

    #[cold]
    fn read(&self) -> Cached<T> {
        let version = self.version.load(Ordering::Acquire);
        Cached {
            value: Some(self.load_full()),
            version,
        }
    }
}

impl<T> Cached<T> {
    /// Nothing yet.
    pub(crate) const fn empty() -> Self {
        Self {
            value: None,
            version: 0,
        }
    }

    /// The present value of `published`; always of the same one.
    #[inline]
    pub(crate) fn get(&mut self, published: &Published<T>) -> &Arc<T> {
        if self.value.is_none() || published.version.load(Ordering::Acquire) != self.version {
            *self = published.read();
        }
        self.value.as_ref().expect("it was just read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_the_newest_value() {
        let published = Published::new(1);
        let mut early = Cached::empty();
        assert_eq!(**early.get(&published), 1);
        published.publish(2);
        assert_eq!(**early.get(&published), 2);
        published.publish(3);
        assert_eq!(**early.get(&published), 3);
    }
}

use std::fmt;
use std::sync::Arc;

use evenkeel_core::Metadata;

use crate::lb::MetadataKey;

/// Which level each endpoint is in, the first one being the best.
///
/// # Clone
///
/// Cheap.
#[derive(Clone)]
pub struct Levels {
    count: usize,
    of: Arc<LevelOf>,
}

type LevelOf = dyn Fn(&Metadata) -> Option<usize> + Send + Sync;

impl Levels {
    /// `count` levels; `of` says from what a server says of itself which one it is in, from 0 on.
    /// An answer of `count` or more is in none.
    pub fn new(
        count: usize,
        of: impl Fn(&Metadata) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        Self {
            count,
            of: Arc::new(of),
        }
    }

    /// One level for each selector; an endpoint is in the first one that wants it.
    #[must_use]
    pub fn first_of(selectors: Vec<Selector>) -> Self {
        Self::new(selectors.len(), move |metadata| {
            selectors.iter().position(|one| one.selects(metadata))
        })
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The level of an endpoint that says this of itself.
    #[must_use]
    pub fn of(&self, metadata: &Metadata) -> Option<usize> {
        (self.of)(metadata).filter(|level| *level < self.count)
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Wants the endpoints that say all of this of themselves; by default all there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    wanted: Vec<(MetadataKey, String)>,
}

impl Selector {
    /// The same, and `key` has to be `value`, or one of the tags.
    #[must_use]
    pub fn and(mut self, key: MetadataKey, value: impl Into<String>) -> Self {
        self.wanted.push((key, value.into()));
        self
    }

    /// Whether it wants an endpoint that says this of itself.
    #[must_use]
    pub fn selects(&self, metadata: &Metadata) -> bool {
        self.wanted
            .iter()
            .all(|(key, wanted)| key.values(metadata).any(|value| value == wanted))
    }
}

use std::fmt;
use std::sync::Arc;

use evenkeel_policy::breaker::Verdict;
use tonic::Code;

/// Says what a failure is to a breaker, in the place of
/// [`failures`](evenkeel_policy::breaker::BreakerConfig::failures).
///
/// For codes that mean two things: a RESOURCE_EXHAUSTED that is a user's quota, and one that is an
/// overloaded server. It is asked about each attempt that ends with another status than OK, so a
/// call that goes well does not pay for it. Attempts that were given up, or never left, are nobody's
/// failure and not asked about.
///
/// ```
/// use evenkeel_resilience::breaker::{BreakerLayer, Classifier, Verdict};
/// use evenkeel_resilience::BreakerConfig;
/// use tonic::Code;
///
/// let config = BreakerConfig::default();
/// let layer = BreakerLayer::new(config).classified_by(Classifier::new(move |failure| {
///     if failure.code == Code::ResourceExhausted && failure.message.starts_with("quota") {
///         Verdict::Success
///     } else {
///         config.verdict(failure.code.into())
///     }
/// }));
/// # let _ = layer;
/// ```
///
/// # Clone
///
/// Clones are the same function.
#[derive(Clone)]
pub struct Classifier(Arc<Classify>);

type Classify = dyn Fn(&Failure<'_>) -> Verdict + Send + Sync;

/// How an attempt has failed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// Its status.
    pub code: Code,
    /// What its status said; empty if nothing.
    pub message: &'a str,
}

impl Classifier {
    /// Asks `classify`, which is called from all threads and must not block.
    pub fn new(classify: impl Fn(&Failure<'_>) -> Verdict + Send + Sync + 'static) -> Self {
        Self(Arc::new(classify))
    }

    pub(super) fn verdict(&self, failure: &Failure<'_>) -> Verdict {
        (self.0)(failure)
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classifier").finish_non_exhaustive()
    }
}

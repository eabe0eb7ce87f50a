use std::hash::Hasher as _;

use evenkeel_core::PickArgs;
use http::HeaderName;
use twox_hash::XxHash64;

/// What of a call decides where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashOn {
    /// The value of this header; of several, joined with `,`. A call that has none, or an empty
    /// one, goes to a random endpoint.
    Header(HeaderName),
    /// Its method: `/package.Service/Method`.
    Path,
}

impl HashOn {
    /// The hash of the call's key; `None` when it has none.
    #[inline]
    pub(super) fn hash(&self, args: &PickArgs<'_>) -> Option<u64> {
        let name = match self {
            Self::Header(name) => name,
            Self::Path => return Some(XxHash64::oneshot(0, args.path.as_bytes())),
        };
        let mut values = args.headers.get_all(name).iter();
        let first = values.next()?.as_bytes();
        let Some(second) = values.next() else {
            return (!first.is_empty()).then(|| XxHash64::oneshot(0, first));
        };
        let mut joined = XxHash64::with_seed(0);
        joined.write(first);
        for value in [second].into_iter().chain(values) {
            joined.write(b",");
            joined.write(value.as_bytes());
        }
        Some(joined.finish())
    }
}

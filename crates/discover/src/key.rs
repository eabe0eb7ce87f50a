use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The name of an endpoint within its source; for etcd the full key, `service/user/127.0.0.1:8090`.
///
/// It stays the same while the endpoint's metadata changes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey(Arc<str>);

impl EndpointKey {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for EndpointKey {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for EndpointKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

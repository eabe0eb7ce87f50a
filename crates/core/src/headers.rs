//! Reading the few headers of a gRPC call.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The first value of `name`, as `HeaderMap::get` finds it; cheaper while the map is as small as
/// that of nearly every call.
///
/// ```
/// use evenkeel_core::headers;
/// use http::{HeaderMap, HeaderName, HeaderValue};
///
/// static STATUS: HeaderName = HeaderName::from_static("grpc-status");
///
/// let mut trailers = HeaderMap::new();
/// assert_eq!(headers::get(&trailers, &STATUS), None);
/// trailers.insert(&STATUS, HeaderValue::from_static("0"));
/// assert_eq!(headers::get(&trailers, &STATUS).unwrap(), "0");
/// ```
#[inline]
#[must_use]
pub fn get<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    /// Up to here, comparing names costs less than hashing one.
    const FEW: usize = 8;

    if headers.len() > FEW {
        return headers.get(name);
    }
    let mut headers = headers.iter();
    headers.find_map(|(other, value)| (other == name).then_some(value))
}

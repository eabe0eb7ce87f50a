use std::fmt;
use std::sync::Arc;

use evenkeel_core::Endpoint;

use super::{Codec, CodecError, Decoded, key};

type Prefix = dyn Fn(&str) -> String + Send + Sync;
type Decode = dyn Fn(&str, &str, &[u8]) -> Result<Option<Decoded>, CodecError> + Send + Sync;
type Encode = dyn Fn(&str, &Endpoint) -> Result<Vec<u8>, CodecError> + Send + Sync;

/// A layout of your own, as functions. Clones share them.
///
/// ```
/// use std::sync::Arc;
///
/// use evenkeel_core::{Address, Endpoint, Metadata};
/// use evenkeel_etcd::{CodecError, Decoded, EtcdConfig, FnCodec};
///
/// // The key of `user` is /prod/user/1, its value 10.0.0.5:8090|weight
/// let codec = FnCodec::new("ours", |_service, _key, value| {
///     let value = String::from_utf8_lossy(value);
///     let (address, weight) = value.split_once('|').unwrap_or((&value, "1"));
///     let address: Address = address.parse().map_err(CodecError::Address)?;
///     let weight = weight.parse().map_err(|_| CodecError::field("weight", "a number"))?;
///     let metadata = Metadata::default().with_weight(weight);
///     Ok(Some(Decoded::new(Endpoint::new(address).with_metadata(metadata))))
/// })
/// .with_prefix(|service| format!("/prod/{service}"));
///
/// let config = EtcdConfig { codec: Arc::new(codec), ..EtcdConfig::default() };
/// assert_eq!(config.codec.prefix("user"), "/prod/user/");
/// let decoded = config.codec.decode("user", "/prod/user/1", b"10.0.0.5:8090|20")?;
/// assert_eq!(decoded.unwrap().endpoint.metadata().weight, Some(20.0));
/// # Ok::<(), CodecError>(())
/// ```
#[derive(Clone)]
pub struct FnCodec {
    name: &'static str,
    prefix: Arc<Prefix>,
    decode: Arc<Decode>,
    encode: Option<Arc<Encode>>,
}

impl FnCodec {
    /// A layout that is read by `decode`, which gets service, key and value as
    /// [`Codec::decode`] does. The name is for errors and logs.
    #[must_use]
    pub fn new<D>(name: &'static str, decode: D) -> Self
    where
        D: Fn(&str, &str, &[u8]) -> Result<Option<Decoded>, CodecError> + Send + Sync + 'static,
    {
        Self {
            name,
            prefix: Arc::new(key::closed),
            decode: Arc::new(decode),
            encode: None,
        }
    }

    /// The same with keys that begin otherwise than with `service/`. What `prefix` returns gets
    /// the slash that it ends in, if there is none.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.prefix = Arc::new(prefix);
        self
    }

    /// The same, written by `encode`; without it servers cannot be registered in this layout.
    #[must_use]
    pub fn with_encode<E>(mut self, encode: E) -> Self
    where
        E: Fn(&str, &Endpoint) -> Result<Vec<u8>, CodecError> + Send + Sync + 'static,
    {
        self.encode = Some(Arc::new(encode));
        self
    }
}

impl Codec for FnCodec {
    fn prefix(&self, service: &str) -> String {
        let mut prefix = (self.prefix)(service);
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        prefix
    }

    fn encode(&self, service: &str, endpoint: &Endpoint) -> Result<Vec<u8>, CodecError> {
        match &self.encode {
            Some(encode) => encode(service, endpoint),
            None => Err(CodecError::read_only(self.name)),
        }
    }

    fn decode(
        &self,
        service: &str,
        key: &str,
        value: &[u8],
    ) -> Result<Option<Decoded>, CodecError> {
        (self.decode)(service, key, value)
    }
}

impl fmt::Debug for FnCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnCodec")
            .field("name", &self.name)
            .field("writes", &self.encode.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::Address;

    use super::*;

    #[test]
    fn it_writes_once_it_can() {
        let endpoint = Endpoint::new("10.0.0.5:80".parse::<Address>().unwrap());
        let codec = FnCodec::new("ours", |_, _, _| Ok(None));
        let error = codec.encode("user", &endpoint).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the layout ours is read, and not written"
        );
        let codec =
            codec.with_encode(|service, endpoint| Ok(format!("{service}={endpoint}").into()));
        assert_eq!(
            codec.encode("user", &endpoint).unwrap(),
            b"user=10.0.0.5:80"
        );
        assert_eq!(codec.key("user", &endpoint), "user/10.0.0.5:80");
    }
}

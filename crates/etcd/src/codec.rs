//! Key layouts: how an endpoint is written in etcd.
//!
//! [`GoEndpoints`] is the default and the format of etcd's own Go client, so servers and clients
//! of grpc-go are found and find us. Those of other frameworks are beside it, found by name with
//! [`codec_named`]; yours plugs in as a [`Codec`], or as the functions of an [`FnCodec`].

mod auto;
mod dubbo;
mod fields;
mod func;
mod fyer;
mod go;
mod go_micro;
mod goframe;
mod key;
mod kitex;
mod kratos;
mod metadata;
mod named;
mod plain;
mod rpcx;
mod skydns;

pub use auto::{AutoDetect, guess_layout};
pub use dubbo::{Dubbo, DubboInterface};
pub use func::FnCodec;
pub use fyer::FyerRpc;
pub use go::GoEndpoints;
pub use go_micro::GoMicro;
pub use goframe::GoFrame;
pub use kitex::Kitex;
pub use kratos::Kratos;
pub use named::{CODEC_NAMES, codec_named};
pub use plain::PlainText;
pub use rpcx::Rpcx;
pub use skydns::SkyDns;

use std::fmt;

use evenkeel_core::{Endpoint, ParseAddressError};

/// A key layout: key and value of an endpoint in etcd.
///
/// Keys are relative to [`EtcdConfig::prefix`](crate::EtcdConfig::prefix).
pub trait Codec: Send + Sync + fmt::Debug {
    /// What every key of `service` starts with. It ends in `/`, so that `user` never sees the
    /// keys of `user-admin`.
    fn prefix(&self, service: &str) -> String {
        key::closed(service)
    }

    /// The key of `endpoint`: [`Self::prefix`] and something after it, its first address unless
    /// the layout says otherwise. It is the same whenever the same server registers again.
    fn key(&self, service: &str, endpoint: &Endpoint) -> String {
        format!("{}{endpoint}", self.prefix(service))
    }

    /// The value of `endpoint`.
    ///
    /// # Errors
    ///
    /// [`CodecError::NoPlace`] when the format has no place for a part of it that clients need,
    /// [`CodecError::ReadOnly`] when it is only read.
    fn encode(&self, service: &str, endpoint: &Endpoint) -> Result<Vec<u8>, CodecError>;

    /// The endpoint that a key and its value stand for; none when it is another service's, whose
    /// name begins like that of `service` (`user/admin` is below `user/`).
    ///
    /// Lenient where that is safe: a server is worth more than a tidy value. What is left out is
    /// a [`Decoded::remark`], unless it is empty or the layout says that it is not looked at.
    ///
    /// # Errors
    ///
    /// When there is no endpoint in it. It is skipped then; others are not affected.
    fn decode(&self, service: &str, key: &str, value: &[u8])
    -> Result<Option<Decoded>, CodecError>;

    /// How others use the layout: what is wrong there and what is as it should be, for
    /// [`doctor`](crate::doctor).
    fn customs(&self) -> Customs {
        Customs::default()
    }
}

/// How others use a key layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Customs {
    /// Common readers take all keys that begin with the service's name, however they go on: those
    /// of `user-admin` for `user`. Default no: they compare names, or ask with the `/`.
    pub matches_bare_names: bool,
    /// Keys are put by hand and stay, without a lease. Default no.
    pub is_kept_by_hand: bool,
}

/// What a value says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What of the value made no sense and was left out.
    pub remark: Option<String>,
}

impl Decoded {
    /// An endpoint of a value that is all right.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            remark: None,
        }
    }

    /// The same, with what was left out; after what was said of that before.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<String>) -> Self {
        let remark = remark.into();
        self.remark = Some(match self.remark {
            Some(before) => format!("{before}, {remark}"),
            None => remark,
        });
        self
    }
}

/// A value that stands for no endpoint, or an endpoint that the format cannot express.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value is no JSON.
    #[error("not JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// A field is missing or of the wrong type.
    #[error("{field}: expected {expected}")]
    #[non_exhaustive]
    Field {
        /// The field's name.
        field: &'static str,
        /// What should be there.
        expected: &'static str,
    },
    /// The address does not parse.
    #[error("{0}")]
    Address(#[source] ParseAddressError),
    /// The address names no machine, or no port.
    #[error("{field}: {address} is no address that can be dialled")]
    #[non_exhaustive]
    Unspecified {
        /// The field's name.
        field: &'static str,
        /// What is there.
        address: evenkeel_core::Address,
    },
    /// The format has no place for it.
    #[error("the format has no place for {what}")]
    #[non_exhaustive]
    NoPlace {
        /// The part of the endpoint.
        what: &'static str,
    },
    /// Servers of this layout are found, and none is written in it.
    #[error("the layout {layout} is read, and not written")]
    #[non_exhaustive]
    ReadOnly {
        /// The layout's name, as [`codec_named`] knows it.
        layout: &'static str,
    },
    /// Another reason; for codecs of your own.
    #[error("{0}")]
    Other(String),
}

impl CodecError {
    /// `field` is missing or is not `expected`.
    #[must_use]
    pub const fn field(field: &'static str, expected: &'static str) -> Self {
        Self::Field { field, expected }
    }

    /// The address in `field` names no machine, or no port.
    #[must_use]
    pub const fn unspecified(field: &'static str, address: evenkeel_core::Address) -> Self {
        Self::Unspecified { field, address }
    }

    /// The format has no place for `what`.
    #[must_use]
    pub const fn no_place(what: &'static str) -> Self {
        Self::NoPlace { what }
    }

    /// The layout called `layout` is not written.
    #[must_use]
    pub const fn read_only(layout: &'static str) -> Self {
        Self::ReadOnly { layout }
    }
}

#[cfg(test)]
pub(crate) mod tests;

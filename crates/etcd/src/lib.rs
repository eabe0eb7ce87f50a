//! Discovery from etcd and registration in it, made for an etcd that comes and goes.
//!
//! - [`Etcd`] is the connection, described by [`EtcdConfig`] and shared by everything below;
//! - [`EtcdDiscover`] lists and watches the endpoints of a service;
//! - [`EtcdRegistrar`] writes servers into etcd under a lease and keeps them there;
//! - [`Codec`] says how an endpoint is written; the default, [`GoEndpoints`], is the format of
//!   etcd's Go client, so clients and servers of grpc-go take part. There are those of other
//!   frameworks too, and [`FnCodec`] for your own;
//! - [`doctor`] finds what is wrong with that which etcd has of a service.
//!
//! Nothing here needs etcd to be up: a client that starts first catches up, a server that starts
//! first is registered as soon as it can be, and an outage costs neither its list nor its entry.
//!
//! # Example
//!
//! ```no_run
//! use evenkeel_core::Endpoint;
//! use evenkeel_discover::Registrar;
//! use evenkeel_etcd::{Etcd, EtcdConfig, EtcdDiscover, EtcdRegistrar, RegistrarConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let etcd = Etcd::new(EtcdConfig::default())?; // http://127.0.0.1:2379
//!
//! // A server:
//! let listener = tokio::net::TcpListener::bind("10.0.0.5:8090").await?;
//! let registrar = EtcdRegistrar::new(etcd.clone(), RegistrarConfig::default())?;
//! let registration = registrar.register("user-service", Endpoint::new(listener.local_addr()?))?;
//! // … serve …
//! registrar.shutdown().await?;
//!
//! // A client: a stream of endpoints for the balancer.
//! let endpoints = EtcdDiscover::watch(etcd, "user-service");
//! # drop((registration, endpoints));
//! # Ok(())
//! # }
//! ```
//!
//! # Building
//!
//! The build script of `etcd-client` needs `protoc`: in `PATH`, or named by the environment
//! variable `PROTOC`. Inside of Evenkeel's own workspace that is taken care of.
//!
//! # Features
//!
//! `tls`: `https://` endpoints and `EtcdConfig::tls`, with rustls on ring. Trusted roots come from
//! there, or from the system with `tls-native-roots`, or from Mozilla with `tls-webpki-roots`.

mod backoff;
mod codec;
mod config;
mod connect;
mod discover;
pub mod doctor;
mod error;
mod register;

pub use codec::{
    AutoDetect, CODEC_NAMES, Codec, CodecError, Customs, Decoded, Dubbo, DubboInterface, FnCodec,
    FyerRpc, GoEndpoints, GoFrame, GoMicro, Kitex, Kratos, PlainText, Rpcx, SkyDns, codec_named,
    guess_layout,
};
pub use config::{Credentials, EtcdConfig};
pub use connect::Etcd;
pub use discover::{DiscoverStats, EtcdDiscover, KeepLast, OnLoss};
pub use error::EtcdError;
pub use register::{EtcdRegistrar, RegistrarConfig};

#[cfg(feature = "tls")]
pub use tonic::transport::{Certificate, ClientTlsConfig as TlsOptions, Identity};

mod check;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::Target;

use crate::{Codec, GoEndpoints, OnLoss};

/// A time that is as good as for ever, and that clocks and timers can still count with.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where etcd is, how to talk to it, and how endpoints are written there.
///
/// Times of more than a year are taken for a year, so `Duration::MAX` says never.
///
/// ```
/// use evenkeel_etcd::EtcdConfig;
///
/// let config = EtcdConfig::for_target(&"etcd://10.0.0.1:2379,10.0.0.2:2379/user".parse()?);
/// assert_eq!(config.endpoints, ["http://10.0.0.1:2379", "http://10.0.0.2:2379"]);
///
/// let config = EtcdConfig { prefix: "prod/".into(), ..EtcdConfig::default() };
/// assert_eq!(config.endpoints, ["http://127.0.0.1:2379"]);
/// # Ok::<(), evenkeel_core::ParseTargetError>(())
/// ```
#[derive(Clone)]
pub struct EtcdConfig {
    /// The members' client URLs: `http://host:port`, or `https://host:port` with the feature
    /// `tls`, and nothing else in them. Default `http://127.0.0.1:2379`; at least one.
    pub endpoints: Vec<String>,
    /// Name and password, when etcd has authentication switched on. Default none.
    pub credentials: Option<Credentials>,
    /// Whom to trust, and the client certificate if etcd wants one. With it all endpoints are
    /// `https://`, those written as `http://` too: nothing is sent in clear text by mistake.
    /// Default none: `https://` endpoints are trusted by the roots that the features bring.
    ///
    /// ```no_run
    /// use evenkeel_etcd::{Certificate, EtcdConfig, Identity, TlsOptions};
    ///
    /// let authority = Certificate::from_pem(std::fs::read("ca.pem")?);
    /// let us = Identity::from_pem(std::fs::read("client.pem")?, std::fs::read("client-key.pem")?);
    /// let config = EtcdConfig {
    ///     endpoints: vec!["https://etcd-1:2379".into(), "https://etcd-2:2379".into()],
    ///     tls: Some(TlsOptions::new().ca_certificate(authority).identity(us)),
    ///     ..EtcdConfig::default()
    /// };
    /// # drop(config);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    pub tls: Option<crate::TlsOptions>,
    /// Asks etcd for its members this often, to know those that `endpoints` does not name, or that
    /// were added since. Published URLs are passed over when they are unspecified, or loopback
    /// while etcd is not, or of another scheme. Default none: `endpoints` are all; at least 1 s.
    pub sync_members: Option<Duration>,
    /// A connection on which nothing was heard for this long, ±10 %, no news of a watch either, is
    /// checked by a request: a member that hangs is given up after this and `request_timeout`.
    /// Default 3 s; at least 0.1 s.
    pub check_every: Duration,
    /// Put before every key as it is, for example `prod/`. Default empty.
    pub prefix: String,
    /// How endpoints are written. Default [`GoEndpoints`]; [`codec_named`](crate::codec_named) has
    /// those of other frameworks.
    pub codec: Arc<dyn Codec>,
    /// Limit for opening a connection. Default 2 s; more than 0.
    pub connect_timeout: Duration,
    /// Limit for one answer of etcd; streams must begin within it. Default 3 s; more than 0.
    pub request_timeout: Duration,
    /// How often an HTTP/2 ping asks whether etcd is still there. Default 10 s; at least 5 s,
    /// because etcd by default closes connections that ping more often.
    pub keep_alive_interval: Duration,
    /// How long the answer to a ping may take. Default 3 s; more than 0.
    pub keep_alive_timeout: Duration,
    /// Discovery reports an outage after this long. Default 5 s.
    pub report_after: Duration,
    /// Discovery lists everything again this often, ±10 %, in case a watch is stuck that looks
    /// alive. Default 5 min; at least 1 s.
    pub relist_every: Duration,
    /// The longest time between two attempts of discovery to reach etcd; they begin 0.1 s apart.
    /// Default 3 s; at least 10 ms.
    pub max_backoff: Duration,
    /// A watch that has been silent for this long, ±10 %, is asked whether it is still there; one
    /// that does not answer within [`Self::request_timeout`] is given up with its connection.
    /// Default 10 s; at least 1 s. `Duration::MAX` never asks, which an etcd before 3.4 needs: it
    /// does not know the question.
    pub progress_every: Duration,
    /// Discovery tells what comes within this long of earlier news together, so that a registry
    /// that does not keep still costs its clients the fewer snapshots of their endpoints. News
    /// after a silence is told at once. Default 50 ms, 0 tells each by itself; at most 10 s.
    pub coalesce: Duration,
    /// Keys asked for in one request of a list. Default 1000; at least 1. For values of more than
    /// some 10 kB fewer are better: a page may have 64 MiB.
    pub page: u32,
    /// What discovery makes of an etcd that misses, all at once, many of those it had. Default
    /// [`OnLoss::KeepLast`] for 60 s at most.
    pub on_loss: OnLoss,
    /// A folder in which discovery keeps, in a file per prefix, the last good list, at most one
    /// write per second. A client that starts while etcd is down starts with that: when its first
    /// list fails, or has not come within 1 s. The list is told to be stale
    /// ([`DiscoverStats::stale_since`](crate::DiscoverStats::stale_since)) until etcd answers, and
    /// then replaced. One folder per cluster; processes may share it. Default none.
    pub snapshot: Option<PathBuf>,
    /// A snapshot that was written longer ago is not used: other services may have its addresses by
    /// now. Default 24 h; 0 uses none.
    pub snapshot_max_age: Duration,
}

/// Name and password of an etcd user.
#[derive(Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "etcd's password authentication has these two"
)]
pub struct Credentials {
    /// The user's name.
    pub name: String,
    /// The password; not shown by `Debug`.
    pub password: String,
}

impl Default for EtcdConfig {
    fn default() -> Self {
        Self {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            credentials: None,
            #[cfg(feature = "tls")]
            tls: None,
            sync_members: None,
            check_every: Duration::from_secs(3),
            prefix: String::new(),
            codec: Arc::new(GoEndpoints),
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(3),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(3),
            report_after: Duration::from_secs(5),
            relist_every: Duration::from_secs(300),
            max_backoff: Duration::from_secs(3),
            progress_every: Duration::from_secs(10),
            coalesce: Duration::from_millis(50),
            page: 1000,
            on_loss: OnLoss::default(),
            snapshot: None,
            snapshot_max_age: Duration::from_secs(24 * 3600),
        }
    }
}

impl EtcdConfig {
    /// The defaults, with the endpoints in the target's authority when it has one. The service is
    /// the target's path.
    #[must_use]
    pub fn for_target(target: &Target) -> Self {
        let endpoints = target.authority().split(',').map(str::trim);
        let endpoints: Vec<_> = endpoints
            .filter(|endpoint| !endpoint.is_empty())
            .map(|endpoint| format!("http://{endpoint}"))
            .collect();
        let mut config = Self::default();
        if !endpoints.is_empty() {
            config.endpoints = endpoints;
        }
        config
    }
}

/// By hand, as that of TLS shows the private key.
impl fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EtcdConfig");
        shown
            .field("endpoints", &self.endpoints)
            .field("credentials", &self.credentials);
        #[cfg(feature = "tls")]
        shown.field("tls", &self.tls.as_ref().map(|_| format_args!("..")));
        shown
            .field("sync_members", &self.sync_members)
            .field("check_every", &self.check_every)
            .field("prefix", &self.prefix)
            .field("codec", &self.codec)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("keep_alive_interval", &self.keep_alive_interval)
            .field("keep_alive_timeout", &self.keep_alive_timeout)
            .field("report_after", &self.report_after)
            .field("relist_every", &self.relist_every)
            .field("max_backoff", &self.max_backoff)
            .field("progress_every", &self.progress_every)
            .field("coalesce", &self.coalesce)
            .field("page", &self.page)
            .field("on_loss", &self.on_loss)
            .field("snapshot", &self.snapshot)
            .field("snapshot_max_age", &self.snapshot_max_age)
            .finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

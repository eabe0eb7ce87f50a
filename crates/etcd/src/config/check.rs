use std::time::Duration;

use super::{EtcdConfig, LONGEST};
use crate::EtcdError;
use crate::connect::endpoint;

impl EtcdConfig {
    /// The same with times that can be added to any present; or what cannot work.
    pub(crate) fn checked(mut self) -> Result<Self, EtcdError> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            for endpoint in &mut self.endpoints {
                if let Some(rest) = endpoint.strip_prefix("http://") {
                    *endpoint = format!("https://{rest}");
                }
            }
        }
        self.check()?;
        if let Some(every) = &mut self.sync_members {
            *every = LONGEST.min(*every);
        }
        for time in [
            &mut self.check_every,
            &mut self.connect_timeout,
            &mut self.request_timeout,
            &mut self.keep_alive_interval,
            &mut self.keep_alive_timeout,
            &mut self.report_after,
            &mut self.relist_every,
            &mut self.max_backoff,
            &mut self.progress_every,
        ] {
            *time = LONGEST.min(*time);
        }
        self.on_loss = self.on_loss.checked()?;
        Ok(self)
    }

    pub(super) fn check(&self) -> Result<(), EtcdError> {
        if self.endpoints.is_empty() {
            return Err(EtcdError::config("endpoints", "at least one is needed"));
        }
        for url in &self.endpoints {
            check_url(url)?;
            self.check_roots(url)?;
            // Certificates that cannot be read show here.
            endpoint(self, url)?;
        }
        if self.coalesce > Duration::from_secs(10) {
            let reason = format!("{:?} is more than 10 s", self.coalesce);
            return Err(EtcdError::config("coalesce", reason));
        }
        if self.page == 0 {
            return Err(EtcdError::config("page", "at least one key is needed"));
        }
        let times = [
            ("connect_timeout", self.connect_timeout, Duration::ZERO),
            ("request_timeout", self.request_timeout, Duration::ZERO),
            (
                "keep_alive_timeout",
                self.keep_alive_timeout,
                Duration::ZERO,
            ),
            ("max_backoff", self.max_backoff, Duration::from_micros(9999)),
            ("check_every", self.check_every, Duration::from_millis(99)),
            (
                "sync_members",
                self.sync_members.unwrap_or(LONGEST),
                Duration::from_millis(999),
            ),
            (
                "relist_every",
                self.relist_every,
                Duration::from_millis(999),
            ),
            (
                "progress_every",
                self.progress_every,
                Duration::from_millis(999),
            ),
            (
                "keep_alive_interval",
                self.keep_alive_interval,
                Duration::from_millis(4999),
            ),
        ];
        for (field, time, too_short) in times {
            if time <= too_short {
                return Err(EtcdError::config(field, format!("{time:?} is too short")));
            }
        }
        Ok(())
    }

    /// Without roots nobody is trusted, and the error would come with each connection.
    fn check_roots(&self, url: &str) -> Result<(), EtcdError> {
        #[cfg(feature = "tls")]
        if self.tls.is_none()
            && url.starts_with("https:")
            && !cfg!(any(
                feature = "tls-native-roots",
                feature = "tls-webpki-roots"
            ))
        {
            let reason = "https needs the authority that has signed etcd's certificate \
                          (TlsOptions::ca_certificate), or one of the features \
                          `tls-native-roots` and `tls-webpki-roots`";
            return Err(EtcdError::config("tls", format!("{url}: {reason}")));
        }
        let _ = url;
        Ok(())
    }
}

pub(super) fn check_url(endpoint: &str) -> Result<(), EtcdError> {
    if endpoint.contains('@') {
        // Neither shown here nor, as a member's name, anywhere else.
        let reason = "name and password do not belong in a URL, but in `credentials`";
        return Err(EtcdError::config("endpoints", reason));
    }
    let wrong = |reason: &str| EtcdError::config("endpoints", format!("{endpoint:?}: {reason}"));
    let uri: http::Uri = endpoint
        .parse()
        .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => return Err(wrong("https needs the feature `tls` of evenkeel-etcd")),
        _ => return Err(wrong("expected http://host:port or https://host:port")),
    }
    if uri.port().is_none() {
        return Err(wrong("the port is missing; etcd's is usually 2379"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong(
            "etcd has no paths; a prefix of keys belongs in `prefix`",
        ));
    }
    Ok(())
}

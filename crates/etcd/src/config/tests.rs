use super::check::check_url;
use super::*;

#[test]
fn what_cannot_work_is_refused_by_name() {
    EtcdConfig::default().check().unwrap();
    let refused = |change: fn(&mut EtcdConfig), why: &str| {
        let mut config = EtcdConfig::default();
        change(&mut config);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(|c| c.endpoints.clear(), "endpoints: at least one");
    refused(
        |c| c.endpoints = vec!["127.0.0.1:2379".into()],
        "expected http://",
    );
    refused(
        |c| c.endpoints = vec!["http://etcd".into()],
        "port is missing",
    );
    refused(|c| c.endpoints = vec!["http://a b:1".into()], "endpoints");
    refused(|c| c.request_timeout = Duration::ZERO, "request_timeout");
    refused(
        |c| c.keep_alive_interval = Duration::from_secs(1),
        "keep_alive_interval",
    );
    refused(|c| c.relist_every = Duration::ZERO, "relist_every");
    refused(|c| c.coalesce = Duration::MAX, "coalesce");
    refused(|c| c.progress_every = Duration::ZERO, "progress_every");
    refused(|c| c.page = 0, "page");
    refused(|c| c.max_backoff = Duration::from_nanos(1), "max_backoff");
    for url in ["http://etcd:1/v3", "http://etcd:1?a=b"] {
        let error = check_url(url).unwrap_err().to_string();
        assert!(error.contains("no paths"), "{error}");
    }
    check_url("http://etcd:1/").unwrap();
    let error = check_url("http://root:secret@etcd:1").unwrap_err();
    assert!(error.to_string().contains("`credentials`"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    if !cfg!(feature = "tls") {
        refused(
            |c| c.endpoints = vec!["https://etcd:1".into()],
            "feature `tls`",
        );
    }
}

#[test]
fn passwords_are_not_shown() {
    let credentials = Credentials {
        name: "root".into(),
        password: "secret".into(),
    };
    let config = EtcdConfig {
        credentials: Some(credentials),
        ..EtcdConfig::default()
    };
    assert!(!format!("{config:?}").contains("secret"));
}

#[cfg(feature = "tls")]
#[test]
fn private_keys_are_not_shown() {
    let key = "key-secret";
    let identity = crate::Identity::from_pem("certificate", key);
    let config = EtcdConfig {
        tls: Some(crate::TlsOptions::new().identity(identity)),
        ..EtcdConfig::default()
    };
    let as_bytes = format!("{:?}", key.as_bytes());
    for shown in [format!("{config:?}"), format!("{config:#?}")] {
        let shown: String = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let bytes = as_bytes.trim_matches(['[', ']']);
        assert!(!shown.contains(key) && !shown.contains(bytes), "{shown}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn https_needs_somebody_to_trust() {
    let config = EtcdConfig {
        endpoints: vec!["https://etcd:2379".into()],
        ..EtcdConfig::default()
    };
    let has_roots = cfg!(any(
        feature = "tls-native-roots",
        feature = "tls-webpki-roots"
    ));
    match config.check() {
        Ok(()) => assert!(has_roots),
        Err(error) => {
            let text = error.to_string();
            assert!(
                !has_roots && text.contains("TlsOptions::ca_certificate"),
                "{text}"
            );
        }
    }
}

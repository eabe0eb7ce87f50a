use std::time::Duration;

use evenkeel_discover::DiscoverError;
use evenkeel_etcd::{Certificate, Etcd, EtcdConfig, Identity, TlsOptions};
use evenkeel_testkit::EtcdServer;
use evenkeel_testkit::tls::Authority;

use crate::seen::{A, Seen, config, value};

/// Trusts `authority`, and has no certificate of its own.
fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions::new().ca_certificate(Certificate::from_pem(authority.pem()))
}

fn identity(authority: &Authority) -> Identity {
    let (certificate, key) = authority.issue(&["client"]);
    Identity::from_pem(certificate, key)
}

fn with(server: &EtcdServer, tls: TlsOptions) -> EtcdConfig {
    EtcdConfig {
        tls: Some(tls),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
        ..config(server)
    }
}

async fn put(server: &EtcdServer, weight: u32) {
    let mut client = server.client().await;
    client.put("user/1", value(A, weight), None).await.unwrap();
}

async fn works(config: EtcdConfig) {
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    seen.until_list(&["10.0.0.1:80*1"]).await;
}

/// The report of a connection that cannot be.
async fn refused(config: EtcdConfig) -> String {
    let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
    let refused = |seen: &Seen| matches!(seen.report, Some(DiscoverError::Unavailable { .. }));
    seen.until("a report", refused).await;
    seen.report.unwrap().to_string()
}

#[tokio::test]
async fn etcd_with_a_certificate_is_trusted_by_its_authority() {
    let authority = Authority::new();
    let builder = EtcdServer::builder().tls(&authority, &["127.0.0.1"]);
    let Some(mut server) = builder.start().await else {
        return;
    };
    put(&server, 1).await;
    assert!(server.endpoint().starts_with("https://"));
    works(with(&server, trusting(&authority))).await;

    // A target has no scheme for it: the options say that it is TLS.
    let target = "etcd:///user".parse().unwrap();
    let of_target = EtcdConfig {
        endpoints: vec![server.endpoint().replace("https://", "http://")],
        tls: Some(trusting(&authority)),
        ..EtcdConfig::for_target(&target)
    };
    let etcd = Etcd::new(of_target.clone()).unwrap();
    assert_eq!(etcd.config().endpoints, [server.endpoint()]);
    works(of_target).await;

    // The certificate is replaced while a client goes on.
    let mut seen = Seen::of(
        Etcd::new(with(&server, trusting(&authority))).unwrap(),
        "user",
    );
    seen.until_list(&["10.0.0.1:80*1"]).await;
    server.certify(&authority, &["127.0.0.1"]);
    server.stop().await;
    server.start_again().await;
    put(&server, 2).await;
    seen.until_list(&["10.0.0.1:80*2"]).await;
}

#[tokio::test]
async fn with_mutual_tls_a_client_needs_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let builder = EtcdServer::builder().tls(&authority, &["127.0.0.1"]);
    let Some(server) = builder.client_certificates(&authority).start().await else {
        return;
    };
    put(&server, 1).await;
    works(with(
        &server,
        trusting(&authority).identity(identity(&authority)),
    ))
    .await;
    let text = refused(with(&server, trusting(&authority))).await;
    assert!(text.contains("TlsOptions::identity"), "{text}");
    let text = refused(with(
        &server,
        trusting(&authority).identity(identity(&stranger)),
    ))
    .await;
    assert!(text.contains("TlsOptions::identity"), "{text}");
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_told_with_what_to_do() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let builder = EtcdServer::builder().tls(&authority, &["etcd.example"]);
    let Some(server) = builder.start().await else {
        return;
    };
    put(&server, 1).await;
    let named = |tls: TlsOptions| tls.domain_name("etcd.example");
    works(with(&server, named(trusting(&authority)))).await;

    let text = refused(with(&server, named(trusting(&stranger)))).await;
    assert!(text.contains("TlsOptions::ca_certificate"), "{text}");
    assert!(text.contains(&server.endpoint()), "{text}");

    let text = refused(with(&server, trusting(&authority))).await;
    assert!(text.contains("TlsOptions::domain_name"), "{text}");

    let in_clear = EtcdConfig {
        endpoints: vec![server.endpoint().replace("https://", "http://")],
        ..config(&server)
    };
    let text = refused(in_clear).await;
    assert!(text.contains("https://"), "{text}");

    let Some(clear) = EtcdServer::start().await else {
        return;
    };
    let text = refused(with(&clear, trusting(&authority))).await;
    assert!(text.contains("http://"), "{text}");
}

#[test]
fn options_that_cannot_work_are_refused_at_the_start() {
    let broken = EtcdConfig {
        endpoints: vec!["https://etcd:2379".into()],
        tls: Some(TlsOptions::new().identity(Identity::from_pem("no", "PEM"))),
        ..EtcdConfig::default()
    };
    let error = Etcd::new(broken).unwrap_err().to_string();
    assert!(error.contains("https://etcd:2379"), "{error}");
}

use evenkeel_testkit::EtcdServer;
use evenkeel_testkit::tls::Authority;

use crate::ran::{Ran, run};

/// Writes PEM texts into a folder of the test's and gives their paths.
fn files<const N: usize>(texts: [&str; N]) -> (tempfile::TempDir, [String; N]) {
    let folder = tempfile::tempdir().unwrap();
    let mut place = 0;
    let paths = texts.map(|text| {
        place += 1;
        let file = folder.path().join(format!("{place}.pem"));
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    });
    (folder, paths)
}

fn assert_asked(ran: &Ran) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("error    no-endpoints"), "{ran:?}");
}

#[tokio::test]
async fn an_etcd_with_tls_is_asked_when_it_is_trusted() {
    let authority = Authority::new();
    let builder = EtcdServer::builder().tls(&authority, &["127.0.0.1"]);
    let Some(etcd) = builder.start().await else {
        return;
    };
    let stranger = Authority::new();
    let (_folder, [trusted, other]) = files([authority.pem(), stranger.pem()]);
    let https = etcd.endpoint();
    let target = https.replace("https", "etcd");
    for url in [&https, &target] {
        assert_asked(&run(&["doctor", url, "user", "--cacert", &trusted]).await);
        let refused = run(&["doctor", url, "user", "--cacert", &other]).await;
        assert!(
            refused.code == Some(2) && refused.err.contains("certificate"),
            "{refused:?}"
        );
    }
    let system = run(&["doctor", &https, "user"]).await;
    assert!(
        system.code == Some(2) && system.err.contains("certificate"),
        "{system:?}"
    );
    let plain = run(&["doctor", &target, "user"]).await;
    assert_eq!(plain.code, Some(2), "{plain:?}");
}

#[tokio::test]
async fn an_etcd_that_wants_a_certificate_gets_one() {
    let authority = Authority::new();
    let builder = EtcdServer::builder().tls(&authority, &["127.0.0.1"]);
    let Some(etcd) = builder.client_certificates(&authority).start().await else {
        return;
    };
    let (certificate, key) = authority.issue(&["client"]);
    let (_folder, [trusted, certificate, key]) = files([authority.pem(), &certificate, &key]);
    let url = etcd.endpoint();
    let without = ["doctor", &url, "user", "--cacert", &trusted];
    assert_eq!(run(&without).await.code, Some(2));
    let with = [&without[..], &["--cert", &certificate, "--key", &key]].concat();
    assert_asked(&run(&with).await);
}

//! A watch whose connection ends goes on where it was; only when that is not possible everything is
//! listed again.

use std::time::Duration;

use evenkeel_etcd::{Etcd, EtcdConfig};
use evenkeel_testkit::{EtcdServer, Fault, FaultProxy, Log, PATIENCE, eventually};

use crate::seen::{A, B, Seen, patient, value};

/// etcd behind a proxy, and a discovery that has listed and watches.
struct Behind {
    server: EtcdServer,
    proxy: FaultProxy,
    seen: Seen,
}

impl Behind {
    async fn start() -> Option<Self> {
        let server = EtcdServer::start().await?;
        let upstream = server.endpoint().trim_start_matches("http://").parse();
        let proxy = FaultProxy::start(upstream.unwrap()).await.unwrap();
        let config = EtcdConfig {
            endpoints: vec![format!("http://{}", proxy.address())],
            check_every: PATIENCE,
            max_backoff: Duration::from_millis(10),
            ..patient(&server)
        };
        let mut client = server.client().await;
        for weight in 1..20 {
            client.put("user/1", value(A, weight), None).await.unwrap();
        }
        let mut seen = Seen::of(Etcd::new(config).unwrap(), "user");
        seen.until_list(&["10.0.0.1:80*19"]).await;
        // News come by the watch, so it is open.
        client.put("user/1", value(A, 1), None).await.unwrap();
        seen.until_list(&["10.0.0.1:80*1"]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some(Self {
            server,
            proxy,
            seen,
        })
    }

    /// Ends the connection; the next one is there before anybody sees it missing.
    async fn cut(&self) {
        self.proxy.cut().await;
        self.proxy.set(Fault::Pass).await;
    }

    fn lists_and_watches(&self) -> (u64, u64) {
        let stats = self.seen.discover.stats();
        (stats.lists(), stats.watches())
    }
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_over_another_connection() {
    let Some(mut behind) = Behind::start().await else {
        return;
    };
    let mut client = behind.server.client().await;
    for round in 1..=3 {
        // Nobody hears of this.
        behind.proxy.set(Fault::Pause).await;
        client.put("other", "", None).await.unwrap();
        client.put("user/2", value(B, 1), None).await.unwrap();
        client.delete("user/1", None).await.unwrap();
        behind.cut().await;
        behind.seen.until_list(&["10.0.0.2:80*1"]).await;
        client.put("user/1", value(A, 1), None).await.unwrap();
        client.delete("user/2", None).await.unwrap();
        behind.seen.until_list(&["10.0.0.1:80*1"]).await;
        assert_eq!(behind.lists_and_watches(), (1, 1 + round));
        assert!(behind.seen.report.is_none());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_watch_that_cannot_go_on_because_of_a_compaction_begins_with_a_list() {
    let Some(mut behind) = Behind::start().await else {
        return;
    };
    let log = Log::start();
    let mut client = behind.server.client().await;
    behind.proxy.set(Fault::Pause).await;
    client.put("user/2", value(B, 1), None).await.unwrap();
    let deleted = client.delete("user/1", None).await.unwrap();
    let revision = deleted.header().unwrap().revision();
    behind.server.compact(revision).await;
    behind.cut().await;
    behind.seen.until_list(&["10.0.0.2:80*1"]).await;
    let stats = behind.seen.discover.stats();
    let watched = eventually("a watch after the list", || stats.watches() == 3);
    behind.seen.meanwhile(watched).await;
    assert_eq!(behind.lists_and_watches(), (2, 3));
    assert_eq!(log.lines_with("compacted up to").len(), 1);
    assert!(behind.seen.report.is_none());
}

#[tokio::test]
async fn a_watch_does_not_go_on_in_another_history() {
    let Some(mut behind) = Behind::start().await else {
        return;
    };
    let log = Log::start();
    behind.proxy.set(Fault::Pause).await;
    behind.server.kill().await;
    behind.server.wipe();
    behind.server.start_again().await;
    let mut client = behind.server.client().await;
    client.put("user/2", value(B, 1), None).await.unwrap();
    behind.cut().await;
    behind.seen.until_list(&["10.0.0.2:80*1"]).await;
    assert_eq!(behind.lists_and_watches().0, 2);
    assert_eq!(log.lines_with("history went").len(), 1);
}

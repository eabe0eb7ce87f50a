//! etcd, filled.

use etcd_client::{Client, Txn, TxnOp};
use evenkeel::etcd::EtcdConfig;
use evenkeel_testkit::EtcdServer;

use crate::error::Error;

pub(crate) const SERVICE: &str = "user-service";

pub(crate) async fn start() -> Result<EtcdServer, Error> {
    EtcdServer::start()
        .await
        .ok_or_else(|| "etcd is not installed".into())
}

pub(crate) fn config(etcd: &str) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![etcd.to_owned()],
        ..EtcdConfig::default()
    }
}

/// Writes all of them, a hundred in each request.
pub(crate) async fn fill(client: &mut Client, addresses: &[String]) -> Result<(), Error> {
    for addresses in addresses.chunks(100) {
        let puts = addresses.iter().map(|address| put(address, 10));
        client
            .txn(Txn::new().and_then(puts.collect::<Vec<_>>()))
            .await?;
    }
    Ok(())
}

fn put(address: &str, weight: u32) -> TxnOp {
    let (key, value) = entry(address, weight);
    TxnOp::put(key, value, None)
}

pub(crate) fn entry(address: &str, weight: u32) -> (String, String) {
    let value =
        format!(r#"{{"Op":0,"Addr":"{address}","Metadata":{{"weight":{weight},"zone":"a"}}}}"#);
    (format!("{SERVICE}/{address}"), value)
}

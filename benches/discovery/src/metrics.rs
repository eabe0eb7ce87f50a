//! What etcd counts.

use evenkeel_testkit::EtcdServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::Error;

/// Requests that etcd has begun since it started: calls, and messages of streams.
#[derive(Clone, Copy, Default)]
pub(crate) struct Requests {
    pub(crate) grants: f64,
    pub(crate) writes: f64,
    pub(crate) renewals: f64,
    pub(crate) all: f64,
}

pub(crate) async fn requests(etcd: &EtcdServer) -> Result<Requests, Error> {
    let endpoint = etcd.endpoint();
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let request = "GET /metrics HTTP/1.0\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let mut requests = Requests::default();
    for line in answer.lines() {
        let Some(labels) = line.strip_prefix("grpc_server_msg_received_total{") else {
            continue;
        };
        let method = labels.split("grpc_method=\"").nth(1);
        let method = method.and_then(|rest| rest.split('"').next());
        let count = line
            .rsplit(' ')
            .next()
            .and_then(|count| count.parse::<f64>().ok());
        let (Some(method), Some(count)) = (method, count) else {
            continue;
        };
        requests.all += count;
        match method {
            "LeaseGrant" => requests.grants += count,
            "Put" | "Txn" => requests.writes += count,
            "LeaseKeepAlive" => requests.renewals += count,
            _ => {}
        }
    }
    Ok(requests)
}

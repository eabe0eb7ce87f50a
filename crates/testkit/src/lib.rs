//! Scripted servers and guards for the tests, examples and benches of Evenkeel.
//!
//! Servers and proxies run on threads and runtimes of their own. So a killed server stops like a
//! killed process, and the test's runtime holds nothing but the client: its tasks and its
//! allocations are the client's.
//!
//! ```
//! use evenkeel_testkit::{Behaviour, UserServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let mut server = UserServer::start().await?;
//! server.behave(Behaviour::fail(tonic::Code::ResourceExhausted));
//! // … call it at server.address() …
//! assert_eq!(server.seen().total_calls(), 0);
//! server.kill().await; // like SIGKILL: no GOAWAY
//! server.restart().await?; // on the same port
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "alloc")]
pub mod alloc;
mod clock;
pub mod dns;
pub mod etcd;
pub mod interop;
pub mod pb;
pub mod port;
pub mod proxy;
pub mod server;
pub mod skip;
pub mod tasks;
pub mod tls;
mod trace;
mod wait;
mod worker;

pub use clock::StoppedClock;
pub use dns::{DnsMood, DnsServer};
pub use etcd::{EtcdCluster, EtcdServer};
pub use interop::TestServer;
pub use proxy::{Fault, FaultProxy};
pub use server::{Behaviour, Health, Method, OrcaLoadReport, Seen, UserServer};
pub use trace::{Log, trace_init};
pub use wait::{PATIENCE, eventually, within};

//! What is wrong with that which etcd has of a service.
//!
//! [`examine`] asks etcd and changes nothing; [`Facts::judge`] says what the answers mean. In
//! between, who can dial endpoints tells [`Facts::dialled`] how that went. `evenkeel doctor` is
//! these three and a table.
//!
//! ```no_run
//! use evenkeel_etcd::EtcdConfig;
//! use evenkeel_etcd::doctor::{Limits, examine};
//!
//! # async fn example() -> Result<(), evenkeel_etcd::EtcdError> {
//! let facts = examine(EtcdConfig::default(), "service/user").await?;
//! for finding in facts.judge(&Limits::default()) {
//!     println!("{}: {}: {}", finding.severity, finding.check, finding.what);
//! }
//! # Ok(())
//! # }
//! ```

mod check;
mod examine;
mod facts;
mod finding;
mod judge;
mod parallel;
mod reading;

pub use check::Check;
pub use examine::examine;
pub use facts::{Dialled, Entry, Facts, Lease, Member, MemberStatus, Neighbour, Unanswered};
pub use finding::{Finding, Severity};
pub use judge::Limits;
pub use reading::Unreadable;

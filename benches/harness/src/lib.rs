//! What every contender does alike.
//!
//! A contender is a program that measures one way to call several endpoints. Its arguments are
//! [`Options`]; when all endpoints can be called it prints `ready`, and then answers each
//! [`Command`] on its standard input with an [`Answer`], until that ends. So a process lives over
//! all rounds, and waits without cost while others have their turns.
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # use evenkeel_bench_harness::{Caller, Options};
//! # struct Client;
//! impl Caller for Client {
//!     async fn call(&mut self) {
//!         // One call, which must succeed.
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     evenkeel_bench_harness::run(async |options: Options| {
//!         // Connects to options.endpoints; then each caller gets a client.
//!         move || Client
//!     })
//! }
//! ```

pub mod alloc;
mod answer;
mod callers;
mod command;
pub mod cpu;
pub mod framing;
pub mod memory;
mod options;
mod program;
mod shape;

pub use answer::Answer;
pub use callers::Caller;
pub use command::Command;
pub use options::Options;
pub use program::run;
pub use shape::Shape;

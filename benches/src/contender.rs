//! Whom Evenkeel is compared with. Each has a file of its own; a new one is listed in [`ALL`].

mod balance_list;
mod evenkeel;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use crate::load::Load;

/// A way to call several endpoints.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// What tables call it.
    pub name: &'static str,
    /// Connects to all endpoints; within a runtime.
    pub connect: fn(&[SocketAddr]) -> Connecting<'_>,
}

/// A contender on its way to be ready for calls.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Box<dyn Load>> + 'a>>;

/// All of them; ratios are to the first.
pub const ALL: [Contender; 2] = [balance_list::CONTENDER, evenkeel::CONTENDER];

//! The generated client of the benches' service, and callers that use it.

mod caller;
pub mod pb;

pub use caller::Stub;

//! gRPC service-config JSON as validated types.

mod method;

pub use method::{MethodConfig, ServiceConfig};

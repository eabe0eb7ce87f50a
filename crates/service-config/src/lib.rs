//! gRPC service-config JSON as validated types.
//!
//! [`ServiceConfig::parse`] takes the whole document or nothing of it: what is wrong comes back
//! as a [`ConfigError`] with its place in the document and, mostly, with what to write instead.
//! What gRPC would ignore in silence is listed in [`ServiceConfig::warnings`].
//!
//! | field | |
//! |---|---|
//! | `loadBalancingConfig`, `loadBalancingPolicy` | the first policy that the [`PolicyRegistry`] knows |
//! | `methodConfig[].name` | exact method, then its service, then all |
//! | `methodConfig[].waitForReady`, `.timeout`, `.retryPolicy` | [`MethodConfig`] |
//! | `methodConfig[].hedgingPolicy`, `.maxRequestMessageBytes`, `.maxResponseMessageBytes` | checked, then ignored with a warning |
//! | `retryThrottling` | [`ServiceConfig::retry_throttling`] |
//! | `healthCheckConfig`, `connectionScaling` | checked, then ignored with a warning |
//!
//! # Specification
//!
//! gRFC A2, A6, A21 and A24, and `service_config.proto`. Where implementations differ:
//!
//! | | here | differs |
//! |---|---|---|
//! | a field that appears twice | refused | Go: the last counts |
//! | field names in another case | taken, with a warning | C-core: unknown |
//! | names of statuses in another case | taken | Go, Java |
//! | numbers in quotes | taken, with a warning | Go |
//! | `.05s` | taken | C-core |
//! | a negative `timeout` | refused | Go: none |
//! | OK among the statuses to retry | ignored, with a warning | Java: refused |
//! | an empty `loadBalancingConfig` | refused | Java, Node: as if absent |
//! | unknown `loadBalancingPolicy` | refused | Go: `pick_first` |
//! | `maxTokens` with decimals | refused | Go |
//! | `maxAttempts` above the cap | capped, with a warning | all: in silence |

mod builtin;
mod config;
mod document;
mod duration;
mod error;
mod field;
mod lb;
mod method;
mod names;
mod object;
mod path;
mod registry;
mod retry;
mod suggest;

pub use config::{ParseOptions, ServiceConfig};
pub use error::{ConfigError, Warning};
pub use evenkeel_core::BuildPolicy;
pub use field::Field;
pub use lb::LbConfig;
pub use method::MethodConfig;
pub use object::Object;
pub use registry::{PolicyFactory, PolicyRegistry};

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
//! | `methodConfig[].waitForReady`, `.timeout`, `.retryPolicy`, `.hedgingPolicy` | [`MethodConfig`] |
//! | `methodConfig[].maxRequestMessageBytes`, `.maxResponseMessageBytes` | [`MethodConfig`] |
//! | `retryThrottling` | [`ServiceConfig::retry_throttling`] |
//! | `healthCheckConfig` | [`ServiceConfig::health_check_service_name`]; under `pick_first`, which does without: a warning |
//! | `connectionScaling` | [`ServiceConfig::max_connections_per_subchannel`] |
//!
//! [`ServiceConfig::explain`] says what all of it comes to, and what is probably not meant;
//! [`ServiceConfig::unused_names`] finds the names that no call has. [`ServiceConfigChoices`] is
//! the list of service configs in a DNS TXT record, [`LiveConfig`] one that may be replaced while
//! its channel is used.
//!
//! # Specification
//!
//! gRFC A2, A6, A17, A21, A24 and A105, and `service_config.proto`. Where implementations differ:
//!
//! | | here | differs |
//! |---|---|---|
//! | a field that appears twice | refused | Go: the last counts |
//! | names of fields and policies in another case | taken, with a warning | C-core: unknown |
//! | names of statuses in another case | taken | Go, Java |
//! | numbers in quotes | taken, with a warning | Go |
//! | `.05s` | taken | C-core |
//! | a negative `timeout` | refused | Go: none |
//! | OK among the statuses to retry | ignored, with a warning | Java: refused |
//! | an empty `loadBalancingConfig` | refused | Java, Node: as if absent |
//! | unknown `loadBalancingPolicy` | refused | Go: `pick_first` |
//! | `maxTokens` with decimals | refused | Go |
//! | further decimals of `tokenRatio` | cut off after three | Go: all count |
//! | a `hedgingPolicy` without a `hedgingDelay` | all attempts at once | Java: refused |
//! | an empty `healthCheckConfig.serviceName` | a name, the server as a whole | Go: none |
//! | `maxAttempts` above the cap | capped, with a warning | all: in silence |

mod builtin;
mod choices;
mod config;
mod document;
mod duration;
mod error;
mod explain;
mod field;
mod lb;
mod live;
mod method;
mod names;
mod object;
mod path;
mod registry;
mod retry;
mod scope;
mod suggest;

pub use builtin::MetadataRoutingFactory;
pub use choices::ServiceConfigChoices;
pub use config::{ParseOptions, ServiceConfig};
pub use error::{ConfigError, Warning};
pub use evenkeel_core::BuildPolicy;
pub use explain::{
    Explanation, HedgingExplanation, MethodExplanation, PolicyExplanation, RetryExplanation,
    ThrottleExplanation,
};
pub use field::Field;
pub use lb::LbConfig;
pub use live::{ConfigChanges, ConfigReader, LiveConfig};
pub use method::MethodConfig;
pub use object::Object;
pub use registry::{PolicyFactory, PolicyRegistry};

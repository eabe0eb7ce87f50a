//! Policies as a service config chooses them.

use evenkeel_core::Policy;
use evenkeel_service_config::ServiceConfig;

/// The policy `name` with `config`.
pub(crate) fn policy(name: &str, config: &str) -> Box<dyn Policy> {
    parsed(name, config).load_balancing().build()
}

/// A service config that chooses the policy `name` with `config`, for channels in great numbers.
pub(crate) fn parsed(name: &str, config: &str) -> ServiceConfig {
    let parsed = ServiceConfig::parse(&document(name, config));
    parsed.unwrap_or_else(|error| panic!("{config}: {error}"))
}

/// Why a service config with this policy is refused.
pub(crate) fn refusal(name: &str, config: &str) -> String {
    let parsed = ServiceConfig::parse(&document(name, config));
    parsed.expect_err(config).to_string()
}

fn document(name: &str, config: &str) -> String {
    format!(r#"{{"loadBalancingConfig": [{{{name:?}: {config}}}]}}"#)
}

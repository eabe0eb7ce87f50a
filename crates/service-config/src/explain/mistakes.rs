//! What is legal and in force, and probably not meant.

use evenkeel_policy::hedge::HedgingPolicy;
use evenkeel_policy::retry::{CodeSet, RetryPolicy};
use tonic::Code;

use super::names;
use crate::duration::format as seconds;
use crate::names::{Entry, Methods};
use crate::suggest::near;
use crate::{LbConfig, MethodConfig, ServiceConfig, Warning, path};

pub(super) fn of(config: &ServiceConfig, methods: &Methods) -> Vec<Warning> {
    let mut found = Vec::new();
    of_policy(config.load_balancing(), &mut found);
    let mut last_settings = None;
    for entry in methods.entries() {
        of_name(entry, methods, &mut found);
        not_inherited(entry, methods, &mut found);
        // Names of one entry share its settings.
        if last_settings != Some(&entry.settings.path) {
            of_settings(&entry.settings.config, &entry.settings.path, &mut found);
            last_settings = Some(&entry.settings.path);
        }
    }
    let retries = |entry: &Entry| {
        let config = &entry.settings.config;
        config.retry_policy.is_some() || config.hedging_policy.is_some()
    };
    if config.retry_throttling().is_some() && !methods.entries().iter().any(|it| retries(it)) {
        found.push(Warning::new(
            "$.retryThrottling",
            "nothing to throttle: no method has a retryPolicy or a hedgingPolicy",
        ));
    }
    found
}

fn of_policy(policy: &LbConfig, found: &mut Vec<Warning>) {
    if policy.name() == "weighted_round_robin" {
        found.push(Warning::new(
            policy.path(),
            "its weights come from the load reports (ORCA) of the servers, and without any all weigh \
             the same; for the weights that servers register with, use \
             \"evenkeel.registered_weighted_round_robin\"",
        ));
    }
    policy.children().iter().for_each(|it| of_policy(it, found));
}

fn of_name(entry: &Entry, methods: &Methods, found: &mut Vec<Warning>) {
    let service = &*entry.service;
    let mut warn = |field, reason| {
        let path = path::field(&entry.path, field);
        found.push(Warning::new(path, reason));
    };
    match service.rsplit_once('/') {
        // A slash at an end is a warning of the parser.
        Some((package, method)) if !package.is_empty() && !method.is_empty() => warn(
            "service",
            format!(
                "the method belongs into a field of its own; did you mean \
                 {{\"service\": {package:?}, \"method\": {method:?}}}?"
            ),
        ),
        _ => {}
    }
    match service.strip_suffix("Client") {
        Some(server) if !server.is_empty() && !server.ends_with('.') => warn(
            "service",
            format!("this is the name of a client, not of its service; did you mean {server:?}?"),
        ),
        _ => {}
    }
    if service.contains("::") {
        warn(
            "service",
            "this is a path in Rust; a service has its name in the proto file, package.Service"
                .to_owned(),
        );
    }
    if let Some(called) = methods.stray().and_then(|path| meant(entry, path)) {
        warn(
            "service",
            format!("never called so far, but {called:?} was; did you mean that?"),
        );
    }
}

/// The service of `path`, a call that no entry names, if `entry`, which no call has had, may be
/// meant to.
fn meant<'p>(entry: &Entry, path: &'p str) -> Option<&'p str> {
    let service = path.trim_start_matches('/').rsplit_once('/')?.0;
    let written = &*entry.service;
    let without_package = |name: &str| name.rsplit(['.', ':']).next() == Some(written);
    let is_like =
        service != written && (without_package(service) || near(written, [service]).is_some());
    (entry.is_named() && !entry.is_called() && is_like).then_some(service)
}

/// What a wider entry sets and `entry`, which takes its place, does not.
fn not_inherited(entry: &Entry, methods: &Methods, found: &mut Vec<Warning>) {
    let own = set_fields(&entry.settings.config);
    for wider in methods.entries().iter().filter(|it| it.covers(entry)) {
        let missing = set_fields(&wider.settings.config).into_iter();
        let missing: Vec<_> = missing.filter(|field| !own.contains(field)).collect();
        // Retries in the place of hedges, and the other way round, are meant.
        let retries = |field: &&str| matches!(*field, "retryPolicy" | "hedgingPolicy");
        let replaced = own.iter().any(retries);
        let missing: Vec<_> = missing
            .into_iter()
            .filter(|field| !(replaced && retries(field)))
            .collect();
        if !missing.is_empty() && wider.settings.path != entry.settings.path {
            found.push(Warning::new(
                entry.path.clone(),
                format!(
                    "takes the place of {} as a whole: {} is without its {}",
                    wider.path,
                    entry.to_string().escape_debug(),
                    missing.join(" and "),
                ),
            ));
        }
    }
}

fn set_fields(config: &MethodConfig) -> Vec<&'static str> {
    let fields = [
        ("timeout", config.timeout.is_some()),
        ("waitForReady", config.wait_for_ready.is_some()),
        ("retryPolicy", config.retry_policy.is_some()),
        ("hedgingPolicy", config.hedging_policy.is_some()),
        (
            "maxRequestMessageBytes",
            config.max_request_message_bytes.is_some(),
        ),
        (
            "maxResponseMessageBytes",
            config.max_response_message_bytes.is_some(),
        ),
    ];
    let set = fields.into_iter().filter(|(_, is_set)| *is_set);
    set.map(|(name, _)| name).collect()
}

fn of_settings(config: &MethodConfig, entry: &str, found: &mut Vec<Warning>) {
    let mut warn = |field, reason| found.push(Warning::new(format!("{entry}.{field}"), reason));
    let timeout = config.timeout;
    if timeout.is_some_and(|it| it.is_zero()) {
        warn("timeout", "ends every call at once".to_owned());
    }
    if let Some(policy) = &config.retry_policy {
        for (field, reason) in of_retries(policy) {
            warn(field, reason);
        }
        let first = policy.backoff(1);
        if let Some(timeout) = timeout.filter(|it| !it.is_zero() && *it < first) {
            warn(
                "timeout",
                format!(
                    "{} is over before the first retry, which waits for about {}",
                    seconds(timeout),
                    seconds(first)
                ),
            );
        }
    }
    let delay = config.hedging_policy.as_ref();
    let delay = delay.map_or_else(Default::default, |it: &HedgingPolicy| it.hedging_delay);
    if let Some(timeout) = timeout.filter(|it| !it.is_zero() && *it <= delay) {
        warn(
            "timeout",
            format!(
                "{} is over before the second attempt, which starts after {}",
                seconds(timeout),
                seconds(delay)
            ),
        );
    }
}

/// The server may have done what was asked for, and would do it again.
const UNSAFE: CodeSet = CodeSet::of(&[
    Code::Cancelled,
    Code::Unknown,
    Code::DeadlineExceeded,
    Code::Internal,
    Code::DataLoss,
]);

/// The same request fails again.
const IN_VAIN: CodeSet = CodeSet::of(&[
    Code::InvalidArgument,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::FailedPrecondition,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Unauthenticated,
]);

fn of_retries(policy: &RetryPolicy) -> Vec<(&'static str, String)> {
    const CODES: &str = "retryPolicy.retryableStatusCodes";
    let codes = policy.retryable_codes;
    let of = |kind: CodeSet| {
        let named: CodeSet = codes.iter().filter(|code| kind.contains(*code)).collect();
        (!named.is_empty()).then(|| names(named).join(", "))
    };
    let mut found = Vec::new();
    if let Some(names) = of(UNSAFE) {
        let reason = format!(
            "after {names} the server may have done what was asked for: only for methods that may \
             be called twice"
        );
        found.push((CODES, reason));
    }
    if let Some(names) = of(IN_VAIN) {
        let reason = format!("{names}: the same request mostly fails in the same way again");
        found.push((CODES, reason));
    }
    if !codes.contains(Code::Unavailable) {
        let reason = "without UNAVAILABLE, the code of servers that are gone or overloaded";
        found.push((CODES, reason.to_owned()));
    }
    let (initial, most) = (policy.initial_backoff, policy.max_backoff);
    if initial > most {
        let reason = format!(
            "{} is more than maxBackoff, {}, which counts",
            seconds(initial),
            seconds(most)
        );
        found.push(("retryPolicy.initialBackoff", reason));
    }
    if policy.backoff_multiplier < 1.0 {
        let reason = format!(
            "{}: each retry waits for a shorter time than the one before",
            policy.backoff_multiplier
        );
        found.push(("retryPolicy.backoffMultiplier", reason));
    }
    found
}

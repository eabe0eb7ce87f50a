//! What keys are made of.

/// `service/`: what keys of `service` begin with where nothing comes before it. A slash before it
/// is part of its name.
pub(super) fn closed(service: &str) -> String {
    format!("{}/", service.trim_end_matches('/'))
}

/// `root/service/`, with one slash between; without a root nothing comes before the service.
pub(super) fn under(root: &str, service: &str) -> String {
    let service = name(service);
    if root.is_empty() {
        return closed(service);
    }
    format!("{}/{service}/", root.trim_end_matches('/'))
}

/// A service's name without the slashes around it, as values have it.
pub(super) fn name(service: &str) -> &str {
    service.trim_matches('/')
}

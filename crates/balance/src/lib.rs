//! The balancer.

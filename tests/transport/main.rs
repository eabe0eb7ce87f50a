//! Suite `transport`.

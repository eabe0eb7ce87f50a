//! The `UserService` demo; the small examples are in `examples/`.

pub mod demo;

//! The messages of answers.

use evenkeel_bench_harness::Shape;
use evenkeel_bench_stub::pb::User;

/// A user who makes an answer as large as the shape says: 64 bytes with the ids and the heads of
/// the fields, or a little over 16 KiB.
#[must_use]
pub fn user(shape: Shape) -> User {
    let length = match shape {
        Shape::Unary | Shape::Stream => 58,
        Shape::Unary16k => 16 << 10,
    };
    User {
        id: 1,
        name: "n".repeat(length),
    }
}

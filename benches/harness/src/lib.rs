//! What every contender does alike.
//!
//! A contender is a program that measures one way to call several endpoints, told by arguments and
//! lines on its standard input.

mod answer;
mod shape;

pub use answer::Answer;
pub use shape::Shape;

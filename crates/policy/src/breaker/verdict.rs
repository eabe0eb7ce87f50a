/// What the end of an attempt says of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever judges knows these three cases"
)]
pub enum Verdict {
    /// It works: it has answered, be it with an error that is an answer.
    Success,
    /// It does not.
    Failure,
    /// Neither: the attempt counts for nothing.
    Nothing,
}

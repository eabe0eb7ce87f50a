use tonic::Code;

/// How an attempt ended, known when its response body has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever counts must count every case"
)]
pub enum Outcome {
    /// With status OK.
    Success,
    /// With another status.
    Failure(Code),
    /// The caller dropped it: it says nothing about the endpoint.
    Abandoned,
}

impl From<Code> for Outcome {
    fn from(code: Code) -> Self {
        if code == Code::Ok {
            Self::Success
        } else {
            Self::Failure(code)
        }
    }
}

/// How far a failed attempt got, which decides whether trying again is safe (gRFC A6,
/// "transparent retries").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a retry must decide for every case"
)]
pub enum Progress {
    /// It never left this process.
    NotSent,
    /// It reached the server's HTTP/2 layer, which says that the application never saw it
    /// (REFUSED_STREAM, or GOAWAY with a lower last stream id).
    Refused,
    /// The application may have seen it.
    Sent,
}

/// Whatever went wrong: these are programs, and say it and end.
pub(crate) type Error = Box<dyn std::error::Error>;

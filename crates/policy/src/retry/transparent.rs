use evenkeel_core::Progress;

/// How often an attempt that never left is tried again: gRFC A6 sets no limit, but a service that
/// refuses for ever must not spin for ever (gRPC Java's number).
const UNSENT_LIMIT: u32 = 1_000;

/// The attempts of one call that are sent again though no policy says so, since no server has seen
/// them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transparent {
    unsent: u32,
    refused: bool,
}

impl Transparent {
    /// Whether an attempt that got as far as `progress` is sent again.
    pub(crate) fn allows(&mut self, progress: Progress) -> bool {
        match progress {
            Progress::NotSent => {
                self.unsent = self.unsent.saturating_add(1);
                self.unsent <= UNSENT_LIMIT
            }
            Progress::Refused => !std::mem::replace(&mut self.refused, true),
            Progress::Sent => false,
        }
    }
}

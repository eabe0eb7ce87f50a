use evenkeel_core::{Pick, PickArgs, Picker};

/// Makes every call wait for the next picker: the channel is IDLE or CONNECTING.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing to say about it"
)]
pub struct QueuePicker;

impl Picker for QueuePicker {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        Pick::Queue
    }
}

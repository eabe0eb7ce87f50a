//! The retry throttle of a channel (gRFC A6, `retryThrottling`).

/// `retryThrottling` of a service config, validated; in thousandths, so that no float adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThrottleConfig {
    /// `maxTokens` × 1000: 1 to 1 000 000.
    pub max_milli_tokens: u32,
    /// `tokenRatio` × 1000, further decimals cut off: at least 1.
    pub milli_token_ratio: u32,
}

impl ThrottleConfig {
    /// A config of plain parts; the caller (the service config's parser) has checked them.
    #[must_use]
    pub const fn new(max_milli_tokens: u32, milli_token_ratio: u32) -> Self {
        Self {
            max_milli_tokens,
            milli_token_ratio,
        }
    }
}

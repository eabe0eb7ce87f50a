use std::collections::BTreeMap;

/// What a server says of itself when it registers, beside its address.
///
/// Plain data; every field is optional and its `Default` is what a server that says nothing gets.
///
/// ```
/// use evenkeel_core::{Availability, Metadata};
///
/// let metadata = Metadata::default().with_weight(10.0);
/// assert_eq!(metadata.weight, Some(10.0));
/// assert!(metadata.accepts_calls());
/// assert!(!Metadata::default().with_weight(0.0).accepts_calls(), "weight 0 drains");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metadata {
    /// Its share of calls relative to its peers, for weighted policies. Finite and not negative;
    /// unset counts as 1, and 0 means "no new calls".
    pub weight: Option<f64>,
    /// The release it runs.
    pub version: Option<String>,
    /// The failure domain it runs in.
    pub zone: Option<String>,
    /// The geographical area it runs in.
    pub region: Option<String>,
    /// Whether it wants new calls.
    pub availability: Availability,
    /// Free labels without a value.
    pub tags: Vec<String>,
    /// Everything else it said, as text.
    pub other: BTreeMap<String, String>,
}

/// Whether a server wants new calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Availability {
    /// It takes new calls.
    #[default]
    Up,
    /// It finishes the calls and streams it has and takes no new ones.
    Draining,
    /// It takes no calls.
    Down,
}

impl Availability {
    /// The word for it in a registry: `up`, `draining`, `down`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }
}

impl Metadata {
    /// Sets [`Self::weight`]; a negative, infinite or NaN weight counts as 0.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = Some(if weight.is_finite() {
            weight.max(0.0)
        } else {
            0.0
        });
        self
    }

    /// Sets [`Self::availability`].
    #[must_use]
    pub fn with_availability(mut self, availability: Availability) -> Self {
        self.availability = availability;
        self
    }

    /// Whether new calls may go there: it is up and its weight is not 0.
    #[must_use]
    pub fn accepts_calls(&self) -> bool {
        self.availability == Availability::Up && self.weight != Some(0.0)
    }
}

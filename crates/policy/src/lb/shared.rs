//! What policies are made of.

pub(super) mod child;
pub(super) mod described;
pub(super) mod fail;
pub(super) mod kept;
pub(super) mod merged;
pub(super) mod metadata_key;
pub(super) mod petiole;
pub(super) mod queue;
pub(super) mod random;
pub(super) mod ready;
pub(super) mod sequence;
pub(super) mod shown;
pub(super) mod subset;
pub(super) mod wrapper;

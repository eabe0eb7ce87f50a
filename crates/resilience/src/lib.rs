//! Layers that keep a call alive.

//! clone.

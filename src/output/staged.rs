//! staged.

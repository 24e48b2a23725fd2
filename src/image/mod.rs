//! A node's image: a clone of the base, the plan applied to it, and the read-back.

pub mod clone;

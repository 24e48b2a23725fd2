//! magi-image builds bootable SD-card images: one ready-to-flash image for each node of a cluster.
//!
//! Profile, overlays and secrets are composed to a plan. The plan is applied to a copy of the base image, read
//! back by independent code, and rendered to outputs. `docs/architecture.md` lists the modules and which
//! module may use which.
//!
//! Only [`cli`] is public, for the binary, and [`fuzzing`], for tests: the compiler then finds dead code.

mod base;
mod builtin;
pub mod cli;
mod compose;
mod digest;
mod disk;
mod document;
mod error;
mod fetch;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod image;
mod interrupt;
mod output;
mod overlay;
mod plan;
mod profile;
mod progress;
mod project;
mod secrets;
mod text;

use error::{Error, Result};

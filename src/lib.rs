//! magi-image builds bootable SD-card images: one ready-to-flash image for each node of a cluster.
//!
//! Things flow one way: profile, overlays and secrets make a [`plan`]; the plan is applied to a copy of
//! the [`base`] by [`image`], read back by another reader, and leaves as [`output`]s. The plan knows no
//! disks, [`disk`] knows no overlays, and [`cli`] decides nothing.

pub mod attributes;
pub mod base;
mod builtin;
pub mod cli;
pub mod digest;
pub mod disk;
pub mod document;
pub mod error;
pub mod fetch;
mod guard;
mod ignored;
pub mod image;
pub mod init;
pub mod inspect;
pub mod interrupt;
pub mod kubeconfig;
pub mod opened;
pub mod output;
pub mod overlay;
pub mod plan;
pub mod private_file;
pub mod profile;
pub mod progress;
pub mod project;
pub mod secrets;
pub mod verify;

pub use error::{Error, Exit, Result};

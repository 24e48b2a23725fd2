//! Helpers of the integration tests: sandbox, profile builder, base images, external tools, HTTP server.

// Each test file is a separate crate and uses only some of these helpers.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod bases;
pub mod image;
pub mod profile;
pub mod sandbox;
pub mod server;
pub mod tools;

pub use profile::Profile;
#[allow(unused_imports)] // not every test crate uses all of them
pub use sandbox::{Ran, Sandbox};

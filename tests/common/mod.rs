//! What the integration tests share: a place to work in, real tools to make and to judge images, a server.

// Each test file is a program of its own and uses only a part of this.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod bases;
pub mod image;
pub mod profile;
pub mod sandbox;
pub mod server;
pub mod tools;

pub use profile::Profile;
#[allow(unused_imports)] // not every test binary needs all
pub use sandbox::{Ran, Sandbox};

//! The command line: parses, calls the library, reports. It decides nothing.

pub mod progress;

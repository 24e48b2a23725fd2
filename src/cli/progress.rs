//! Progress bars on a terminal, plain lines elsewhere.

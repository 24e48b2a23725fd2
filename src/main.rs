//! The `magi-image` binary; the code is in `magi_image::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    magi_image::cli::run()
}

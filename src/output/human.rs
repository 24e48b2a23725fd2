//! Numbers and paths as people read them.

use std::path::Path;

use serde::Serializer;

/// For JSON: what isn't UTF-8 in a path is replaced, where serde would give up.
pub fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// `bytes` in the largest binary unit that leaves at least 1, with one decimal: `821.8 MiB`, `17 bytes`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let power = bytes.ilog2() / 10;
    let whole = bytes >> (10 * power);
    // The largest power is 6, so both shifts stay inside 64 bits.
    let rest = (bytes - (whole << (10 * power))) >> (10 * (power - 1));
    format!("{whole}.{} {}", rest * 10 / 1024, UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_one_decimal_and_never_round_up_to_the_next_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (2_621_440_000, "2.4 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}

//! Hostnames, and the names that follow their rules.

/// Whether `name` is a DNS label in lower case: it matches `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$` (RFC 1123).
pub(crate) fn is_legal(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    matches!(name.len(), 1..=63) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_checked_by_the_pi_s_rule() {
        let longest = "a".repeat(63);
        for good in ["caspar", "a", "0", "node-1", "1a", longest.as_str()] {
            assert!(is_legal(good), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "Caspar", "a.b", "a_b", "é", "a b", "a\n", too_long.as_str()] {
            assert!(!is_legal(bad), "{bad:?}");
        }
    }
}

//! Hostnames, and names that follow the same rule.

/// Whether `name` is a DNS label in lower case: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$` (RFC 1123).
pub(super) fn is_valid(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    matches!(name.len(), 1..=63)
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_are_lower_case_dns_labels() {
        let longest = "a".repeat(63);
        for valid in ["caspar", "a", "0", "node-1", "1a", longest.as_str()] {
            assert!(is_valid(valid), "{valid}");
        }
        let too_long = "a".repeat(64);
        for invalid in ["", "-a", "a-", "Caspar", "a.b", "a_b", "é", "a b", "a\n", too_long.as_str()] {
            assert!(!is_valid(invalid), "{invalid:?}");
        }
    }
}

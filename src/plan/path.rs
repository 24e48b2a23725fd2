//! Paths inside an image.

/// `path` if it is absolute, plain and leads nowhere else; or why not, to follow "`…` ".
pub(crate) fn checked(path: &str) -> Result<&str, &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("isn't an absolute path") };
    if rest.is_empty() {
        return Err("is the root of the file system");
    }
    if path.len() > 1024 || path.chars().any(char::is_control) {
        return Err("is too long or holds a control character");
    }
    for part in rest.split('/') {
        match part {
            "" => return Err("has an empty part"),
            "." | ".." => return Err("leads elsewhere with `.` or `..`"),
            part if part.len() > 255 => return Err("has a part of more than 255 bytes"),
            _ => {}
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_pass() {
        assert_eq!(checked("/etc/hosts"), Ok("/etc/hosts"));
        for wrong in ["etc/hosts", "/", "/etc/../x", "/etc//x", "/etc/", "/a\nb", ""] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }
}

//! Paths inside an image.

/// Returns `path` if it is absolute and has no empty, `.` or `..` part; else the reason, which follows "`…` " in
/// a message.
pub(crate) fn checked(path: &str) -> Result<&str, &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("is not an absolute path") };
    if rest.is_empty() {
        return Err("is the root of the file system");
    }
    if path.len() > 1024 || path.chars().any(char::is_control) {
        return Err("is too long or holds a control character");
    }
    for part in rest.split('/') {
        match part {
            "" => return Err("has an empty part"),
            "." | ".." => return Err("has a part `.` or `..`"),
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
    fn relative_and_dotted_paths_are_refused() {
        assert_eq!(checked("/etc/hosts"), Ok("/etc/hosts"));
        for wrong in ["etc/hosts", "/", "/etc/../x", "/etc//x", "/etc/", "/a\nb", ""] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }
}

//! Kernel command line: words on the first line of `cmdline.txt` and similar files.

/// Appends to the first line of `text` those `words` that it lacks; the other lines don't change.
pub(crate) fn add(text: &[u8], words: &[String]) -> Vec<u8> {
    let (first, rest) = first_line(text);
    let mut line = first.trim_ascii_end().to_vec();
    for word in words {
        let is_present = line.split(u8::is_ascii_whitespace).any(|present| present == word.as_bytes());
        if !is_present {
            if !line.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(word.as_bytes());
        }
    }
    let rest = if text.is_empty() { b"\n" } else { rest };
    [&line, rest].concat()
}

/// Removes `words` from the first line of `text`; the other lines don't change.
pub(crate) fn remove(text: &[u8], words: &[String]) -> Vec<u8> {
    let (first, rest) = first_line(text);
    let present = first.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let kept = present.filter(|word| !words.iter().any(|unwanted| unwanted.as_bytes() == *word));
    [&kept.collect::<Vec<_>>().join(&b' '), rest].concat()
}

/// The first line without its line end, and the line end with what follows.
fn first_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    let end = if text[end..].starts_with(b"\n") && text[..end].ends_with(b"\r") { end - 1 } else { end };
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        String::from_utf8(add(text.as_bytes(), &words)).unwrap()
    }

    #[test]
    fn words_are_appended_to_the_first_line() {
        assert_eq!(added("root=LABEL=x rw \nsecond\n", &["a=1", "b"]), "root=LABEL=x rw a=1 b\nsecond\n");
        assert_eq!(added("root=LABEL=x\r\n", &["a"]), "root=LABEL=x a\r\n");
        assert_eq!(added("root=LABEL=x", &["a"]), "root=LABEL=x a");
        assert_eq!(added("", &["a", "b"]), "a b\n");
    }

    #[test]
    fn unwanted_words_are_removed_from_the_first_line() {
        let removed = |text: &str| String::from_utf8(remove(text.as_bytes(), &["resize".into()])).unwrap();
        assert_eq!(removed("root=/dev/sda2 resize rootwait\nresize\n"), "root=/dev/sda2 rootwait\nresize\n");
        assert_eq!(removed("a resize"), "a");
        assert_eq!(removed("a resize\r\nb\r\n"), "a\r\nb\r\n");
        assert_eq!(removed("resizes noresize\n"), "resizes noresize\n");
    }

    #[test]
    fn present_words_are_not_added_again() {
        assert_eq!(added("a b=1 c\n", &["b=1", "a"]), "a b=1 c\n");
        assert_eq!(added("b=10\n", &["b=1"]), "b=10 b=1\n");
    }
}

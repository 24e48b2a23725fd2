//! Words of the kernel's command line, as `cmdline.txt` and files like it hold them: on the first line.

/// The text with those of `words` that its first line lacks at that line's end; all else stays.
pub(crate) fn add(text: &[u8], words: &[String]) -> Vec<u8> {
    let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    let mut line = first.trim_ascii_end().to_vec();
    for word in words {
        let there = line.split(u8::is_ascii_whitespace).any(|present| present == word.as_bytes());
        if !there {
            if !line.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(word.as_bytes());
        }
    }
    let rest = if rest.is_empty() { b"\n" } else { rest };
    [&line, rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        String::from_utf8(add(text.as_bytes(), &words)).unwrap()
    }

    #[test]
    fn words_go_to_the_end_of_the_first_line() {
        assert_eq!(added("root=LABEL=x rw \nsecond\n", &["a=1", "b"]), "root=LABEL=x rw a=1 b\nsecond\n");
        assert_eq!(added("root=LABEL=x", &["a"]), "root=LABEL=x a\n");
        assert_eq!(added("", &["a", "b"]), "a b\n");
    }

    #[test]
    fn words_that_are_there_are_not_added_again() {
        assert_eq!(added("a b=1 c\n", &["b=1", "a"]), "a b=1 c\n");
        assert_eq!(added("b=10\n", &["b=1"]), "b=10 b=1\n");
    }
}

//! `config.txt`, which the Pi's firmware reads: <https://www.raspberrypi.com/documentation/computers/config_txt.html>.

use crate::text;

/// The filter under which a setting holds for every board and for all following sections.
const ALL: &str = "[all]";

/// Appends to `text` those `lines` that it lacks, so that they hold for every board.
pub(crate) fn add(text: &[u8], lines: &[String]) -> Vec<u8> {
    let present = String::from_utf8_lossy(text);
    let is_missing = |line: &&String| !present.lines().any(|present| present.trim_end() == **line);
    let missing: Vec<&str> = lines.iter().filter(is_missing).map(String::as_str).collect();
    let last_filter = present.lines().map(str::trim).rfind(|line| line.starts_with('['));
    let filter = last_filter.filter(|filter| !filter.eq_ignore_ascii_case(ALL)).map(|_| ALL);
    if missing.is_empty() {
        return text.to_vec();
    }
    let end = text::line_end(text);
    let added: Vec<&str> = filter.into_iter().chain(missing).collect();
    let added = added.join(end);
    // A file without a newline at its end stays so.
    let (before, after) = if text.is_empty() || text.ends_with(b"\n") { ("", end) } else { (end, "") };
    [text, before.as_bytes(), added.as_bytes(), after.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str, lines: &[&str]) -> String {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        String::from_utf8(add(text.as_bytes(), &lines)).unwrap()
    }

    #[test]
    fn lines_are_appended_for_all_boards() {
        assert_eq!(added("", &["a=1"]), "a=1\n");
        assert_eq!(added("x=1\n", &["a=1", "b=2"]), "x=1\na=1\nb=2\n");
        assert_eq!(added("x=1", &["a=1"]), "x=1\na=1");
        assert_eq!(added("[pi5]\r\nx=1\r\n", &["a=1"]), "[pi5]\r\nx=1\r\n[all]\r\na=1\r\n");
        assert_eq!(added("[pi5]\nx=1\n", &["a=1"]), "[pi5]\nx=1\n[all]\na=1\n");
        assert_eq!(added("[pi5]\nx=1\n[all]\n", &["a=1"]), "[pi5]\nx=1\n[all]\na=1\n");
    }

    #[test]
    fn present_lines_are_not_added_again() {
        assert_eq!(added("[all]\r\na=1\r\n", &["a=1"]), "[all]\r\na=1\r\n");
        assert_eq!(added("a=10\n", &["a=1"]), "a=10\na=1\n");
    }
}

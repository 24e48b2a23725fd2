//! `config.txt`, which the Pi's firmware reads: <https://www.raspberrypi.com/documentation/computers/config_txt.html>.

use crate::text;

/// The filter under which a setting holds for every board and for all following sections.
const ALL: &str = "[all]";

/// Appends to `text` those `lines` that it lacks, so that they hold for every board.
pub(crate) fn add(text: &[u8], lines: &[String]) -> Vec<u8> {
    let (present, holds_for_all) = lines_for_all_boards(text);
    let mut added: Vec<&str> = if holds_for_all { Vec::new() } else { vec![ALL] };
    for line in lines {
        if !present.contains(line) && !added.contains(&line.as_str()) {
            added.push(line);
        }
    }
    if added.iter().all(|line| *line == ALL) {
        return text.to_vec();
    }
    let end = text::line_end(text);
    let added = added.join(end);
    // A file without a newline at its end stays so.
    let (before, after) = if text.is_empty() || text.ends_with(b"\n") { ("", end) } else { (end, "") };
    [text, before.as_bytes(), added.as_bytes(), after.as_bytes()].concat()
}

/// The lines under no filter or under `[all]`, and whether a line at the end would be one of them.
fn lines_for_all_boards(text: &[u8]) -> (Vec<String>, bool) {
    let (mut lines, mut holds_for_all) = (Vec::new(), true);
    for line in String::from_utf8_lossy(text).lines().map(str::trim) {
        if line.starts_with('[') {
            holds_for_all = line.eq_ignore_ascii_case(ALL);
        } else if holds_for_all {
            lines.push(line.to_owned());
        }
    }
    (lines, holds_for_all)
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
        assert_eq!(added("a=10\n", &["a=1", "a=1"]), "a=10\na=1\n");
        assert_eq!(added("[cm4]\na=1\n[all]\n", &["a=1"]), "[cm4]\na=1\n[all]\na=1\n");
    }
}

//! `config.txt`, which the Pi's firmware reads: <https://www.raspberrypi.com/documentation/computers/config_txt.html>.

/// The filter under which a setting holds for every board and for all following sections.
const ALL: &str = "[all]";

/// Appends to `text` those `lines` that it lacks, so that they hold for every board.
pub(crate) fn add(text: &[u8], lines: &[String]) -> Vec<u8> {
    let present = String::from_utf8_lossy(text);
    let missing: Vec<&String> =
        lines.iter().filter(|line| !present.lines().any(|present| present.trim_end() == **line)).collect();
    let mut config = text.to_vec();
    if missing.is_empty() {
        return config;
    }
    if config.last().is_some_and(|&byte| byte != b'\n') {
        config.push(b'\n');
    }
    let is_filter = |line: &&str| line.starts_with('[');
    let last_filter = present.lines().map(str::trim).rfind(is_filter);
    let filter = last_filter.filter(|filter| !filter.eq_ignore_ascii_case(ALL)).map(|_| ALL);
    for line in filter.into_iter().chain(missing.into_iter().map(String::as_str)) {
        config.extend_from_slice(line.as_bytes());
        config.push(b'\n');
    }
    config
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
        assert_eq!(added("x=1", &["a=1", "b=2"]), "x=1\na=1\nb=2\n");
        assert_eq!(added("[pi5]\nx=1\n", &["a=1"]), "[pi5]\nx=1\n[all]\na=1\n");
        assert_eq!(added("[pi5]\nx=1\n[all]\n", &["a=1"]), "[pi5]\nx=1\n[all]\na=1\n");
    }

    #[test]
    fn present_lines_are_not_added_again() {
        assert_eq!(added("[all]\r\na=1\r\n", &["a=1"]), "[all]\r\na=1\r\n");
        assert_eq!(added("a=10\n", &["a=1"]), "a=10\na=1\n");
    }
}

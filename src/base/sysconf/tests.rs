use proptest::prelude::*;

use super::*;
use crate::disk::testing::{Corruptor, run};

/// An excerpt of the shipped file.
const TEMPLATE: &str = "\
# This file will be automatically evaluated and installed at next boot
# time, and regenerated (to avoid leaking potentially sensitive information).

# root_pw - Set a password for the root user (by default, it allows
# for a passwordless login)
#root_pw=FooBar

# root_authorized_key - Set an authorized key for a root ssh login
#root_authorized_key=

# hostname - Set the system hostname.
#hostname=rpi
";

fn read_one(text: &str) -> Option<String> {
    read(text.as_bytes()).remove("hostname")
}

#[test]
fn lines_are_parsed_like_on_the_pi() {
    for fine in ["hostname=rpi\n", "hostname= rpi\n", "  hostname=rpi\n", "HostName=rpi", "\thostname=rpi\n"]
    {
        assert_eq!(read_one(fine).as_deref(), Some("rpi"), "{fine:?}");
    }
    assert_eq!(read_one("hostname = rpi\n"), None, "the key is `hostname `");
    assert_eq!(read(b"hostname = rpi\n").get("hostname ").map(String::as_str), Some("rpi"));
    assert_eq!(read_one("hostname=rpi \t\n").as_deref(), Some("rpi \t"), "trailing blanks stay");
    assert_eq!(read_one("hostname=rpi\r\n").as_deref(), Some("rpi\r"), "a CR stays");
    assert_eq!(read_one("hostname=\"rpi\"\n").as_deref(), Some("\"rpi\""), "quotes stay");
    assert_eq!(read_one("hostname=r#pi\n").as_deref(), Some("r"), "`#` ends the value");
    assert_eq!(read_one("hostname=rpi # mine\n").as_deref(), Some("rpi "), "the blank before `#` stays");
    assert_eq!(read_one("hostname=rpi#\n").as_deref(), Some("rpi#"), "`#.+` needs a character after `#`");
    assert_eq!(read_one("hostname=a=b\n").as_deref(), Some("a=b"), "`=` in a value is fine");
    assert_eq!(read_one("hostname=a\nhostname=b\n").as_deref(), Some("b"), "the last value wins");
    assert_eq!(read_one("hostname=a\nhostname=\n"), None, "the last value wins, even if empty");
    assert_eq!(read_one("hostname=0\n"), None, "`0` isn't applied");
    assert_eq!(read_one("hostname=00\n").as_deref(), Some("00"));
    assert_eq!(read_one("\u{feff}hostname=rpi\n"), None, "a BOM is part of the key");
    assert_eq!(read_one("#hostname=rpi\n=rpi\nhostname\n"), None);
    assert!(read(TEMPLATE.as_bytes()).is_empty());
}

/// The Pi's Perl parser, adapted to read many texts that are separated by NUL.
const PERL: &str = r#"
    use strict; use warnings;
    binmode STDIN; binmode STDOUT;
    local $/; my $all = <STDIN>;
    foreach my $text (split /\0/, $all, -1) {
        my $conf = {};
        open(my $in, '<', \$text) or die;
        local $/ = "\n";
        while (my $line = $in->getline) {
            $line =~ s/#.+//;
            if (my ($key, $value) = ($line =~ /^\s*([^=]+)\s*=\s*(.*)\s*$/)) { $conf->{lc $key} = $value; }
        }
        print map { "$_\1$conf->{$_}\2" } grep { $conf->{$_} } sort keys %$conf;
        print "\0";
    }
"#;

#[test]
fn read_agrees_with_the_perl_parser() {
    const PIECES: [&str; 16] = [
        "hostname", "Root_PW", "a", "=", "=", "#", "\n", "\n", " ", "\t", "\r", "\x0b", "0", "\u{feff}",
        "\"", "é",
    ];
    let mut random = Corruptor::new(7);
    let texts: Vec<String> = (0..3000)
        .map(|_| (0..random.below(14)).map(|_| PIECES[random.below(PIECES.len())]).collect())
        .collect();
    let Some(expected) = run("perl", &["-MIO::Handle", "-e", PERL], &texts.join("\0")) else { return };
    for (text, expected) in texts.iter().zip(expected.split('\0')) {
        let ours: Vec<_> = read(text.as_bytes()).iter().map(|(k, v)| format!("{k}\u{1}{v}\u{2}")).collect();
        assert_eq!(ours.concat(), expected, "{text:?}");
    }
}

#[test]
fn settings_go_below_their_commented_examples() {
    let key = "ssh-ed25519 AAAAC3Nza me@home";
    let edited = edit(TEMPLATE.as_bytes(), &[("hostname", "caspar"), ("root_authorized_key", key)]);
    let edited = String::from_utf8(edited.expect("legal values")).expect("text");
    let ours = [
        ("#root_authorized_key=\n", format!("#root_authorized_key=\nroot_authorized_key={key}\n")),
        ("#hostname=rpi\n", "#hostname=rpi\nhostname=caspar\n".to_owned()),
    ];
    let wanted = ours.iter().fold(TEMPLATE.to_owned(), |text, (from, to)| text.replace(from, to));
    assert_eq!(edited, wanted);
}

#[test]
fn edit_keeps_other_lines() {
    let edited = |text: &str| {
        let bytes = edit(text.as_bytes(), &[("hostname", "caspar")]).expect("a legal value");
        String::from_utf8(bytes).expect("text")
    };
    assert_eq!(edited(""), "hostname=caspar\n");
    assert_eq!(edited("wifi=on"), "wifi=on\nhostname=caspar\n", "no line end before");
    assert_eq!(edited("# hostname=x"), "# hostname=x\nhostname=caspar\n");
    assert_eq!(edited("a=1\r\nhostname=x\r\nb=2\r\n"), "a=1\r\nhostname=caspar\nb=2\r\n", "CRLF");
    assert_eq!(edited("\u{feff}# top\n"), "\u{feff}# top\nhostname=caspar\n", "a BOM");
    assert_eq!(edited("\u{feff}"), "\u{feff}\nhostname=caspar\n");
    assert_eq!(
        edited("\u{feff}hostname=x"),
        "\u{feff}hostname=x\nhostname=caspar\n",
        "a BOM makes it another key"
    );
    assert_eq!(edited("HOSTNAME=a\nx=1\nhostname=b\n"), "hostname=caspar\nx=1\n", "duplicates are removed");
    assert_eq!(edited("hostname=a # the kitchen's\nx=1"), "# the kitchen's\nhostname=caspar\nx=1");
    assert_eq!(edited("hostname = x\n"), "hostname = x\nhostname=caspar\n", "the key is `hostname `");
    assert_eq!(edited(&edited(TEMPLATE)), edited(TEMPLATE), "editing is idempotent");
}

#[test]
fn values_that_the_parser_would_change_are_refused() {
    for bad in ["", "0", "a#b", "a\nb", "a\rb", " a", "a ", "a\t", "\u{b}a", "a\0"] {
        let error = edit(b"", &[("root_pw", bad)]).expect_err(bad);
        assert!(error.to_string().starts_with("the value of `root_pw` can't be written"), "{error}");
    }
    for fine in ["00", "\"quoted\"", "a=b", "a b", "a\tb", "é", "=", "\u{a0}"] {
        assert_eq!(read(&edit(b"", &[("root_pw", fine)]).expect(fine))["root_pw"], fine);
    }
    for bad in ["", "host name", "Hostname", "a=b", "#a", "é"] {
        assert!(matches!(edit(b"", &[(bad, "x")]), Err(SysconfError::Key(_))), "{bad:?}");
    }
}

#[test]
fn ssh_key_comment_is_cut_at_hash_sign() {
    let value = |key, comment| for_sysconf(key, comment);
    assert_eq!(value("ssh-ed25519 AAAA", "me@desk #2").as_deref(), Some("ssh-ed25519 AAAA me@desk"));
    assert_eq!(value("ssh-ed25519 AAAA", "#2").as_deref(), Some("ssh-ed25519 AAAA"));
    assert_eq!(value("ssh-ed25519 AAAA", "").as_deref(), Some("ssh-ed25519 AAAA"));
    let latin1 = crate::text::from_bytes(b"me J\xFCrgen");
    assert_eq!(value("ssh-ed25519 AAAA", &latin1).as_deref(), Some("ssh-ed25519 AAAA me J"));
    assert_eq!(value("command=\"a # b\" ssh-ed25519 AAAA", "me"), None);
}

/// Random bytes, or random texts that consist of parts of a configuration file.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"hostname"[..],
        b"HOSTNAME",
        b"root_pw",
        b"other",
        b"=",
        b"=",
        b"#",
        b"\n",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"\x0b",
        b"0",
        b"x",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn edited_settings_are_read_back_unchanged(
        text in any_text(),
        name in "[a-z0-9!\"=.\\-]{1,12}",
        password in "[ -\"$-~é]{1,12}",
    ) {
        let settings = [("hostname", name.as_str()), ("root_pw", password.as_str())];
        let Ok(edited) = edit(&text, &settings) else {
            prop_assert!(settings.iter().any(|(key, value)| check(key, value).is_err()));
            return Ok(());
        };
        let mut wanted = read(&text);
        wanted.extend(settings.map(|(key, value)| (key.to_owned(), value.to_owned())));
        prop_assert_eq!(read(&edited), wanted);
    }
}

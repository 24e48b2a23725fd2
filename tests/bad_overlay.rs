//! Errors in an overlay, between two overlays, and between an overlay and the base.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::os::unix::fs::symlink;

use common::{Profile, Sandbox};

const SUMMARY: &str = "summary = \"a test\"\n";

/// A sandbox whose profile uses the overlay `mine`, with this `overlay.toml` and these files.
fn overlay(toml: &str, files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    write_overlay(&sandbox, "mine", toml, files);
    Profile::small(&["mine"]).write(&sandbox);
    sandbox
}

/// Writes an overlay with this `overlay.toml` and these files.
fn write_overlay(sandbox: &Sandbox, name: &str, toml: &str, files: &[(&str, &str)]) {
    sandbox.write(&format!("work/overlays/{name}/overlay.toml"), toml);
    for (path, content) in files {
        sandbox.write(&format!("work/overlays/{name}/{path}"), content);
    }
}

/// Builds; asserts exit code `code` and an empty `out/`. Returns the message.
#[track_caller]
fn build_fails(code: i32, sandbox: &Sandbox) -> String {
    let message = sandbox.run(&["build", "--all", "-p", "magi.toml"]).failed(code);
    assert_eq!(sandbox.out(), [] as [&str; 0]);
    message
}

/// The message of a build with this overlay, which must fail with exit code 2.
#[track_caller]
fn refused(toml: &str, files: &[(&str, &str)]) -> String {
    build_fails(2, &overlay(toml, files))
}

/// A valid `overlay.toml`, followed by these lines.
fn toml_with(lines: &str) -> String {
    format!("{SUMMARY}\n{lines}\n")
}

#[test]
fn overlay_beside_the_profile_is_used() {
    let sandbox = overlay(
        SUMMARY,
        &[("files/etc/motd.j2", "This is {{ node.name }}.\n"), ("README.md", "{{ not used")],
    );
    sandbox.run(&["build", "--all", "-p", "magi.toml"]).ok();
    let plan = sandbox.run(&["plan", "--all", "-p", "magi.toml", "--json"]).ok().json();
    let edits: Vec<_> = plan[0]["edits"]
        .as_array()
        .expect("edits are a list")
        .iter()
        .map(|edit| edit["path"].clone())
        .collect();
    assert_eq!(edits, ["/sysconf.txt", "/etc/motd"]);
}

#[test]
fn relative_and_dotted_paths_are_refused() {
    let dir = |path: &str| refused(&toml_with(&format!("[[dir]]\npath = {path:?}")), &[]);
    insta::assert_snapshot!(dir("/srv/../etc"), @"
    error: overlay `mine`: the path `/srv/../etc` has a part `.` or `..`
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    insta::assert_snapshot!(dir("srv"), @"
    error: overlay `mine`: the path `srv` is not an absolute path
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    insta::assert_snapshot!(dir("/"), @"
    error: overlay `mine`: the path `/` is the root of the file system
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    insta::assert_snapshot!(dir("/srv//x"), @"
    error: overlay `mine`: the path `/srv//x` has an empty part
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    insta::assert_snapshot!(dir("/srv/./x"), @"
    error: overlay `mine`: the path `/srv/./x` has a part `.` or `..`
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    let link = |path: &str, target: &str| {
        refused(&toml_with(&format!("[[link]]\npath = {path:?}\ntarget = {target:?}")), &[])
    };
    insta::assert_snapshot!(link("/etc/../../x", "y"), @"
    error: overlay `mine`: the path `/etc/../../x` has a part `.` or `..`
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    insta::assert_snapshot!(link("/etc/x", ""), @"
    error: `overlays/mine/overlay.toml` line 5: the target of the link is not a path
    hint: `docs/overlays.md` lists what templates can use
    ");
    let patch = "[[patch]]\npath = \"boot:/../x\"\nmatch = \"a\"\nreplace = \"b\"";
    insta::assert_snapshot!(refused(&toml_with(patch), &[]), @"
    error: overlay `mine`: the path `boot:/../x` has a part `.` or `..`
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    // The path after template expansion is checked too.
    let rendered = "[[dir]]\npath = \"/srv/{{ settings.where }}\"\n[settings.where]\ntype = \"string\"\nhelp = \"x\"\ndefault = \"../../root\"";
    insta::assert_snapshot!(refused(&toml_with(rendered), &[]), @"
    error: overlay `mine`: the path `/srv/../../root` has a part `.` or `..`
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
    let include = "[[include]]\nsetting = \"apps\"\ninto = \"/srv/../etc\"\n[settings.apps]\ntype = \"paths\"\nhelp = \"x\"\ndefault = []";
    let sandbox = overlay(&toml_with(include), &[]);
    sandbox.write("work/app.yaml", "");
    Profile::small(&["mine"]).settings("mine", "apps = [\"app.yaml\"]").write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: overlay `mine`: the path `/srv/../etc/app.yaml` has a part `.` or `..`
    hint: write a plain absolute path, such as `/etc/hosts`
    ");
}

#[test]
fn symlinks_and_editor_files_in_an_overlay_are_refused() {
    let sandbox = overlay(SUMMARY, &[("files/etc/motd", "hello\n")]);
    symlink("/etc/shadow", sandbox.work("overlays/mine/files/etc/shadow")).expect("create the symlink");
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `overlays/mine/files/etc/shadow` is a symlink
    hint: declare it in `overlay.toml` as `[[link]]`
    ");
    let sandbox = overlay(SUMMARY, &[("files/etc/motd", "hello\n")]);
    symlink("/etc", sandbox.work("overlays/mine/files/opt")).expect("create the symlink");
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `overlays/mine/files/opt` is a symlink
    hint: declare it in `overlay.toml` as `[[link]]`
    ");
    insta::assert_snapshot!(refused(SUMMARY, &[("files/etc/motd~", "hello\n")]), @"
    error: `overlays/mine/files/etc/motd~` looks like a temporary file of an editor
    hint: remove it
    ");
    insta::assert_snapshot!(refused(SUMMARY, &[("etc/motd", "hello\n")]), @"
    error: `overlays/mine/etc/motd` is not in `files/`, `boot/`, `firstboot/` or `client/`
    hint: move it into one of them, or out of the overlay
    ");
    insta::assert_snapshot!(refused(SUMMARY, &[("firstboot/setup", "#!/bin/sh\n")]), @"
    error: `overlays/mine/firstboot/setup` is not a valid name of a first-boot step
    hint: use two digits, `-` and a name, such as `30-database`
    ");
    insta::assert_snapshot!(refused(SUMMARY, &[("files/etc/a\nb", "")]), @r"
    error: the name of `overlays/mine/files/etc/a\nb` is not UTF-8 without control characters
    hint: rename it
    ");
}

#[test]
fn symlinked_overlay_folder_is_refused() {
    let sandbox = overlay(SUMMARY, &[]);
    sandbox.write("elsewhere/etc/motd", "hello\n");
    symlink(sandbox.path("elsewhere"), sandbox.work("overlays/mine/files")).expect("create the symlink");
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `overlays/mine/files` is a symlink
    hint: declare it in `overlay.toml` as `[[link]]`
    ");
}

#[test]
fn special_files_in_an_overlay_are_refused() {
    if !common::tools::have(&["mkfifo"]) {
        return;
    }
    let sandbox = overlay(SUMMARY, &[("files/etc/motd", "hello\n")]);
    let fifo = sandbox.work("overlays/mine/files/etc/fifo");
    common::tools::run("mkfifo", &[common::tools::arg(&fifo)]);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `overlays/mine/files/etc/fifo` is neither a file nor a folder
    hint: remove it
    ");
}

#[test]
fn path_through_a_symlink_of_the_base_is_refused() {
    insta::assert_snapshot!(build_fails(2, &overlay(SUMMARY, &[("files/lib/modules/x", "")])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` writes `/lib/modules/x`, but `/lib` is a symlink to `usr/lib` in the base
    hint: write to `/usr/lib/modules/x` instead
    ");
    // `plan` refuses it too.
    let sandbox = overlay(SUMMARY, &[("files/lib/modules/x", "")]);
    insta::assert_snapshot!(sandbox.run(&["plan", "--all", "-p", "magi.toml"]).failed(2), @"
    error: planning the image of `caspar`
      caused by: overlay `mine` writes `/lib/modules/x`, but `/lib` is a symlink to `usr/lib` in the base
    hint: write to `/usr/lib/modules/x` instead
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(SUMMARY, &[("files/bin/tool", "#!/bin/sh\n")])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` writes `/bin/tool`, but `/bin` is a symlink to `usr/bin` in the base
    hint: write to `/usr/bin/tool` instead
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(SUMMARY, &[("files/var/run/x", "")])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` writes `/var/run/x`, but `/var/run` is a symlink to `/run` in the base
    hint: write to `/run/x` instead
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(SUMMARY, &[("files/lib/systemd/system/x.service", "")])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` writes `/lib/systemd/system/x.service`, but `/lib` is a symlink to `usr/lib` in the base
    hint: write to `/usr/lib/systemd/system/x.service` instead
    ");
}

#[test]
fn path_with_another_file_type_in_the_base_is_refused() {
    insta::assert_snapshot!(build_fails(2, &overlay(SUMMARY, &[("files/etc/hostname/x", "")])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` wants a file at `/etc/hostname/x`, but `/etc/hostname` is a file in the base
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(SUMMARY, &[("files/etc/apt", "")])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` wants a file at `/etc/apt`, but `/etc/apt` is a folder in the base
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(SUMMARY, &[("files/etc/localtime", "")])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` wants a file at `/etc/localtime`, but `/etc/localtime` is a symlink in the base
    ");
    let dir = toml_with("[[dir]]\npath = \"/etc/hostname\"");
    insta::assert_snapshot!(build_fails(2, &overlay(&dir, &[])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` wants a folder at `/etc/hostname`, but `/etc/hostname` is a file in the base
    ");
    let link = toml_with("[[link]]\npath = \"/etc/apt\"\ntarget = \"x\"");
    insta::assert_snapshot!(build_fails(2, &overlay(&link, &[])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` wants a symlink at `/etc/apt`, but `/etc/apt` is a folder in the base
    ");
}

#[test]
fn template_errors_name_file_and_line() {
    let template = |text: &str| refused(SUMMARY, &[("files/etc/x.conf.j2", text)]);
    insta::assert_snapshot!(template("one\n{{ node.nmae }}\n"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 2: undefined value
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("one\ntwo\n{% if node.name %}\n"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 3: syntax error: unexpected end of input, expected end of block
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("{{ nothing }}\n"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 1: undefined value
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("{{ node.name | upcase }}\n"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 1: unknown filter: filter upcase is unknown
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("{{ settings.port }}\n"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 1: undefined value
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 1: the template takes more than 1000000 steps
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("{% for i in range(9999) %}\n{{ 'x' * 9999 }}{% endfor %}"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 1: the template makes more than 16777216 bytes
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("{{ 'x' | network }}\n"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 1: invalid operation: `x` is not an IPv4 address with a prefix (1 to 30)
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(template("{% include '/etc/passwd' %}\n"), @"
    error: `overlays/mine/files/etc/x.conf.j2` line 1: template not found: tried to include non-existing template '/etc/passwd'
    hint: `docs/overlays.md` lists what templates can use
    ");
    let sandbox = overlay(SUMMARY, &[]);
    sandbox.write("work/overlays/mine/files/etc/x.j2", [0xff, 0xfe]);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `overlays/mine/files/etc/x.j2` ends in `.j2` but is not UTF-8
    hint: save it as UTF-8, or remove the ending `.j2`
    ");
}

#[test]
fn invalid_expressions_are_refused() {
    insta::assert_snapshot!(refused(&toml_with("[[dir]]\npath = \"/srv/x\"\nwhen = \"nodes |\""), &[]), @"
    error: `overlays/mine/overlay.toml` line 5: syntax error: unexpected end of input, expected identifier
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(refused(&toml_with("[[dir]]\npath = \"/srv/{{ nope }}\""), &[]), @"
    error: `overlays/mine/overlay.toml` line 4: undefined value
    hint: `docs/overlays.md` lists what templates can use
    ");
    let check = "[[check]]\nthat = \"nodes | length > 2\"\nmessage = \"{{ nodes | length }} node is too few\"\nhint = \"add some\"";
    insta::assert_snapshot!(refused(&toml_with(check), &[]), @"
    error: overlay `mine`: 1 node is too few
    hint: add some
    ");
}

#[test]
fn undefined_conditions_and_lists_are_refused() {
    insta::assert_snapshot!(refused(&toml_with("[[dir]]\npath = \"/srv/x\"\nwhen = \"settings.nope\""), &[]), @"
    error: `overlays/mine/overlay.toml` line 5: `settings.nope` is undefined
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(refused(&toml_with("[[packages]]\nfrom = \"settings.nope\""), &[]), @"
    error: `overlays/mine/overlay.toml` line 4: `settings.nope` is undefined
    hint: `docs/overlays.md` lists what templates can use
    ");
}

#[test]
fn invalid_overlay_toml_is_refused() {
    insta::assert_snapshot!(refused("", &[]), @"
    error: `overlays/mine/overlay.toml` line 1: the file lacks `summary`
    hint: add a line `summary = …`
    ");
    insta::assert_snapshot!(refused("summary = 3\n", &[]), @"error: `overlays/mine/overlay.toml` line 1: `summary` must be a string, not of type integer");
    insta::assert_snapshot!(refused("summary = \"x\"\nneed = [\"common\"]\n", &[]), @"
    error: `overlays/mine/overlay.toml` line 2: unknown key `need` in the file
    hint: did you mean `needs`?
    ");
    insta::assert_snapshot!(refused("summary = \"x\n", &[]), @r#"
    error: `overlays/mine/overlay.toml` line 1: invalid basic string, expected `"`
    hint: TOML syntax: strings need quotes, lists and table names need brackets
    "#);
    insta::assert_snapshot!(refused(&toml_with("[[file]]\npath = \"/etc/motd\"\nmode = \"644\"\nowner = \"root:root\""), &[]), @r#"
    error: `overlays/mine/overlay.toml` line 6: `root:root` is not an owner such as `"0:0"`
    hint: write user and group as numbers: names are only known on the node
    "#);
    insta::assert_snapshot!(refused(&toml_with("[[file]]\npath = \"/etc/motd\"\nmode = \"rw-r--r--\""), &[]), @r#"error: `overlays/mine/overlay.toml` line 5: `rw-r--r--` is not a file mode such as `"0644"`"#);
    insta::assert_snapshot!(refused(&toml_with("[[file]]\npath = \"/etc/motd\""), &[]), @"
    error: overlay `mine`: `[[file]]` names `/etc/motd`, but the overlay has no such file
    hint: `path` is the path in the image, without `.j2`
    ");
    insta::assert_snapshot!(refused(&toml_with("[[files]]\npath = \"/etc/motd\""), &[]), @"
    error: `overlays/mine/overlay.toml` line 3: unknown key `files` in the file
    hint: did you mean `file`?
    ");
    insta::assert_snapshot!(refused(&toml_with("[settings.port]\ntype = \"number\"\nhelp = \"x\""), &[]), @"error: `overlays/mine/overlay.toml` line 4: `type` must be one of `string`, `integer`, `boolean`, `list`, `path`, `paths`");
    insta::assert_snapshot!(refused(&toml_with("[settings.port]\ntype = \"integer\"\nhelp = \"a port\""), &[]), @"
    error: `magi.toml` line 1: `overlays.mine.port` is missing
    hint: a port
    ");
    insta::assert_snapshot!(refused(&toml_with("[settings.port]\ntype = \"integer\"\nhelp = \"a port\"\ndefault = \"x\""), &[]), @"error: `overlays/mine/overlay.toml` line 6: `default` must be an integer");
    insta::assert_snapshot!(refused(&toml_with("[[patch]]\npath = \"/etc/hosts\"\nmatch = \"(\"\nreplace = \"\""), &[]), @"
    error: `overlays/mine/overlay.toml` line 5: `match` is not a regular expression: regex parse error:
        (
        ^
    error: unclosed group
    ");
    insta::assert_snapshot!(refused(&toml_with("[[secret]]\nname = \"a\"\nkind = \"hex\"\nlength = 4"), &[]), @"error: `overlays/mine/overlay.toml` line 6: `length` must be between 8 and 256");
}

#[test]
fn two_writers_of_one_path_are_refused() {
    let sandbox = overlay(SUMMARY, &[("files/etc/motd", "one\n")]);
    write_overlay(&sandbox, "other", SUMMARY, &[("files/etc/motd", "two\n")]);
    Profile::small(&["mine", "other"]).write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: overlays `mine` and `other` both write `/etc/motd`
    hint: remove it from one overlay, or remove one overlay from `overlays.use`
    ");
    // Names on a FAT ignore case.
    let sandbox = overlay(SUMMARY, &[("boot/Card.txt", "one\n")]);
    write_overlay(&sandbox, "other", SUMMARY, &[("boot/card.TXT", "two\n")]);
    Profile::small(&["mine", "other"]).write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: overlays `mine` and `other` both write `boot:/card.TXT`
    hint: remove it from one overlay, or remove one overlay from `overlays.use`
    ");
    // One overlay writes below a path that is a file in the other overlay.
    let sandbox = overlay(SUMMARY, &[("files/srv/x", "one\n")]);
    write_overlay(&sandbox, "other", SUMMARY, &[("files/srv/x/y", "two\n")]);
    Profile::small(&["mine", "other"]).write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: overlay `other` writes `/srv/x/y`, but `/srv/x` is not a folder in overlay `mine`
    hint: remove it from one overlay, or remove one overlay from `overlays.use`
    ");
    // Files with and without `.j2` have the same path.
    let both = [("files/etc/motd", "one\n"), ("files/etc/motd.j2", "two\n")];
    insta::assert_snapshot!(refused(SUMMARY, &both), @"
    error: overlay `mine` writes `/etc/motd` twice
    hint: remove one; a file with and one without `.j2` have the same path
    ");
    // The build itself writes `sysconf.txt`.
    insta::assert_snapshot!(refused(SUMMARY, &[("boot/sysconf.txt", "hostname=x\n")]), @"
    error: overlay `mine` replaces `boot:/sysconf.txt`, where the profile's hostname and ssh key are written
    hint: remove the file; change other keys with a `[[patch]]`
    ");
    let sandbox = overlay(SUMMARY, &[("files/etc/hostname", "x\n")]);
    Profile::small(&["common", "mine"]).write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: overlays `common` and `mine` both write `/etc/hostname`
    hint: remove it from one overlay, or remove one overlay from `overlays.use`
    ");
}

#[test]
fn missing_and_circular_needs_are_refused() {
    insta::assert_snapshot!(refused("summary = \"x\"\nneeds = [\"comon\"]\n", &[]), @"
    error: `overlays/mine/overlay.toml` line 2: unknown overlay `comon`
    hint: did you mean `common`?
    ");
    insta::assert_snapshot!(refused("summary = \"x\"\nneeds = [\"mine\"]\n", &[]), @"error: `overlays/mine/overlay.toml` line 2: cyclic `needs`: mine → mine");
    let sandbox = overlay("summary = \"x\"\nneeds = [\"other\"]\n", &[]);
    write_overlay(&sandbox, "other", "summary = \"x\"\nneeds = [\"mine\"]\n", &[]);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"error: `overlays/other/overlay.toml` line 2: cyclic `needs`: mine → other → mine");
}

const SECRET: &str = "[[secret]]\nname = \"key\"\nkind = \"hex\"\nlength = 32";

#[test]
fn readable_secrets_are_refused() {
    let boot = [("boot/key.txt.j2", "{{ secrets.key }}\n")];
    insta::assert_snapshot!(refused(&toml_with(SECRET), &boot), @"
    error: overlay `mine`: `boot:/key.txt` holds a secret, but the FAT has no permissions
    hint: move it to `files/`
    ");
    let open = toml_with(&format!("{SECRET}\n[[file]]\npath = \"/etc/key\"\nmode = \"0644\""));
    insta::assert_snapshot!(refused(&open, &[("files/etc/key.j2", "{{ secrets.key }}\n")]), @"
    error: overlay `mine`: `/etc/key` holds a secret, but all users could read it (mode 0644)
    hint: set mode `0600` or `0640` in a `[[file]]`
    ");
    insta::assert_snapshot!(refused(&toml_with(&format!("{SECRET}\n[[dir]]\npath = \"/srv/{{{{ secrets.key }}}}\"")), &[]), @"
    error: `overlays/mine/overlay.toml` line 8: a secret can only be used in a file under `files/`
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(refused(&toml_with(&format!("{SECRET}\n[[dir]]\npath = \"/srv/x\"\nwhen = \"secrets.key == 'a'\"")), &[]), @"
    error: `overlays/mine/overlay.toml` line 9: a secret cannot decide what an image holds
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(refused(SUMMARY, &[("files/etc/key.j2", "{{ secrets.key }}\n")]), @"
    error: `overlays/mine/files/etc/key.j2` line 1: undefined value
    hint: `docs/overlays.md` lists what templates can use
    ");
    let patch = format!(
        "{SECRET}\n[[patch]]\npath = \"/etc/hosts\"\nmatch = \"localhost\"\nreplace = \"{{{{ secrets.key }}}}\""
    );
    insta::assert_snapshot!(refused(&toml_with(&patch), &[]), @"
    error: `overlays/mine/overlay.toml` line 10: a secret can only be used in a file under `files/`
    hint: `docs/overlays.md` lists what templates can use
    ");
    // Secrets of another overlay are not visible.
    let other = [("files/etc/key.j2", "{{ overlays.k3s.secrets.token }}\n")];
    let sandbox = overlay(SUMMARY, &other);
    Profile::small(&["k3s", "mine"]).write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `overlays/mine/files/etc/key.j2` line 1: undefined value
    hint: `docs/overlays.md` lists what templates can use
    ");
}

#[test]
fn patches_without_a_match_are_refused() {
    let patch = |path: &str| {
        toml_with(&format!("[[patch]]\npath = {path:?}\nmatch = \"^nothing like that$\"\nreplace = \"\""))
    };
    insta::assert_snapshot!(build_fails(2, &overlay(&patch("/etc/hosts"), &[])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` patches `/etc/hosts`, where nothing matches `^nothing like that$`
    hint: set `required = false` if it may be absent
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(&patch("/etc/nothing"), &[])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` patches `/etc/nothing`, which the base doesn't have
    hint: check the path, or write the whole file: a patch needs a file of the base
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(&patch("boot:/nothing.txt"), &[])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` patches `boot:/nothing.txt`, which the base doesn't have
    hint: check the path, or write the whole file: a patch needs a file of the base
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(&patch("/etc/localtime"), &[])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` patches `/etc/localtime`, which is a symlink to `/usr/share/zoneinfo/Etc/UTC` in the base
    hint: patch `/usr/share/zoneinfo/Etc/UTC` instead
    ");
    insta::assert_snapshot!(build_fails(2, &overlay(&patch("/etc"), &[])), @"
    error: building the image of `caspar`
      caused by: overlay `mine` patches `/etc`, which is a folder in the base
    ");
}

#[test]
fn invalid_fat_names_are_refused() {
    insta::assert_snapshot!(refused(SUMMARY, &[("boot/what?.txt", "x")]), @"
    error: building the image of `caspar`
      caused by: writing `/what?.txt` to the FAT
      caused by: `what?.txt` is not a valid file name on the FAT: it has a character that is not allowed
    hint: rename the file
    ");
    insta::assert_snapshot!(refused(SUMMARY, &[("boot/ends with dot.", "x")]), @"
    error: building the image of `caspar`
      caused by: writing `/ends with dot.` to the FAT
      caused by: `ends with dot.` is not a valid file name on the FAT: it begins with a space or ends with a space or a dot
    hint: rename the file
    ");
    insta::assert_snapshot!(refused(SUMMARY, &[("boot/aux:x", "x")]), @"
    error: building the image of `caspar`
      caused by: writing `/aux:x` to the FAT
      caused by: `aux:x` is not a valid file name on the FAT: it has a character that is not allowed
    hint: rename the file
    ");
}

#[test]
fn unverifiable_fetch_is_refused() {
    let fetch = "[[fetch]]\npath = \"/srv/x\"\nurl = \"http://127.0.0.1:9/x\"";
    let sandbox = overlay(&toml_with(fetch), &[]);
    // The base `sample` skips downloads.
    sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
    let fetch = "[[fetch]]\npath = \"/srv/x\"\nurl = \"http://127.0.0.1:9/x\"\nlocal = \"settings.file\"\nsha256 = \"settings.sum\"\n\
                 [settings.file]\ntype = \"path\"\nhelp = \"x\"\n[settings.sum]\ntype = \"string\"\nhelp = \"x\"";
    let sandbox = overlay(&toml_with(fetch), &[]);
    sandbox.write("work/file", "content\n");
    let set =
        |sum: &str| Profile::small(&["mine"]).settings("mine", &format!("file = \"file\"\nsum = {sum:?}"));
    set(&"0".repeat(64)).write(&sandbox);
    insta::assert_snapshot!(build_fails(3, &sandbox), @"
    error: `file` has SHA-256 [hash], but [zeros] was expected by the overlay's `sha256`
    hint: the file is damaged, was replaced, or the expected hash belongs to another version
    ");
    set("nonsense").write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `overlays/mine/overlay.toml` line 7: `nonsense` is not a SHA-256 (64 hexadecimal digits) or SHA-512 (128 hexadecimal digits)
    hint: `docs/overlays.md` lists what templates can use
    ");
}

#[test]
fn included_files_with_another_extension_are_refused() {
    let include = "[[include]]\nsetting = \"apps\"\ninto = \"/srv/apps\"\nextensions = [\"yaml\", \"yml\"]\n\
                   [settings.apps]\ntype = \"paths\"\nhelp = \"x\"\ndefault = []";
    let sandbox = overlay(&toml_with(include), &[]);
    sandbox.write("work/app.txt", "");
    Profile::small(&["mine"]).settings("mine", "apps = \"app.txt\"").write(&sandbox);
    insta::assert_snapshot!(build_fails(2, &sandbox), @"
    error: `app.txt` ends in none of `yaml`, `yml`
    hint: rename it
    ");
}

#[test]
fn kernel_words_and_firmware_lines_are_checked() {
    insta::assert_snapshot!(refused(&toml_with("[[kernel]]\nwords = [\"a=1 b\"]"), &[]), @"
    error: `overlays/mine/overlay.toml` line 4: a word for the kernel must be ASCII without blanks
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(refused(&toml_with("[[kernel]]\nwords = [\"root=/dev/sda2\"]"), &[]), @"
    error: `overlays/mine/overlay.toml` line 4: `root=` is set by the base image
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(refused(&toml_with("[[kernel]]\nword = [\"a\"]"), &[]), @"error: `overlays/mine/overlay.toml` line 3: `words` is missing");
    let long = format!("[[firmware]]\nlines = [\"dtparam={}\"]", "x".repeat(91));
    insta::assert_snapshot!(refused(&toml_with(&long), &[]), @"
    error: `overlays/mine/overlay.toml` line 4: the firmware reads only 98 bytes of a line of `config.txt`
    hint: `docs/overlays.md` lists what templates can use
    ");
    insta::assert_snapshot!(refused(&toml_with("[[firmware]]\nlines = [\"a=1\\nb=2\"]"), &[]), @"
    error: `overlays/mine/overlay.toml` line 4: a line of `config.txt` must be ASCII without line breaks
    hint: `docs/overlays.md` lists what templates can use
    ");
}

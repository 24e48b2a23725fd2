//! TOML to [`OverlaySpec`]. Each table is checked here by itself, then references between tables.

use regex::{Regex, RegexBuilder};

use super::settings::{SettingSpec, SettingType};
use super::spec::{
    AttributesSpec, BootSpec, CheckSpec, DirSpec, FetchSpec, FileSpec, IncludeFormat, IncludeSpec, LinkSpec,
    NamesSpec, OverlaySpec, PatchSpec, SumsSpec,
};
use crate::digest::Sha256;
use crate::document::{DocumentError, Located, Section, SourceText};
use crate::secrets::{Alphabet, SecretKind, SecretSpec};
use crate::text::nearest;

type Result<T> = std::result::Result<T, DocumentError>;

pub(super) fn overlay_spec(source: &SourceText) -> Result<OverlaySpec> {
    let table = source.parse()?;
    let root = source.root(&table);
    // Only readers of the file need the summary.
    root.required("summary")?;
    let spec = OverlaySpec {
        needs: root.strings("needs")?.unwrap_or_default(),
        settings: settings(&root)?,
        packages: each(&root, "packages", names)?,
        services: each(&root, "services", names)?,
        fetches: each(&root, "fetch", fetch)?,
        includes: each(&root, "include", include)?,
        files: each(&root, "file", file)?,
        dirs: each(&root, "dir", dir)?,
        links: each(&root, "link", link)?,
        patches: each(&root, "patch", patch)?,
        kernel_words: each(&root, "kernel", |section| boot(section, "words"))?,
        firmware_lines: each(&root, "firmware", |section| boot(section, "lines"))?,
        checks: each(&root, "check", check)?,
        secrets: each(&root, "secret", secret)?,
    };
    root.finish()?;
    check_include_settings(source, &spec)?;
    check_secrets(source, &spec.secrets)?;
    Ok(spec)
}

/// Reads every `[[key]]` and refuses unknown keys in it.
fn each<T>(root: &Section<'_>, key: &str, read: impl Fn(&Section<'_>) -> Result<T>) -> Result<Vec<T>> {
    root.sections(key)?
        .into_iter()
        .map(|section| {
            let item = read(&section)?;
            section.finish()?;
            Ok(item)
        })
        .collect()
}

fn settings(root: &Section<'_>) -> Result<Vec<SettingSpec>> {
    let Some(all) = root.section("settings")? else { return Ok(Vec::new()) };
    let mut specs = Vec::new();
    for name in all.keys() {
        let Some(section) = all.section(&name.value)? else { continue };
        specs.push(SettingSpec::read(&name.value, &section)?);
        section.finish()?;
    }
    Ok(specs)
}

fn names(section: &Section<'_>) -> Result<NamesSpec> {
    let (names, from) = (section.strings("names")?, section.string("from")?);
    if names.is_some() == from.is_some() {
        return Err(section.error("either `names` or `from` is required"));
    }
    Ok(NamesSpec { names: names.unwrap_or_default(), from, when: section.string("when")? })
}

fn fetch(section: &Section<'_>) -> Result<FetchSpec> {
    Ok(FetchSpec {
        path: section.required("path")?,
        attributes: attributes(section)?,
        url: section.required("url")?,
        local: section.string("local")?,
        sha256: section.string("sha256")?,
        pins: pins(section)?,
        pin_key: section.string("pin_key")?,
        sums: sums(section)?,
        fingerprint: section.string("openpgp_fingerprint")?.map(|s| s.value),
        when: section.string("when")?,
    })
}

fn sums(section: &Section<'_>) -> Result<Option<SumsSpec>> {
    match (section.string("sums")?, section.string("sums_name")?) {
        (None, _) => Ok(None),
        (Some(url), Some(name)) => Ok(Some(SumsSpec { url, name: name.value })),
        (Some(url), None) => Err(section.error_at(url.at, "`sums` requires `sums_name`")),
    }
}

fn pins(section: &Section<'_>) -> Result<Vec<(String, Sha256)>> {
    let parse = |(key, text): (String, String)| match text.parse() {
        Ok(hash) => Ok((key, hash)),
        Err(_) => Err(section.error(format!("the pin of `{key}` is not a SHA-256"))),
    };
    section.string_map("pins")?.into_iter().map(parse).collect()
}

fn include(section: &Section<'_>) -> Result<IncludeSpec> {
    let texts = |key: &str| -> Result<Vec<String>> {
        Ok(section.strings(key)?.unwrap_or_default().into_iter().map(|l| l.value).collect())
    };
    Ok(IncludeSpec {
        setting: section.required("setting")?,
        into: section.required("into")?,
        attributes: attributes(section)?,
        extensions: texts("extensions")?,
        format: format(section)?,
        names: pattern(section, "names")?,
        reserved: texts("reserved")?,
        one_per_stem: section.boolean("one_per_stem")?.is_some_and(|b| b.value),
        names_hint: section.string("names_hint")?.map(|s| s.value),
        when: section.string("when")?,
    })
}

fn format(section: &Section<'_>) -> Result<Option<IncludeFormat>> {
    let Some(written) = section.string("format")? else { return Ok(None) };
    match written.value.as_str() {
        "kubernetes" => Ok(Some(IncludeFormat::Kubernetes)),
        "yaml" => Ok(Some(IncludeFormat::Yaml)),
        _ => Err(section.error_at(written.at, "`format` must be `kubernetes` or `yaml`")),
    }
}

pub(super) fn pattern(section: &Section<'_>, key: &str) -> Result<Option<Regex>> {
    section.string(key)?.map(|written| compile(section, key, &written)).transpose()
}

fn compile(section: &Section<'_>, key: &str, written: &Located<String>) -> Result<Regex> {
    let compiled = RegexBuilder::new(&written.value)
        .multi_line(key == "match")
        .crlf(key == "match")
        .size_limit(1 << 20)
        .build();
    compiled.map_err(|e| section.error_at(written.at, format!("`{key}` is not a regular expression: {e}")))
}

fn file(section: &Section<'_>) -> Result<FileSpec> {
    Ok(FileSpec {
        path: section.required("path")?,
        attributes: attributes(section)?,
        skip_empty: section.boolean("skip_empty")?.is_some_and(|b| b.value),
        when: section.string("when")?,
    })
}

fn dir(section: &Section<'_>) -> Result<DirSpec> {
    let (path, attributes) = (section.required("path")?, attributes(section)?);
    Ok(DirSpec { path, attributes, when: section.string("when")? })
}

fn link(section: &Section<'_>) -> Result<LinkSpec> {
    let (path, target) = (section.required("path")?, section.required("target")?);
    Ok(LinkSpec { path, target, when: section.string("when")? })
}

fn patch(section: &Section<'_>) -> Result<PatchSpec> {
    Ok(PatchSpec {
        pattern: compile(section, "match", &section.required("match")?)?,
        path: section.required("path")?,
        replace: section.required("replace")?,
        required: section.boolean("required")?.is_none_or(|b| b.value),
        when: section.string("when")?,
    })
}

fn boot(section: &Section<'_>, key: &str) -> Result<BootSpec> {
    let settings = section.strings(key)?.ok_or_else(|| section.error(format!("`{key}` is missing")))?;
    Ok(BootSpec { settings, when: section.string("when")? })
}

fn check(section: &Section<'_>) -> Result<CheckSpec> {
    let (that, message) = (section.required("that")?, section.required("message")?);
    let warn = section.boolean("warn")?.is_some_and(|b| b.value);
    Ok(CheckSpec { that, message, hint: section.string("hint")?, warn })
}

fn secret(section: &Section<'_>) -> Result<SecretSpec> {
    let kind = section.required("kind")?;
    let name = section.required("name")?;
    if !super::is_name(&name.value) {
        return Err(section.error_at(name.at, format!("`{}` is not a valid name of a secret", name.value)));
    }
    let letters = |alphabet| Ok(SecretKind::Letters { alphabet, length: length(section)? });
    let kind = match kind.value.as_str() {
        "hex" => letters(Alphabet::Hex)?,
        "alphanumeric" => letters(Alphabet::Alphanumeric)?,
        "key" => SecretKind::Key,
        // No `per_node`: the nodes of a cluster must trust the same CA.
        "ca" => {
            let kind = SecretKind::Ca { common_name: section.required("common_name")? };
            return Ok(SecretSpec { name, kind, per_node: false });
        }
        "certificate" => SecretKind::Certificate {
            issuer: section.required("issuer")?,
            common_name: section.required("common_name")?,
            organization: section.string("organization")?,
        },
        other => {
            let error = section.error_at(kind.at, format!("unknown kind of secret `{other}`"));
            return Err(error.hinting("known kinds: `hex`, `alphanumeric`, `ca`, `certificate`, `key`"));
        }
    };
    Ok(SecretSpec { name, kind, per_node: section.boolean("per_node")?.is_some_and(|b| b.value) })
}

fn length(section: &Section<'_>) -> Result<usize> {
    let length = section.integer("length")?.ok_or_else(|| section.error("`length` is missing"))?;
    let letters = usize::try_from(length.value).ok().filter(|l| (8..=256).contains(l));
    letters.ok_or_else(|| section.error_at(length.at, "`length` must be between 8 and 256"))
}

fn attributes(section: &Section<'_>) -> Result<AttributesSpec> {
    let mode = match section.string("mode")? {
        None => None,
        Some(written) => Some(octal(&written.value).ok_or_else(|| {
            section.error_at(written.at, format!("`{}` is not a file mode such as `\"0644\"`", written.value))
        })?),
    };
    let owner = match section.string("owner")? {
        None => (0, 0),
        Some(written) => numbers(&written.value).ok_or_else(|| {
            section
                .error_at(written.at, format!("`{}` is not an owner such as `\"0:0\"`", written.value))
                .hinting("write user and group as numbers: names are only known on the node")
        })?,
    };
    Ok(AttributesSpec { mode, owner })
}

fn octal(text: &str) -> Option<u16> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if digits { u16::from_str_radix(text, 8).ok() } else { None }
}

fn numbers(text: &str) -> Option<(u32, u32)> {
    let (user, group) = text.split_once(':')?;
    Some((user.parse().ok()?, group.parse().ok()?))
}

fn check_include_settings(source: &SourceText, spec: &OverlaySpec) -> Result<()> {
    for include in &spec.includes {
        let name = &include.setting.value;
        let is_path = |s: &SettingSpec| matches!(s.kind, SettingType::Path | SettingType::Paths);
        if !spec.settings.iter().any(|s| s.name == *name && is_path(s)) {
            let what = format!("`{name}` in `[[include]]` is not a setting of type `path` or `paths`");
            return Err(source.error(include.setting.at, what));
        }
    }
    Ok(())
}

/// Names are unique, and every issuer is a CA of the same overlay.
fn check_secrets(source: &SourceText, all: &[SecretSpec]) -> Result<()> {
    for (index, spec) in all.iter().enumerate() {
        let name = &spec.name.value;
        if all[..index].iter().any(|other| other.name.value == *name) {
            return Err(source.error(spec.name.at, format!("duplicate secret `{name}`")));
        }
        let SecretKind::Certificate { issuer, .. } = &spec.kind else { continue };
        let is_ca = |s: &&SecretSpec| matches!(s.kind, SecretKind::Ca { .. });
        let cas: Vec<&str> = all.iter().filter(is_ca).map(|s| s.name.value.as_str()).collect();
        if !cas.contains(&issuer.value.as_str()) {
            let what = format!("the issuer `{}` is not a secret of kind `ca`", issuer.value);
            let error = source.error(issuer.at, what);
            return Err(match nearest(&issuer.value, cas.iter().copied()) {
                Some(near) => error.hinting(format!("did you mean `{near}`?")),
                None => error.hinting("declare it in the same `overlay.toml`"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        overlay_spec(&SourceText::new("overlay.toml", format!("summary = \"x\"\n{text}")))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn errors_name_their_line() {
        assert_eq!(
            error("[[file]]\npath = \"/a\"\nmod = \"0644\""),
            "`overlay.toml` line 4: unknown key `mod` in `[file]`"
        );
        assert!(error("[[dir]]\npath = \"/a\"\nmode = \"rwx\"").contains("line 4: `rwx` is not a file mode"));
        assert!(error("[[file]]\npath = \"/a\"\nowner = \"root:root\"").contains("is not an owner"));
        assert!(
            error("[[patch]]\npath = \"/a\"\nmatch = \"(\"\nreplace = \"\"").contains("regular expression")
        );
        assert!(error("[[include]]\nsetting = \"x\"\ninto = \"/a\"").contains("is not a setting of type"));
        let sums = "[[fetch]]\npath = \"/a\"\nurl = \"u\"\nsums = \"s\"";
        assert!(error(sums).ends_with("line 5: `sums` requires `sums_name`"));
        assert!(error("[[secret]]\nname = \"a\"\nkind = \"hex\"\nlength = 2").contains("between 8 and 256"));
        assert!(
            error("[[secret]]\nname = \"a\"\nkind = \"rsa\"")
                .contains("line 4: unknown kind of secret `rsa`")
        );
        assert!(error("[[secret]]\nname = \"a\"\nkind = \"ca\"").contains("lacks `common_name`"));
        let key = "[[secret]]\nname = \"a\"\nkind = \"key\"\n";
        assert!(error(&format!("{key}length = 8")).contains("line 5: unknown key `length`"));
        assert!(error(&format!("{key}{key}")).contains("line 6: duplicate secret `a`"));
        let leaf = "[[secret]]\nname = \"b\"\nkind = \"certificate\"\ncommon_name = \"b\"\nissuer = \"a\"";
        assert!(error(&format!("{key}{leaf}")).contains("line 9: the issuer `a` is not"));
    }
}

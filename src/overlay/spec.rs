//! `overlay.toml`: what an overlay is, what it needs, and what it does besides laying files.
//!
//! The format is described in `docs/overlays.md`. `when` and other expressions are kept as text here and
//! evaluated when a node's plan is made.

use regex::Regex;

use super::settings::{SettingSpec, SettingType};
use crate::digest::Sha256;
use crate::document::{DocumentError, Located, Section, SourceText};
use crate::secrets::{Alphabet, SecretKind, SecretSpec};
use crate::text::nearest;

type Result<T> = std::result::Result<T, DocumentError>;

/// A condition: a template expression, or nothing for "always".
pub(crate) type When = Option<Located<String>>;

/// Everything in `overlay.toml`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spec {
    /// Overlays that come first.
    pub(crate) needs: Vec<Located<String>>,
    /// `[settings.NAME]`.
    pub(crate) settings: Vec<SettingSpec>,
    /// `[[packages]]`: Debian packages installed at first boot.
    pub(crate) packages: Vec<Names>,
    /// `[[services]]`: systemd units enabled at first boot.
    pub(crate) services: Vec<Names>,
    /// `[[fetch]]`: files from the network.
    pub(crate) fetches: Vec<Fetch>,
    /// `[[include]]`: the user's own files.
    pub(crate) includes: Vec<Include>,
    /// `[[file]]`: mode, owner or condition of a file in the folder.
    pub(crate) files: Vec<FileRule>,
    /// `[[dir]]`.
    pub(crate) dirs: Vec<Dir>,
    /// `[[link]]`.
    pub(crate) links: Vec<Link>,
    /// `[[patch]]`: edits of files that the base has.
    pub(crate) patches: Vec<PatchSpec>,
    /// `[[check]]`.
    pub(crate) checks: Vec<Check>,
    /// `[[secret]]`.
    pub(crate) secrets: Vec<SecretSpec>,
}

/// Names under a condition.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Each a template.
    pub(crate) names: Vec<Located<String>>,
    /// An expression that gives a list of names instead.
    pub(crate) from: When,
    /// Condition.
    pub(crate) when: When,
}

/// A file that is fetched when the image is built.
#[derive(Debug, Clone)]
pub(crate) struct Fetch {
    /// Where it goes, a template.
    pub(crate) path: Located<String>,
    /// Its bits and owner.
    pub(crate) attributes: AttributesSpec,
    /// From where, a template.
    pub(crate) url: Located<String>,
    /// An expression that may name a local file instead.
    pub(crate) local: When,
    /// An expression that may give its SHA-256.
    pub(crate) sha256: When,
    /// Known hashes by [`Fetch::pin_key`].
    pub(crate) pins: Vec<(String, Sha256)>,
    /// An expression to look into [`Fetch::pins`] with.
    pub(crate) pin_key: When,
    /// The URL of a checksum file, a template.
    pub(crate) sums: When,
    /// Its name in that file.
    pub(crate) sums_name: Option<String>,
    /// The OpenPGP fingerprint that the content, a key, must have.
    pub(crate) fingerprint: Option<String>,
    /// Condition.
    pub(crate) when: When,
}

/// The user's files, named by a setting.
#[derive(Debug, Clone)]
pub(crate) struct Include {
    /// The setting, of a path kind.
    pub(crate) setting: Located<String>,
    /// The folder they go to.
    pub(crate) into: Located<String>,
    /// Their bits and owner.
    pub(crate) attributes: AttributesSpec,
    /// The only endings taken; all if empty.
    pub(crate) extensions: Vec<String>,
    /// What the files must be.
    pub(crate) format: Option<IncludeFormat>,
    /// What their names, without folders, must match.
    pub(crate) names: Option<Regex>,
    /// Names up to the first dot, of files or folders, that are taken.
    pub(crate) reserved: Vec<String>,
    /// Whether no two may have the same name up to the first dot, in whatever folders they are.
    pub(crate) one_per_stem: bool,
    /// What a good name is, for whoever used another.
    pub(crate) names_hint: Option<String>,
    /// Condition.
    pub(crate) when: When,
}

/// What the user's files are checked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeFormat {
    /// YAML or JSON, each document an object of Kubernetes.
    Kubernetes,
    /// YAML with one mapping.
    Yaml,
}

/// Permission bits and owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttributesSpec {
    /// Permission bits; `None` is the usual for its kind.
    pub(crate) mode: Option<u16>,
    /// User and group number.
    pub(crate) owner: (u32, u32),
}

/// Says something about a file of the overlay's folder.
#[derive(Debug, Clone)]
pub(crate) struct FileRule {
    /// Its path in the image; `boot:/…` on the FAT.
    pub(crate) path: Located<String>,
    /// Its bits and owner.
    pub(crate) attributes: AttributesSpec,
    /// Whether it is left out when it renders to nothing.
    pub(crate) skip_empty: bool,
    /// Condition.
    pub(crate) when: When,
}

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Dir {
    /// Where, a template.
    pub(crate) path: Located<String>,
    /// Its bits and owner.
    pub(crate) attributes: AttributesSpec,
    /// Condition.
    pub(crate) when: When,
}

/// A symlink.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Where, a template.
    pub(crate) path: Located<String>,
    /// To what, a template.
    pub(crate) target: Located<String>,
    /// Condition.
    pub(crate) when: When,
}

/// A regex replacement in a file of the base.
#[derive(Debug, Clone)]
pub(crate) struct PatchSpec {
    /// Which file; `boot:/…` on the FAT.
    pub(crate) path: Located<String>,
    /// What is looked for, `^` and `$` at each line.
    pub(crate) pattern: Regex,
    /// What comes instead: a template, then `$1` and the like.
    pub(crate) replace: Located<String>,
    /// Whether no match is an error.
    pub(crate) required: bool,
    /// Condition.
    pub(crate) when: When,
}

/// A condition that must hold.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// An expression.
    pub(crate) that: Located<String>,
    /// What to say when it doesn't hold, a template.
    pub(crate) message: Located<String>,
    /// The next step, a template.
    pub(crate) hint: When,
}

/// Reads the file.
pub(crate) fn read(source: &SourceText) -> Result<Spec> {
    let table = source.parse()?;
    let root = source.root(&table);
    // For people who read the file, so nothing reads it here.
    root.required("summary")?;
    let spec = Spec {
        needs: root.strings("needs")?.unwrap_or_default(),
        settings: settings(&root)?,
        packages: each(&root, "packages", names)?,
        services: each(&root, "services", names)?,
        fetches: each(&root, "fetch", fetch)?,
        includes: each(&root, "include", include)?,
        files: each(&root, "file", file_rule)?,
        dirs: each(&root, "dir", |s| {
            Ok(Dir { path: s.required("path")?, attributes: attributes(s)?, when: s.string("when")? })
        })?,
        links: each(&root, "link", |s| {
            Ok(Link { path: s.required("path")?, target: s.required("target")?, when: s.string("when")? })
        })?,
        patches: each(&root, "patch", patch)?,
        checks: each(&root, "check", |s| {
            Ok(Check { that: s.required("that")?, message: s.required("message")?, hint: s.string("hint")? })
        })?,
        secrets: each(&root, "secret", secret)?,
    };
    root.finish()?;
    includes_name_path_settings(source, &spec)?;
    secrets_fit_together(source, &spec.secrets)?;
    Ok(spec)
}

/// Reads every `[[key]]` and refuses its unknown keys.
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

fn names(section: &Section<'_>) -> Result<Names> {
    let (names, from) = (section.strings("names")?, section.string("from")?);
    if names.is_some() == from.is_some() {
        return Err(section.error("either `names` or `from` must be given"));
    }
    Ok(Names { names: names.unwrap_or_default(), from, when: section.string("when")? })
}

fn fetch(section: &Section<'_>) -> Result<Fetch> {
    let fetch = Fetch {
        path: section.required("path")?,
        attributes: attributes(section)?,
        url: section.required("url")?,
        local: section.string("local")?,
        sha256: section.string("sha256")?,
        pins: pins(section)?,
        pin_key: section.string("pin_key")?,
        sums: section.string("sums")?,
        sums_name: section.string("sums_name")?.map(|s| s.value),
        fingerprint: section.string("openpgp_fingerprint")?.map(|s| s.value),
        when: section.string("when")?,
    };
    Ok(fetch)
}

/// `pins`: a table of hashes by version.
fn pins(section: &Section<'_>) -> Result<Vec<(String, Sha256)>> {
    let parse = |(key, text): (String, String)| match text.parse() {
        Ok(hash) => Ok((key, hash)),
        Err(_) => Err(section.error(format!("the pin of `{key}` isn't a SHA-256"))),
    };
    section.string_map("pins")?.into_iter().map(parse).collect()
}

fn include(section: &Section<'_>) -> Result<Include> {
    let texts = |key: &str| -> Result<Vec<String>> {
        Ok(section.strings(key)?.unwrap_or_default().into_iter().map(|l| l.value).collect())
    };
    Ok(Include {
        setting: section.required("setting")?,
        into: section.required("into")?,
        attributes: attributes(section)?,
        extensions: texts("extensions")?,
        format: format(section)?,
        names: regex(section, "names")?,
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

fn regex(section: &Section<'_>, key: &str) -> Result<Option<Regex>> {
    let Some(written) = section.string(key)? else { return Ok(None) };
    let compiled = regex::RegexBuilder::new(&written.value).size_limit(1 << 20).build();
    let wrong = |e| section.error_at(written.at, format!("`{key}` isn't a regular expression: {e}"));
    compiled.map(Some).map_err(wrong)
}

fn file_rule(section: &Section<'_>) -> Result<FileRule> {
    Ok(FileRule {
        path: section.required("path")?,
        attributes: attributes(section)?,
        skip_empty: section.boolean("skip_empty")?.is_some_and(|b| b.value),
        when: section.string("when")?,
    })
}

fn patch(section: &Section<'_>) -> Result<PatchSpec> {
    let written = section.required("match")?;
    let pattern = regex::RegexBuilder::new(&written.value)
        .multi_line(true)
        .size_limit(1 << 20)
        .build()
        .map_err(|e| section.error_at(written.at, format!("`match` isn't a regular expression: {e}")))?;
    Ok(PatchSpec {
        path: section.required("path")?,
        pattern,
        replace: section.required("replace")?,
        required: section.boolean("required")?.is_none_or(|b| b.value),
        when: section.string("when")?,
    })
}

fn secret(section: &Section<'_>) -> Result<SecretSpec> {
    let kind = section.required("kind")?;
    let name = section.required("name")?;
    if !super::is_name(&name.value) {
        return Err(section.error_at(name.at, format!("`{}` isn't a secret's name", name.value)));
    }
    let letters = |alphabet| Ok(SecretKind::Letters { alphabet, length: length(section)? });
    let kind = match kind.value.as_str() {
        "hex" => letters(Alphabet::Hex)?,
        "alphanumeric" => letters(Alphabet::Alphanumeric)?,
        "key" => SecretKind::Key,
        // One for each node would be a cluster whose nodes don't believe each other: no `per_node` here.
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
            let error = section.error_at(kind.at, format!("`{other}` isn't a kind of secret"));
            return Err(error.hinting("there are `hex`, `alphanumeric`, `ca`, `certificate` and `key`"));
        }
    };
    Ok(SecretSpec { name, kind, per_node: section.boolean("per_node")?.is_some_and(|b| b.value) })
}

fn length(section: &Section<'_>) -> Result<usize> {
    let length = section.integer("length")?.ok_or_else(|| section.error("`length` is missing"))?;
    let letters = usize::try_from(length.value).ok().filter(|l| (8..=256).contains(l));
    letters.ok_or_else(|| section.error_at(length.at, "`length` must lie between 8 and 256"))
}

fn attributes(section: &Section<'_>) -> Result<AttributesSpec> {
    let mode = match section.string("mode")? {
        None => None,
        Some(written) => Some(octal(&written.value).ok_or_else(|| {
            section.error_at(written.at, format!("`{}` isn't a file mode as `\"0644\"`", written.value))
        })?),
    };
    let owner = match section.string("owner")? {
        None => (0, 0),
        Some(written) => numbers(&written.value).ok_or_else(|| {
            section
                .error_at(written.at, format!("`{}` isn't an owner as `\"0:0\"`", written.value))
                .hinting("user and group are numbers: names aren't known before the image runs")
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

fn includes_name_path_settings(source: &SourceText, spec: &Spec) -> Result<()> {
    for include in &spec.includes {
        let name = &include.setting.value;
        let fits =
            |s: &&SettingSpec| s.name == *name && matches!(s.kind, SettingType::Path | SettingType::Paths);
        if spec.settings.iter().find(fits).is_none() {
            let what =
                format!("`[[include]]` names `{name}`, which isn't a setting of type `path` or `paths`");
            return Err(source.error(include.setting.at, what));
        }
    }
    Ok(())
}

/// No two of one name, and every issuer a CA of the same overlay.
fn secrets_fit_together(source: &SourceText, all: &[SecretSpec]) -> Result<()> {
    for (index, spec) in all.iter().enumerate() {
        let name = &spec.name.value;
        if all[..index].iter().any(|other| other.name.value == *name) {
            return Err(source.error(spec.name.at, format!("there are two secrets called `{name}`")));
        }
        let SecretKind::Certificate { issuer, .. } = &spec.kind else { continue };
        let is_ca = |s: &&SecretSpec| matches!(s.kind, SecretKind::Ca { .. });
        let cas: Vec<&str> = all.iter().filter(is_ca).map(|s| s.name.value.as_str()).collect();
        if !cas.contains(&issuer.value.as_str()) {
            let what = format!("`issuer` names `{}`, which isn't a secret of kind `ca` here", issuer.value);
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
        read(&SourceText::new("overlay.toml", format!("summary = \"x\"\n{text}"))).unwrap_err().to_string()
    }

    #[test]
    fn slips_are_refused_with_their_line() {
        assert_eq!(
            error("[[file]]\npath = \"/a\"\nmod = \"0644\""),
            "`overlay.toml` line 4: unknown key `mod` in `[file]`"
        );
        assert!(error("[[dir]]\npath = \"/a\"\nmode = \"rwx\"").contains("line 4: `rwx` isn't a file mode"));
        assert!(error("[[file]]\npath = \"/a\"\nowner = \"root:root\"").contains("isn't an owner"));
        assert!(
            error("[[patch]]\npath = \"/a\"\nmatch = \"(\"\nreplace = \"\"").contains("regular expression")
        );
        assert!(error("[[include]]\nsetting = \"x\"\ninto = \"/a\"").contains("isn't a setting of type"));
        assert!(error("[[secret]]\nname = \"a\"\nkind = \"hex\"\nlength = 2").contains("between 8 and 256"));
        assert!(error("[[secret]]\nname = \"a\"\nkind = \"rsa\"").contains("line 4: `rsa` isn't a kind"));
        assert!(error("[[secret]]\nname = \"a\"\nkind = \"ca\"").contains("lacks `common_name`"));
        let key = "[[secret]]\nname = \"a\"\nkind = \"key\"\n";
        assert!(error(&format!("{key}length = 8")).contains("line 5: unknown key `length`"));
        assert!(error(&format!("{key}{key}")).contains("line 6: there are two secrets called `a`"));
        let leaf = "[[secret]]\nname = \"b\"\nkind = \"certificate\"\ncommon_name = \"b\"\nissuer = \"a\"";
        assert!(error(&format!("{key}{leaf}")).contains("line 9: `issuer` names `a`, which isn't"));
    }
}

//! Templates and expressions of an overlay, rendered for one node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64ct::{Base64, Encoding as _};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use crate::digest::Sha256;
use crate::document::Located;
use crate::error::{Exit, Explain};
use crate::profile::Address;
use crate::secrets::{Secret, SecretValue};

use super::Overlay;

/// A template or an expression that doesn't work.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` line {line}: {what}")]
pub(crate) struct TemplateError {
    /// Which file.
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: usize,
    what: String,
}

impl Explain for TemplateError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("`docs/overlays.md` lists what templates can use".into())
    }
}

/// A rendered text.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    /// The text.
    pub(crate) text: String,
    /// Whether it was made with a secret.
    pub(crate) secret: bool,
}

/// Loop iterations and the like that one template may use; a runaway one ends with an error.
const FUEL: u64 = 1_000_000;

/// What a template may make, in bytes: 16 MiB, a quarter of what a file of an overlay may have.
const LARGEST: usize = 16 << 20;

/// Takes up to [`LARGEST`] bytes.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > LARGEST - self.0.len() {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the templates of one overlay see on one node.
pub(crate) struct Scope<'a> {
    overlay: &'a Overlay,
    environment: Environment<'static>,
    values: BTreeMap<String, Value>,
    secrets: BTreeMap<String, SecretValue>,
}

impl<'a> Scope<'a> {
    /// `values` is the context without `secrets`.
    pub(crate) fn new(
        overlay: &'a Overlay,
        values: BTreeMap<String, Value>,
        secrets: BTreeMap<String, SecretValue>,
    ) -> Self {
        let mut syntax = SyntaxConfig::builder();
        let syntax = syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
        let syntax = syntax.build().unwrap_or_default();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(false);
        environment.add_filter("urlencode", |text: String| percent_encoded(&text));
        environment.add_filter("shell", |text: String| format!("'{}'", text.replace('\'', r"'\''")));
        environment.add_filter("network", network);
        environment.add_test("overlapping", overlapping);
        environment.add_filter("sha256", |text: String| String::from(Sha256::of(text.as_bytes())));
        environment.add_filter("base64", |text: String| Base64::encode_string(text.as_bytes()));
        Self { overlay, environment, values, secrets }
    }

    /// Renders a file; `shown` names it in errors.
    pub(crate) fn file(&self, shown: &str, text: &str) -> Result<Rendered, TemplateError> {
        let (context, touched) = self.context();
        let rendered = self.render(shown, text, context);
        let secret = touched.load(Ordering::Relaxed);
        let text = rendered.map_err(|e| TemplateError {
            file: shown.to_owned(),
            line: e.line().unwrap_or(1),
            what: what(&e, secret),
        })?;
        Ok(Rendered { text, secret })
    }

    /// Renders up to [`LARGEST`] bytes.
    fn render(&self, name: &str, text: &str, context: Value) -> Result<String, minijinja::Error> {
        let mut output = Bounded(Vec::new());
        let rendered =
            self.environment.template_from_named_str(name, text)?.render_captured_to(context, &mut output);
        rendered?;
        String::from_utf8(output.0)
            .map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))
    }

    /// Renders a value of `overlay.toml`, where no secret may go: it is shown in plans.
    pub(crate) fn text(&self, written: &Located<String>) -> Result<String, TemplateError> {
        let (context, touched) = self.context();
        let rendered = self.render(&self.overlay.source.name, &written.value, context);
        if touched.load(Ordering::Relaxed) {
            return Err(self.complain(written.at, "a secret can only be used in a file under `files/`"));
        }
        rendered.map_err(|e| self.error_in_toml(written.at, &e))
    }

    /// Whether a condition holds; nothing always does.
    pub(crate) fn when(&self, condition: Option<&Located<String>>) -> Result<bool, TemplateError> {
        let Some(written) = condition else { return Ok(true) };
        Ok(self.evaluate(written)?.is_true())
    }

    /// An expression that gives a text; none is "".
    pub(crate) fn string(&self, written: Option<&Located<String>>) -> Result<String, TemplateError> {
        let Some(written) = written else { return Ok(String::new()) };
        let value = self.evaluate(written)?;
        Ok(if value.is_none() { String::new() } else { value.to_string() })
    }

    /// An expression that gives a list of texts; nothing is an empty one.
    pub(crate) fn strings(&self, written: Option<&Located<String>>) -> Result<Vec<String>, TemplateError> {
        let Some(written) = written else { return Ok(Vec::new()) };
        let value = self.evaluate(written)?;
        let items = value.try_iter().map_err(|e| self.error_in_toml(written.at, &e))?;
        Ok(items.map(|item| item.to_string()).collect())
    }

    /// A complaint about byte `at` of `overlay.toml`.
    pub(crate) fn complain(&self, at: usize, what: impl Into<String>) -> TemplateError {
        let source = &self.overlay.source;
        TemplateError { file: source.name.clone(), line: source.line(at), what: what.into() }
    }

    fn evaluate(&self, written: &Located<String>) -> Result<Value, TemplateError> {
        let expression = self.environment.compile_expression(&written.value);
        let (context, touched) = self.context();
        let value =
            expression.and_then(|e| e.eval(context)).map_err(|e| self.error_in_toml(written.at, &e))?;
        if touched.load(Ordering::Relaxed) {
            return Err(self.complain(written.at, "a secret can't decide what an image holds"));
        }
        if value.is_undefined() {
            return Err(self.complain(written.at, format!("`{}` is undefined", written.value)));
        }
        Ok(value)
    }

    fn context(&self) -> (Value, Arc<AtomicBool>) {
        let touched = Arc::new(AtomicBool::new(false));
        let secrets = Secrets { values: self.secrets.clone(), touched: Arc::clone(&touched) };
        let mut context = self.values.clone();
        context.insert("secrets".into(), Value::from_object(secrets));
        (Value::from(context), touched)
    }

    fn error_in_toml(&self, at: usize, error: &minijinja::Error) -> TemplateError {
        self.complain(at, what(error, false))
    }
}

/// The engine's words, without values when a secret could be among them.
fn what(error: &minijinja::Error, secret: bool) -> String {
    let kind = match error.kind() {
        ErrorKind::OutOfFuel => "the template never ends".to_owned(),
        ErrorKind::WriteFailure => return format!("the template makes more than {LARGEST} bytes"),
        kind => kind.to_string(),
    };
    match error.detail() {
        Some(detail) if !secret => format!("{kind}: {detail}"),
        _ => kind,
    }
}

/// Looks a secret up and remembers that somebody did.
struct Secrets {
    values: BTreeMap<String, SecretValue>,
    touched: Arc<AtomicBool>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Object for Secrets {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.values.get(key.as_str()?)? {
            SecretValue::Text(secret) => Some(told(secret, &self.touched)),
            // Itself a set of secrets: its `crt` and `key`.
            SecretValue::Pair { crt, key } => {
                let parts = [("crt", crt.clone()), ("key", Some(key.clone()))];
                let parts = parts.into_iter().filter_map(|(n, s)| Some((n.into(), SecretValue::Text(s?))));
                Some(Value::from_object(Self { values: parts.collect(), touched: Arc::clone(&self.touched) }))
            }
        }
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

fn told(secret: &Secret, touched: &AtomicBool) -> Value {
    touched.store(true, Ordering::Relaxed);
    Value::from(secret.reveal())
}

/// RFC 3986: everything but the unreserved letters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[allow(clippy::needless_pass_by_value)] // a filter's argument
fn network(text: String) -> Result<String, minijinja::Error> {
    let address: Address = text.parse().map_err(|why| no_network(&text, why))?;
    Ok(format!("{}/{}", address.network(), address.prefix))
}

fn no_network(text: &str, why: impl std::fmt::Display) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, format!("`{text}` {why}"))
}

/// Whether two IPv4 networks, or an address and a network, have an address in common.
#[allow(clippy::needless_pass_by_value)] // a test's arguments
fn overlapping(one: String, other: String) -> Result<bool, minijinja::Error> {
    let (one, other) = (bits(&one)?, bits(&other)?);
    let shorter = one.1.min(other.1);
    let mask = u32::MAX.checked_shl(32 - shorter).unwrap_or(0);
    Ok(one.0 & mask == other.0 & mask)
}

/// The bits of an IPv4 network and how many of them count; all of a plain address.
fn bits(text: &str) -> Result<(u32, u32), minijinja::Error> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let address: std::net::Ipv4Addr = address.parse().map_err(|_| no_network(text, "isn't a network"))?;
    match prefix.parse() {
        Ok(prefix) if prefix <= 32 => Ok((address.into(), prefix)),
        _ => Err(no_network(text, "isn't a network")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::SourceText;

    fn overlay() -> Overlay {
        let source = SourceText::new("overlay.toml", "summary = \"x\"\n");
        Overlay {
            name: "x".into(),
            source,
            spec: crate::overlay::Spec::default(),
            files: Vec::new(),
            client: Vec::new(),
        }
    }

    fn text(of: &str) -> SecretValue {
        SecretValue::Text(Secret::new(of.into()))
    }

    #[test]
    fn a_pair_is_secret_in_its_parts_and_masked_as_a_whole() {
        let overlay = overlay();
        let pair = SecretValue::Pair { crt: None, key: Secret::new("s3cr3t".into()) };
        let scope = Scope::new(&overlay, BTreeMap::new(), BTreeMap::from([("ca".to_owned(), pair)]));
        let key = scope.file("f", "{{ secrets.ca.key }}").unwrap();
        assert_eq!((key.text.as_str(), key.secret), ("s3cr3t", true));
        for whole in
            ["{{ secrets.ca }}", "{{ [secrets.ca] }}", "{{ secrets.ca|list }}", "{{ secrets.ca ~ 'x' }}"]
        {
            let rendered = scope.file("f", whole).map_or_else(|e| e.to_string(), |r| r.text);
            assert!(!rendered.contains("s3cr3t"), "{whole}: {rendered}");
        }
        assert!(scope.file("f", "{{ secrets.ca.crt }}").is_err());
        let written = Located { value: "secrets.ca.key == 'a'".to_owned(), at: 0 };
        assert!(scope.when(Some(&written)).is_err());
    }

    #[test]
    fn networks_overlap_where_they_share_an_address() {
        for (one, other, shared) in [
            ("10.42.0.100", "10.42.0.0/16", true),
            ("10.41.255.255", "10.42.0.0/16", false),
            ("10.42.7.0/24", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.42.7.0/24", true),
            ("10.42.0.0/16", "10.43.0.0/16", false),
            ("192.168.1.1", "0.0.0.0/0", true),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            assert_eq!(overlapping(one.into(), other.into()).unwrap(), shared, "{one} {other}");
        }
        for wrong in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/x"] {
            assert!(overlapping(wrong.into(), "10.0.0.0/8".into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_noticed_and_never_named_in_errors() {
        let overlay = overlay();
        let secrets = BTreeMap::from([("token".to_owned(), text("s3cr3t"))]);
        let scope = Scope::new(&overlay, BTreeMap::from([("name".into(), Value::from("caspar"))]), secrets);
        let rendered = scope.file("f", "a {{ name }}\n").unwrap();
        assert_eq!((rendered.text.as_str(), rendered.secret), ("a caspar\n", false));
        assert!(scope.file("f", "{{ secrets.token }}").unwrap().secret);
        assert_eq!(scope.file("f", "{{ secrets }}").unwrap().text, "***");
        let error = scope.file("f", "\n{{ secrets.token | network }}").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("s3cr3t"), "{error}");
        let written = Located { value: "{{ secrets.token }}".to_owned(), at: 0 };
        assert!(scope.text(&written).is_err());
    }

    #[test]
    fn errors_name_file_and_line_and_loops_end() {
        let overlay = overlay();
        let scope = Scope::new(&overlay, BTreeMap::new(), BTreeMap::new());
        let error = scope.file("a.j2", "x\n{{ nope }}\n").unwrap_err();
        assert!(error.to_string().starts_with("`a.j2` line 2: undefined value"), "{error}");
        let endless = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(scope.file("a.j2", endless).unwrap_err().to_string().contains("never ends"));
        let large = "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}";
        let error = scope.file("a.j2", large).unwrap_err().to_string();
        assert_eq!(error, "`a.j2` line 1: the template makes more than 16777216 bytes");
    }

    #[test]
    fn filters() {
        assert_eq!(percent_encoded("v1.33.5+k3s1"), "v1.33.5%2Bk3s1");
        assert_eq!(network("10.0.0.12/24".into()).unwrap(), "10.0.0.0/24");
        let overlay = overlay();
        let scope = Scope::new(&overlay, BTreeMap::new(), BTreeMap::new());
        assert_eq!(scope.file("f", "{{ 'abc' | base64 }}").unwrap().text, "YWJj");
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(scope.file("f", "{{ 'abc' | sha256 }}").unwrap().text, sum);
    }
}

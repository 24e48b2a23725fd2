//! Templates and expressions of an overlay, rendered for one node.

use std::collections::BTreeMap;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use super::Overlay;
use super::context::Variables;
use super::filters;
use super::secrets_variable::{SecretWasRead, SecretsVariable};
use crate::error::{Exit, Explain};
use crate::overlay::spec::{Expression, Template};
use crate::secrets::SecretValue;

/// Limit on the steps of one template, so that endless loops end with an error.
const MAX_STEPS: u64 = 1_000_000;
/// Limit on what one template makes, in bytes.
const MAX_OUTPUT: usize = 16 << 20;

/// A template or an expression that cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` line {line}: {problem}")]
pub(crate) struct TemplateError {
    file: String,
    /// Counted from 1.
    line: usize,
    problem: TemplateProblem,
}

#[derive(Debug, thiserror::Error)]
enum TemplateProblem {
    #[error("the template takes more than {MAX_STEPS} steps")]
    Steps,
    #[error("the template makes more than {MAX_OUTPUT} bytes")]
    Output,
    /// `minijinja`'s error without its detail, which could quote a secret.
    #[error("{0}")]
    Engine(ErrorKind),
    #[error("{kind}: {detail}")]
    EngineDetail { kind: ErrorKind, detail: String },
    #[error("`{0}` is undefined")]
    Undefined(String),
    #[error("a secret can only be used in a file under `files/`")]
    SecretInToml,
    #[error("a secret cannot decide what an image holds")]
    SecretInCondition,
    #[error("{0}")]
    Other(String),
}

impl Explain for TemplateError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("`docs/overlays.md` lists what templates can use".into())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Whether a secret was read to make it.
    pub(crate) secret: bool,
}

/// A buffer of at most [`MAX_OUTPUT`] bytes.
struct BoundedBuffer(Vec<u8>);

impl io::Write for BoundedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > MAX_OUTPUT - self.0.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the templates of one overlay see on one node.
pub(crate) struct TemplateScope<'a> {
    overlay: &'a Overlay,
    environment: Environment<'static>,
    variables: Variables,
    secrets: BTreeMap<String, SecretValue>,
}

impl<'a> TemplateScope<'a> {
    /// `variables` are those without `secrets`.
    pub(crate) fn new(
        overlay: &'a Overlay,
        variables: Variables,
        secrets: BTreeMap<String, SecretValue>,
    ) -> Self {
        Self { overlay, environment: environment(), variables, secrets }
    }

    /// Renders a file; `shown` is its name in errors.
    pub(crate) fn file(&self, shown: &str, text: &str) -> Result<Rendered, TemplateError> {
        let (context, was_read) = self.context();
        let rendered = self.render(shown, text, context);
        let secret = was_read.get();
        let text = rendered.map_err(|e| TemplateError {
            file: shown.to_owned(),
            line: e.line().unwrap_or(1),
            problem: TemplateProblem::of_engine(&e, secret),
        })?;
        Ok(Rendered { text, secret })
    }

    fn render(&self, name: &str, text: &str, context: Value) -> Result<String, minijinja::Error> {
        let mut output = BoundedBuffer(Vec::new());
        self.environment.template_from_named_str(name, text)?.render_captured_to(context, &mut output)?;
        String::from_utf8(output.0)
            .map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))
    }

    /// Renders a value of `overlay.toml`. Secrets are refused: plans show these values.
    pub(crate) fn text(&self, written: &Template) -> Result<String, TemplateError> {
        let (context, was_read) = self.context();
        let rendered = self.render(&self.overlay.source.name, &written.value, context);
        if was_read.get() {
            return Err(self.problem(written.at, TemplateProblem::SecretInToml));
        }
        rendered.map_err(|e| self.engine_error(written.at, &e))
    }

    /// Whether a condition holds; no condition always holds.
    pub(super) fn when(&self, condition: Option<&Expression>) -> Result<bool, TemplateError> {
        let Some(written) = condition else { return Ok(true) };
        Ok(self.evaluate(written)?.is_true())
    }

    /// The text of an expression; empty without an expression, or if it is none.
    pub(super) fn string(&self, written: Option<&Expression>) -> Result<String, TemplateError> {
        let Some(written) = written else { return Ok(String::new()) };
        let value = self.evaluate(written)?;
        Ok(if value.is_none() { String::new() } else { value.to_string() })
    }

    /// The texts of an expression that is a list; empty without an expression.
    pub(super) fn strings(&self, written: Option<&Expression>) -> Result<Vec<String>, TemplateError> {
        let Some(written) = written else { return Ok(Vec::new()) };
        let value = self.evaluate(written)?;
        let items = value.try_iter().map_err(|e| self.engine_error(written.at, &e))?;
        Ok(items.map(|item| item.to_string()).collect())
    }

    /// An error about byte `at` of `overlay.toml`.
    pub(super) fn error(&self, at: usize, what: impl Into<String>) -> TemplateError {
        self.problem(at, TemplateProblem::Other(what.into()))
    }

    fn problem(&self, at: usize, problem: TemplateProblem) -> TemplateError {
        let source = &self.overlay.source;
        TemplateError { file: source.name.clone(), line: source.line(at), problem }
    }

    fn engine_error(&self, at: usize, error: &minijinja::Error) -> TemplateError {
        self.problem(at, TemplateProblem::of_engine(error, false))
    }

    fn evaluate(&self, written: &Expression) -> Result<Value, TemplateError> {
        let expression = self.environment.compile_expression(&written.value);
        let (context, was_read) = self.context();
        let value =
            expression.and_then(|e| e.eval(context)).map_err(|e| self.engine_error(written.at, &e))?;
        if was_read.get() {
            return Err(self.problem(written.at, TemplateProblem::SecretInCondition));
        }
        if value.is_undefined() {
            return Err(self.problem(written.at, TemplateProblem::Undefined(written.value.clone())));
        }
        Ok(value)
    }

    fn context(&self) -> (Value, SecretWasRead) {
        let was_read = SecretWasRead::default();
        let mut variables = self.variables.clone();
        let secrets = SecretsVariable::value(self.secrets.clone(), was_read.clone());
        variables.insert("secrets".into(), secrets);
        (Value::from(variables), was_read)
    }
}

fn environment() -> Environment<'static> {
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    let mut environment = Environment::new();
    // Only invalid delimiters are an error, and these are the default ones.
    environment.set_syntax(syntax.build().unwrap_or_default());
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(MAX_STEPS));
    environment.set_debug(false);
    filters::add(&mut environment);
    environment
}

impl TemplateProblem {
    fn of_engine(error: &minijinja::Error, secret_was_read: bool) -> Self {
        match error.kind() {
            ErrorKind::OutOfFuel => Self::Steps,
            ErrorKind::WriteFailure => Self::Output,
            kind => match error.detail() {
                Some(detail) if !secret_was_read => Self::EngineDetail { kind, detail: detail.to_owned() },
                _ => Self::Engine(kind),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Located, SourceText};
    use crate::secrets::Secret;

    fn overlay() -> Overlay {
        let source = SourceText::new("overlay.toml", "summary = \"x\"\n");
        Overlay {
            name: "x".into(),
            source,
            spec: crate::overlay::OverlaySpec::default(),
            files: Vec::new(),
            client: Vec::new(),
        }
    }

    fn text(of: &str) -> SecretValue {
        SecretValue::Text(Secret::new(of.into()))
    }

    #[test]
    fn key_pair_is_masked_as_a_whole() {
        let overlay = overlay();
        let pair = SecretValue::Pair { crt: None, key: Secret::new("s3cr3t".into()) };
        let scope = TemplateScope::new(&overlay, BTreeMap::new(), BTreeMap::from([("ca".to_owned(), pair)]));
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
    fn errors_do_not_quote_secrets() {
        let overlay = overlay();
        let secrets = BTreeMap::from([("token".to_owned(), text("s3cr3t"))]);
        let scope =
            TemplateScope::new(&overlay, BTreeMap::from([("name".into(), Value::from("caspar"))]), secrets);
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
    fn errors_name_file_and_line_and_output_is_limited() {
        let overlay = overlay();
        let scope = TemplateScope::new(&overlay, BTreeMap::new(), BTreeMap::new());
        let error = scope.file("a.j2", "x\n{{ nope }}\n").unwrap_err();
        assert!(error.to_string().starts_with("`a.j2` line 2: undefined value"), "{error}");
        let endless = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(scope.file("a.j2", endless).unwrap_err().to_string().contains("more than 1000000 steps"));
        let large = "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}";
        let error = scope.file("a.j2", large).unwrap_err().to_string();
        assert_eq!(error, "`a.j2` line 1: the template makes more than 16777216 bytes");
    }
}

//! Templates: compiled when the catalogue is loaded, rendered for each alert. A text that comes out of one is never
//! a template again.

use std::borrow::Cow;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, StringInput, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, filters};

use crate::catalog::host::host;
use crate::catalog::scope;

/// How many instructions a template may execute: enough for any real one, and no loop without end.
const FUEL: u64 = 50_000;

const UNNAMED: &str = "it uses something undefined";

/// The compiled templates of one playbook.
pub(super) struct Templates(Environment<'static>);

/// One template: its key in the playbook, and its text if it has nothing to fill in.
#[derive(Clone, Debug)]
pub(super) struct Template {
    key: String,
    constant: Option<String>,
}

/// A template that cannot be used, and where in its text: `offset` counts bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadTemplate {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").finish_non_exhaustive()
    }
}

impl Templates {
    pub(super) fn new() -> Self {
        Self::printing(print)
    }

    /// With another way to print what comes out of `{{ }}`.
    pub(super) fn printing<F>(formatter: F) -> Self
    where
        F: Fn(&mut Output<'_>, &mut State<'_, '_>, &Value) -> Result<(), Error> + Send + Sync + 'static,
    {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        // A text without anything to fill in keeps its last line break; so do the others.
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_formatter(formatter);
        environment.add_filter("join", join);
        environment.add_filter("host", |text: Cow<'_, str>| {
            host(&text)
                .map(str::to_owned)
                .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
        });
        Self(environment)
    }

    /// Compiles a template, and refuses what could never render.
    pub(super) fn add(&mut self, key: &str, source: &str) -> Result<Template, BadTemplate> {
        let is_constant = !["{{", "{%", "{#"].iter().any(|open| source.contains(open));
        if !is_constant {
            self.0
                .add_template_owned(key.to_owned(), source.to_owned())
                .map_err(|error| bad(source, &error))?;
            self.check_names(key, source)?;
            self.try_out(key, source)?;
        }
        Ok(Template {
            key: key.to_owned(),
            constant: is_constant.then(|| source.to_owned()),
        })
    }

    /// The text, or a sentence that names the template's key.
    pub(super) fn render(&self, template: &Template, scope: &Value) -> Result<String, String> {
        if let Some(text) = &template.constant {
            return Ok(text.clone());
        }
        self.0
            .get_template(&template.key)
            .and_then(|compiled| compiled.render(scope.clone()))
            .map_err(|error| {
                let missing = self.missing(template, scope).filter(|_| is_unnamed(&error));
                let problem = missing.unwrap_or_else(|| explain(&error));
                format!("`{}` cannot be rendered: {problem}", template.key)
            })
    }

    /// A name in the template that the scope does not define, for errors that do not say which.
    fn missing(&self, template: &Template, scope: &Value) -> Option<String> {
        let compiled = self.0.get_template(&template.key).ok()?;
        let mut names: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        names.sort();
        let name = names.into_iter().find(|name| {
            let mut found = scope.clone();
            name.split('.').any(|segment| {
                found = found.get_attr(segment).unwrap_or_default();
                found.is_undefined()
            })
        })?;
        Some(format!("`{name}` is undefined"))
    }

    /// Names that no alert can define. Labels are another matter: each alert has its own.
    fn check_names(&self, key: &str, source: &str) -> Result<(), BadTemplate> {
        let Ok(template) = self.0.get_template(key) else {
            return Ok(());
        };
        let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        names.sort();
        for name in names {
            let mut segments = name.split('.');
            let root = segments.next().unwrap_or_default();
            if self.0.globals().any(|(global, _)| global == root) {
                continue;
            }
            scope::check_name(root, segments.next()).map_err(|message| BadTemplate {
                offset: source.find(&name).or_else(|| source.find(root)).unwrap_or(0),
                message,
            })?;
        }
        Ok(())
    }

    /// Unknown filters, tests and functions show only when a template runs.
    fn try_out(&self, key: &str, source: &str) -> Result<(), BadTemplate> {
        let outcome = self
            .0
            .get_template(key)
            .and_then(|compiled| compiled.render(scope::sample()));
        match outcome {
            Err(error) if is_wrong_for_all(error.kind()) => Err(bad(source, &error)),
            _ => Ok(()),
        }
    }
}

/// Prints a value. Strictness ends at lists and mappings: what is undefined in them would print as such.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    refuse_undefined(value)?;
    minijinja::escape_formatter(out, state, value)
}

/// The filter of the same name, which takes what is undefined for the empty text.
fn join(
    state: &mut State<'_, '_>,
    items: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    refuse_undefined(items)?;
    filters::join(state, items, joiner, attribute, options)
}

/// An error unless the value and all in it is there.
pub(super) fn refuse_undefined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, UNNAMED));
    }
    match value.kind() {
        ValueKind::Seq => value.try_iter()?.try_for_each(|item| refuse_undefined(&item)),
        ValueKind::Map => value
            .try_iter()?
            .try_for_each(|key| refuse_undefined(&value.get_item(&key)?)),
        _ => Ok(()),
    }
}

fn is_unnamed(error: &Error) -> bool {
    error.kind() == ErrorKind::UndefinedError && error.detail().is_none_or(|detail| detail == UNNAMED)
}

fn is_wrong_for_all(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::SyntaxError
            | ErrorKind::TemplateNotFound
            | ErrorKind::MissingArgument
            | ErrorKind::TooManyArguments
            | ErrorKind::OutOfFuel
    )
}

fn bad(source: &str, error: &Error) -> BadTemplate {
    let line_start = || {
        let before = error.line().unwrap_or(1).saturating_sub(1);
        source.split_inclusive('\n').take(before).map(str::len).sum()
    };
    BadTemplate {
        offset: error.range().map_or_else(line_start, |range| range.start),
        message: explain(error),
    }
}

fn explain(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it takes too many steps".to_owned(),
        (ErrorKind::UndefinedError | ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

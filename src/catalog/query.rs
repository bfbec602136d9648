//! A route's queries to Prometheus: templates in which whatever comes out of `{{ }}` stays a value, however hostile.
//! Asks nothing.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};

use crate::catalog::Peers;
use crate::catalog::scope::{self, Scope};
use crate::catalog::template::{Template, Templates, refuse_undefined};
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::config::yaml::{Kind, Node, Type};
use crate::domain::checks::{Checks, OnError, Precondition};
use crate::domain::parameters::Refusal;
use crate::domain::promql::{Context, Scanner, escape};

pub(super) const PRECONDITION: Keys = Keys::of(&[
    Key::of("query", Key::REQUIRED, "PromQL, a template"),
    Key::of(
        "on_error",
        "`refuse`",
        "when Prometheus does not answer: `refuse` or `proceed`",
    ),
]);
const ON_ERROR: [(&str, OnError); 2] = [("refuse", OnError::Refuse), ("proceed", OnError::Proceed)];

/// Around a value in a rendered query that is not settled yet. Of Unicode's private use: nobody means them.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';
/// The first character of a marked value.
const NUMBER: char = 'n';
const TEXT: char = 't';

/// The compiled queries of one route.
#[derive(Debug)]
pub(super) struct Queries {
    templates: Templates,
    precondition: Option<(Template, OnError)>,
    verify: Option<Template>,
    silence: bool,
}

impl Queries {
    /// Of checks that `read` has found good; what is not good is left out.
    pub(super) fn compile(checks: &Checks) -> Self {
        let mut templates = Templates::printing(mark);
        let precondition = checks.precondition.as_ref().and_then(|precondition| {
            let template = templates.add("precondition", &precondition.query).ok()?;
            Some((template, precondition.on_error))
        });
        let verify = checks.verify_query.as_ref();
        let verify = verify.and_then(|query| templates.add("verify.query", query).ok());
        Self {
            templates,
            precondition,
            verify,
            silence: checks.silence,
        }
    }

    /// What is asked about one job.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<Checks, Refusal> {
        let precondition = self.precondition.as_ref().map(|(template, on_error)| {
            let query = self.query("precondition", template, scope)?;
            Ok(Precondition {
                query,
                on_error: *on_error,
            })
        });
        Ok(Checks {
            precondition: precondition.transpose()?,
            verify_query: self.render_verify(scope)?,
            silence: self.silence,
        })
    }

    /// What is asked after a run alone: whatever is wrong with the rest does not matter.
    pub(super) fn render_verify(&self, scope: &Scope<'_>) -> Result<Option<String>, Refusal> {
        let query = self.verify.as_ref();
        query
            .map(|template| self.query("verify.query", template, scope))
            .transpose()
    }

    fn query(&self, key: &str, template: &Template, scope: &Scope<'_>) -> Result<String, Refusal> {
        let rendered = self.templates.render(template, &scope.value());
        let settled = rendered
            .and_then(|marked| settle(&marked).map_err(|problem| format!("`{key}` cannot be rendered: {problem}")));
        settled.map_err(|message| Refusal {
            key: key.to_owned(),
            message: format!("the route's {message}"),
        })
    }
}

/// What a route asks for, as written. `verify` is its entry of that name.
pub(super) fn read(route: &Fields<'_>, verify: Option<&Fields<'_>>) -> Checks {
    let silence = route.get("silence");
    let wanted = silence.as_ref().and_then(Slot::flag).unwrap_or(false);
    if let (Some(slot), true, None) = (&silence, wanted, verify) {
        slot.error(
            "needs `verify`: Alertmanager never tells that a silenced alert has resolved, so it must be asked whether it has",
        );
    }
    Checks {
        precondition: route.get("precondition").and_then(|slot| precondition(&slot)),
        verify_query: verify
            .and_then(|fields| fields.get("query"))
            .and_then(|slot| query(&slot)),
        silence: wanted,
    }
}

fn precondition(slot: &Slot<'_>) -> Option<Precondition> {
    if !matches!(slot.node.kind, Kind::Mapping(_)) {
        let query = query(slot)?;
        let on_error = OnError::default();
        return Some(Precondition { query, on_error });
    }
    let fields = slot.fields(&PRECONDITION)?;
    let on_error = fields.word("on_error", &ON_ERROR, OnError::default());
    let query = query(&fields.require("query")?)?;
    Some(Precondition { query, on_error })
}

/// The text of a query, if it is a good one.
fn query(slot: &Slot<'_>) -> Option<String> {
    let source = slot.text()?.trim_end();
    if source.contains([OPEN, CLOSE]) {
        slot.error("has a character of Unicode's private use");
        return None;
    }
    let mut templates = Templates::printing(mark);
    let template = match templates.add("query", source) {
        Ok(template) => template,
        Err(bad) => {
            slot.error_inside(bad.offset, &format!("is no valid template: {}", bad.message));
            return None;
        }
    };
    // Some templates cannot be tried out with any value; those show what is wrong with them when an alert comes.
    if let Ok(marked) = templates.render(&template, &scope::sample())
        && let Err(problem) = settle(&marked)
    {
        slot.error(&format!("is no valid query: {problem}"));
        return None;
    }
    Some(source.to_owned())
}

/// Reports what a route asks of programs that healgate.yml does not name.
pub(super) fn check_peers(route: &Slot<'_>, configured: Peers) {
    let query = route
        .node
        .entry("verify")
        .and_then(|verify| verify.value.entry("query"));
    let silence = route.node.entry("silence").filter(|entry| !is_false(&entry.value));
    for (entry, key, section, is_there) in [
        (
            route.node.entry("precondition"),
            "precondition",
            "prometheus",
            configured.prometheus,
        ),
        (query, "verify.query", "prometheus", configured.prometheus),
        (silence, "silence", "alertmanagers", configured.alertmanagers),
    ] {
        if let (Some(entry), false) = (entry, is_there) {
            let message = format!("`{}.{key}` needs `{section}` in healgate.yml", route.path);
            route.findings.error(&entry.at, message);
        }
    }
}

fn is_false(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.resolve() == Type::Bool(false))
}

/// Prints a value so that `settle` finds it again.
fn mark(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    refuse_undefined(value)?;
    let kind = match value.kind() {
        ValueKind::Number => NUMBER,
        ValueKind::String => TEXT,
        other => {
            let message = format!("a query can take a text or a number, and this is a {other}");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    let text = value.to_string();
    if text.contains([OPEN, CLOSE]) {
        let message = "a query can take neither a block (`set`, a macro) nor a character of Unicode's private use";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    write!(out, "{OPEN}{kind}{text}{CLOSE}").map_err(|_| Error::from(ErrorKind::WriteFailure))
}

/// Puts each marked value where it stands, so that it can be nothing but a value there.
fn settle(marked: &str) -> Result<String, String> {
    let mut query = String::with_capacity(marked.len());
    let mut scanner = Scanner::default();
    let mut pieces = marked.split(OPEN);
    take(pieces.next().unwrap_or_default(), &mut query, &mut scanner);
    for piece in pieces {
        let (value, written) = piece.split_once(CLOSE).unwrap_or((piece, ""));
        let placed = place(value, scanner.context())?;
        take(&placed, &mut query, &mut scanner);
        take(written, &mut query, &mut scanner);
    }
    match scanner.context() {
        Context::Code { .. } | Context::Comment => Ok(query),
        Context::Text { quote, .. } | Context::Escape { quote, .. } => {
            Err(format!("a text never ends: {quote} is missing"))
        }
    }
}

fn take(text: &str, query: &mut String, scanner: &mut Scanner) {
    text.chars().for_each(|c| scanner.step(c));
    query.push_str(text);
}

fn place(value: &str, context: Context) -> Result<String, String> {
    let text = value.get(1..).unwrap_or_default();
    let meant = |regex: bool| if regex { regex::escape(text) } else { text.to_owned() };
    match context {
        Context::Code { .. } if value.starts_with(NUMBER) => Ok(text.to_owned()),
        Context::Code { regex } => Ok(format!("\"{}\"", escape(&meant(regex)))),
        Context::Text { quote: '`', .. } if text.contains(['`', '\r']) => {
            Err(format!("{text:?} cannot stand between backticks; use quotation marks"))
        }
        Context::Text { quote: '`', regex } => Ok(meant(regex)),
        Context::Text { regex, .. } => Ok(escape(&meant(regex))),
        Context::Escape { .. } => Err("a value cannot follow a backslash".to_owned()),
        Context::Comment => Err("a value cannot stand in a comment".to_owned()),
    }
}

//! As much of PromQL as it takes to put a value into an expression safely and to judge what came out. Asks nothing.

use std::fmt::Write as _;

/// What Prometheus answered to an instant query.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Scalar(f64),
    /// The value of each sample.
    Vector(Vec<f64>),
}

impl Answer {
    /// Whether the expression holds. Where its outermost level compares, what did not pass is not in the result: any
    /// result means yes, whatever its value, as in an alerting rule. Where nothing filters, as with `bool` or a plain
    /// metric, every value must be true: there, and neither 0 nor NaN.
    pub fn holds(&self, expression: &str) -> bool {
        match self {
            Self::Scalar(value) => is_true(*value),
            Self::Vector(values) if values.is_empty() => false,
            Self::Vector(values) => filters(expression) || values.iter().all(|value| is_true(*value)),
        }
    }
}

fn is_true(value: f64) -> bool {
    value != 0.0 && !value.is_nan()
}

/// Whether the outermost level of the expression drops what does not pass a comparison.
fn filters(expression: &str) -> bool {
    let code = code(expression);
    let mut code = code.trim();
    while let Some(inner) = unwrapped(code) {
        code = inner.trim();
    }
    let found = comparisons(&outermost(code));
    !found.is_empty() && found.iter().all(|comparison| *comparison == Comparison::Filter)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Filter,
    Bool,
}

fn comparisons(code: &str) -> Vec<Comparison> {
    const SIGNS: [char; 4] = ['=', '!', '<', '>'];
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(SIGNS) {
        rest = rest[at..].trim_start_matches(SIGNS).trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let word = &rest[..end.unwrap_or(rest.len())];
        found.push(if word.eq_ignore_ascii_case("bool") {
            Comparison::Bool
        } else {
            Comparison::Filter
        });
    }
    found
}

/// The expression without comments, and without what its texts say.
fn code(expression: &str) -> String {
    let mut scanner = Scanner::default();
    let mut code = String::with_capacity(expression.len());
    for c in expression.chars() {
        if matches!(scanner.context(), Context::Code { .. }) && c != '#' {
            code.push(c);
        }
        scanner.step(c);
    }
    code
}

/// What is inside the parentheses, if one pair is around all of it.
fn unwrapped(code: &str) -> Option<&str> {
    let inner = code.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0_i32;
    for c in inner.chars() {
        depth += deeper(c);
        if depth < 0 {
            return None;
        }
    }
    Some(inner)
}

/// What is in no parentheses, braces or brackets.
fn outermost(code: &str) -> String {
    let mut depth = 0_i32;
    let mut outermost = String::new();
    for c in code.chars() {
        depth += deeper(c);
        if depth == 0 {
            outermost.push(c);
        }
    }
    outermost
}

const fn deeper(c: char) -> i32 {
    match c {
        '(' | '[' | '{' => 1,
        ')' | ']' | '}' => -1,
        _ => 0,
    }
}

/// Where in an expression something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `regex`: right after `=~` or `!~`.
    Code {
        regex: bool,
    },
    Comment,
    /// Inside a text. `regex`: it is a regular expression that labels are matched with.
    Text {
        quote: char,
        regex: bool,
    },
    /// Right after a backslash in a text.
    Escape {
        quote: char,
        regex: bool,
    },
}

/// Reads an expression character by character.
///
/// Source: `promql/parser/lex.go` of prometheus/prometheus.
#[derive(Clone, Debug)]
pub struct Scanner {
    context: Context,
    /// The last character of code that is no white space.
    last: char,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            context: Context::Code { regex: false },
            last: ' ',
        }
    }
}

impl Scanner {
    /// Where the next character stands.
    pub const fn context(&self) -> Context {
        self.context
    }

    /// Takes the next character.
    pub fn step(&mut self, c: char) {
        self.context = match self.context {
            Context::Code { .. } if c == '#' => Context::Comment,
            Context::Code { regex } if matches!(c, '"' | '\'' | '`') => Context::Text { quote: c, regex },
            Context::Code { regex } if c.is_whitespace() => Context::Code { regex },
            Context::Code { .. } => {
                let regex = c == '~' && matches!(self.last, '=' | '!');
                self.last = c;
                Context::Code { regex }
            }
            Context::Comment if c == '\n' => Context::Code { regex: false },
            Context::Comment => Context::Comment,
            Context::Text { quote, .. } if c == quote => {
                self.last = c;
                Context::Code { regex: false }
            }
            Context::Text { quote, regex } if c == '\\' && quote != '`' => Context::Escape { quote, regex },
            Context::Text { quote, regex } | Context::Escape { quote, regex } => Context::Text { quote, regex },
        };
    }
}

/// The characters of a value for the inside of a text in `"` or `'`.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            // A backslash may stand before the text's own quote only; its number is right in both kinds.
            c if c.is_ascii_control() || matches!(c, '"' | '\'') => {
                let _ = write!(escaped, "\\x{:02x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_holds_when_something_passed_whatever_its_value() {
        for expression in [
            "up{job=\"web\"} == 0",
            "(up == 0)",
            "((errors < 5)) # bool",
            "sum(up == bool 1) == 0",
            "count(up == 1) / count(up) >= 0.8",
            "x{path=~\"a > bool b\"} <= 3",
        ] {
            assert!(Answer::Vector(vec![0.0]).holds(expression), "{expression}");
            assert!(!Answer::Vector(Vec::new()).holds(expression), "{expression}");
        }
    }

    #[test]
    fn where_nothing_filters_every_value_must_be_true() {
        for expression in [
            "up",
            "up{a!=\"b\", c=~\"d\"}",
            "up == bool 1",
            "up == BOOL 1",
            "min(up == 1)",
            "(up > bool 0)",
            "'a == b'",
            "up # == 1",
            "(a) and (b == 0)",
            "a == 1 or b == bool 1",
        ] {
            assert!(Answer::Vector(vec![1.0, 2.0]).holds(expression), "{expression}");
            for untrue in [0.0, f64::NAN] {
                assert!(!Answer::Vector(vec![1.0, untrue]).holds(expression), "{expression}");
            }
            assert!(!Answer::Vector(Vec::new()).holds(expression), "{expression}");
        }
    }

    #[test]
    fn a_scalar_holds_unless_it_is_0_or_no_number() {
        for (value, expected) in [
            (1.0, true),
            (-0.5, true),
            (f64::INFINITY, true),
            (0.0, false),
            (f64::NAN, false),
        ] {
            assert_eq!(Answer::Scalar(value).holds("1 == bool 1"), expected, "{value}");
        }
    }

    #[test]
    fn the_scanner_knows_where_it_is() {
        let context = |before: &str| {
            let mut scanner = Scanner::default();
            before.chars().for_each(|c| scanner.step(c));
            scanner.context()
        };
        let text = |quote, regex| Context::Text { quote, regex };
        assert_eq!(context("up{a="), Context::Code { regex: false });
        assert_eq!(context("up{a =~ "), Context::Code { regex: true });
        assert_eq!(context("up{a!=\""), text('"', false));
        assert_eq!(context("up{a!~'"), text('\'', true));
        assert_eq!(context("up{a=~`x\\"), text('`', true));
        assert_eq!(
            context("up{a=\"x\\"),
            Context::Escape {
                quote: '"',
                regex: false
            }
        );
        assert_eq!(context("up{a=\"x\\\""), text('"', false));
        assert_eq!(context("up{a=\"x\"} # it's"), Context::Comment);
        assert_eq!(context("up # it's\n + "), Context::Code { regex: false });
    }

    #[test]
    fn nothing_ends_an_escaped_text() {
        assert_eq!(
            escape("a\\\"b'c\n\r\u{0}\u{7f}é"),
            "a\\\\\\x22b\\x27c\\n\\x0d\\x00\\x7fé"
        );
    }
}

//! Label matchers with Alertmanager's syntax and meaning.

mod parse;

use std::fmt;

use regex::Regex;

use crate::domain::alert::Labels;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOperator {
    Equal,
    NotEqual,
    Matches,
    DoesNotMatch,
}

impl MatchOperator {
    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::DoesNotMatch => "!~",
        }
    }
}

/// One test of one label. Regular expressions are anchored at both ends; an absent label equals the empty text.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    operator: MatchOperator,
    value: String,
    regex: Option<Regex>,
}

/// A matcher that cannot be read, and where in its text: `offset` counts bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidMatcher {
    pub offset: usize,
    pub message: String,
}

impl Matcher {
    /// Reads one matcher such as `name="value"`, with `=`, `!=`, `=~` or `!~`; braces around it and a comma behind it
    /// are allowed, as in Alertmanager.
    ///
    /// Alertmanager has two parsers, `pkg/labels/parse.go` (classic) and `matcher/parse` (UTF-8). It uses both
    /// (`matcher/compat/parse.go`, the default mode): what the classic one reads means what that one says, and
    /// the UTF-8 one reads what is left, such as label names in double quotes. The same holds here, with two
    /// differences, both of them errors: more than one matcher in a text, and a brace without its partner, which the
    /// classic parser would cut off even from the end of a regular expression.
    pub fn parse(text: &str) -> Result<Self, InvalidMatcher> {
        parse::matcher(text)
    }

    /// The label that it tests.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub const fn operator(&self) -> MatchOperator {
        self.operator
    }

    /// The text or regular expression that it compares with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether the labels satisfy it.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let found = self
            .regex
            .as_ref()
            .map_or(value == self.value, |regex| regex.is_match(value));
        match self.operator {
            MatchOperator::Equal | MatchOperator::Matches => found,
            MatchOperator::NotEqual | MatchOperator::DoesNotMatch => !found,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Eq for Matcher {}

/// As Alertmanager prints it (`pkg/labels/matcher.go`): the name in quotes only where it needs them.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, operator) = (&self.name, self.operator.as_str());
        if name.contains(parse::is_reserved) {
            return write!(f, "{}{operator}{}", quote(name), quote(&self.value));
        }
        let value = self
            .value
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('"', "\\\"");
        write!(f, "{name}{operator}\"{value}\"")
    }
}

/// In Go's double quotes.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;

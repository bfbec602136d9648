//! YAML as a tree in which every value knows its place. Says what is wrong with the YAML, never with its meaning.

mod load;
mod locate;

use std::sync::Arc;

use crate::config::diagnostic::Mark;
pub(crate) use load::{Unreadable, parse};
pub(crate) use locate::locate;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Mark,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Mark,
    pub(crate) value: Node,
}

/// A text as the file means it, and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: Arc<str>,
    pub(crate) style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Unquoted: may be a number, a boolean or nothing.
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// `|` and `>`.
    Block,
    /// From an environment variable, which has no types: it is whatever is asked for.
    Variable,
}

/// What a scalar is in YAML 1.2's core schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Type {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

impl Scalar {
    /// The type of the text as YAML 1.2 sees it (<https://yaml.org/spec/1.2.2/#1032-tag-resolution>).
    pub(crate) fn resolve(&self) -> Type {
        match self.style {
            Style::Plain | Style::Variable => resolve_plain(&self.text),
            Style::SingleQuoted | Style::DoubleQuoted | Style::Block => Type::Text,
        }
    }

    /// The boolean that YAML 1.1, which Ansible reads, takes this text for although YAML 1.2 does not.
    pub(crate) fn old_boolean(&self) -> Option<bool> {
        match &*self.text {
            _ if self.style != Style::Plain => None,
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        }
    }

    /// Whether YAML 1.1 reads this number in another base: `0644` is 420 there.
    pub(crate) fn is_old_octal(&self) -> bool {
        let digits = self.text.trim_start_matches(['-', '+']);
        self.style == Style::Plain
            && digits.len() > 1
            && digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    }
}

fn resolve_plain(text: &str) -> Type {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Type::Null,
        "true" | "True" | "TRUE" => return Type::Bool(true),
        "false" | "False" | "FALSE" => return Type::Bool(false),
        _ => {}
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).map_or(Type::Text, Type::Int);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return i64::from_str_radix(hexadecimal, 16).map_or(Type::Text, Type::Int);
    }
    if let Ok(number) = text.parse() {
        return Type::Int(number);
    }
    // Rust also reads `inf` and `nan`, which YAML writes with a dot; neither can be stored as JSON.
    let numeric = text.bytes().any(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Type::Float(number),
        _ => Type::Text,
    }
}

impl Node {
    /// Whether there is nothing: `~`, `null`, or a key without a value.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.resolve() == Type::Null)
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            Kind::Scalar(_) | Kind::Sequence(_) => None,
        }
    }

    fn weight(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar(scalar) => scalar.text.len(),
            Kind::Sequence(items) => items.iter().map(Self::weight).sum(),
            Kind::Mapping(entries) => entries.iter().map(|e| e.key.len() + e.value.weight()).sum(),
        }
    }
}

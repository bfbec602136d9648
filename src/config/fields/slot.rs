//! Reads one value as what it must be.

use std::ops::RangeInclusive;

use super::{Fields, Keys, Slot, join};
use crate::config::diagnostic::Findings;
use crate::config::fields::did_you_mean;
use crate::config::yaml::{self, Entry, Kind, Node, Scalar, Style, Type};
use crate::domain::span::Span;

impl<'a> Slot<'a> {
    /// The whole file.
    pub(crate) fn root(node: &'a Node, findings: &'a Findings) -> Self {
        Self {
            path: String::new(),
            at: &node.at,
            node,
            findings,
        }
    }

    pub(super) fn below(&self, entry: &'a Entry) -> Self {
        Self {
            path: join(&self.path, &entry.key),
            // A key without a value has its place; the missing value has none.
            at: if entry.value.is_null() {
                &entry.at
            } else {
                &entry.value.at
            },
            node: &entry.value,
            findings: self.findings,
        }
    }

    /// Records that the value is wrong: `problem` follows the value's path.
    pub(crate) fn error(&self, problem: &str) {
        self.findings.error(self.at, self.sentence(problem));
    }

    /// Records something about the value that its author should know.
    pub(crate) fn warn(&self, problem: &str) {
        self.findings.warn(self.at, self.sentence(problem));
    }

    /// Records an error at a byte of the value's text.
    pub(crate) fn error_inside(&self, offset: usize, problem: &str) {
        let at = match &self.node.kind {
            Kind::Scalar(scalar) => yaml::locate(self.findings, self.at, scalar, offset),
            Kind::Sequence(_) | Kind::Mapping(_) => self.at.clone(),
        };
        self.findings.error(&at, self.sentence(problem));
    }

    fn sentence(&self, problem: &str) -> String {
        if self.path.is_empty() {
            format!("the file {problem}")
        } else {
            format!("`{}` {problem}", self.path)
        }
    }

    fn scalar(&self, wanted: &str) -> Option<&'a Scalar> {
        match &self.node.kind {
            Kind::Scalar(_) if self.node.is_null() => {
                self.error(&format!("has no value; it must be {wanted}"));
                None
            }
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Sequence(_) => {
                self.error(&format!("is a list; it must be {wanted}"));
                None
            }
            Kind::Mapping(_) => {
                self.error(&format!("is a mapping; it must be {wanted}"));
                None
            }
        }
    }

    /// The characters of the value, also if YAML takes them for a number.
    pub(crate) fn raw(&self, wanted: &str) -> Option<&'a str> {
        self.scalar(wanted).map(|scalar| &*scalar.text)
    }

    /// A text that is not empty.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = self.any_text()?;
        if text.trim().is_empty() {
            self.error("is empty");
            return None;
        }
        Some(text)
    }

    /// A text that may be empty, if it is quoted.
    pub(crate) fn any_text(&self) -> Option<&'a str> {
        let scalar = self.scalar("a text")?;
        let mistaken = match scalar.resolve() {
            Type::Text => scalar.old_boolean().is_some(),
            Type::Null | Type::Bool(_) | Type::Int(_) | Type::Float(_) => scalar.style != Style::Variable,
        };
        if mistaken {
            self.error(&format!(
                "must be a text; to mean the text, quote it: \"{}\"",
                scalar.text
            ));
            return None;
        }
        Some(&scalar.text)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self) -> Option<bool> {
        let scalar = self.scalar("true or false")?;
        if let Type::Bool(value) = scalar.resolve() {
            return Some(value);
        }
        self.error(&format!("must be true or false, not {:?}", &*scalar.text));
        None
    }

    /// A whole number in the range.
    pub(crate) fn count(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let scalar = self.scalar(&wanted)?;
        if let Type::Int(value) = scalar.resolve()
            && let Ok(value) = u32::try_from(value)
            && range.contains(&value)
        {
            return Some(value);
        }
        self.error(&format!("must be {wanted}, not {:?}", &*scalar.text));
        None
    }

    /// A duration such as `5m`, which may be zero.
    pub(crate) fn span(&self) -> Option<Span> {
        let scalar = self.scalar("a duration such as 30s, 5m, 1h or 7d")?;
        match scalar.text.parse() {
            Ok(span) => Some(span),
            Err(error) => {
                self.error(&format!("is wrong: {error}"));
                None
            }
        }
    }

    /// A duration longer than nothing.
    pub(crate) fn positive_span(&self) -> Option<Span> {
        let span = self.span()?;
        if span == Span::default() {
            self.error("must be longer than 0s");
            return None;
        }
        Some(span)
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let allowed = format!("one of {}", list.join(", "));
        let scalar = self.scalar(&allowed)?;
        let found = words.iter().find(|(word, _)| *word == &*scalar.text);
        if found.is_none() {
            let hint = did_you_mean(&scalar.text, &list);
            self.error(&format!("must be {allowed}, not {:?}{hint}", &*scalar.text));
        }
        found.map(|(_, value)| *value)
    }

    /// The items of a list; none if there is no value.
    pub(crate) fn items(&self) -> Vec<Self> {
        match &self.node.kind {
            Kind::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| Slot {
                    path: format!("{}[{index}]", self.path),
                    at: &node.at,
                    node,
                    findings: self.findings,
                })
                .collect(),
            Kind::Scalar(_) if self.node.is_null() => Vec::new(),
            Kind::Scalar(_) | Kind::Mapping(_) => {
                self.error("must be a list");
                Vec::new()
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self) -> Vec<String> {
        let items = self.items();
        items.iter().filter_map(|item| item.text().map(str::to_owned)).collect()
    }

    /// The entries of a mapping whose keys are names that the user chose; none if there is no value.
    pub(crate) fn named(&self) -> Vec<(&'a Entry, Self)> {
        let mapping = self.entries().unwrap_or_default();
        mapping.iter().map(|entry| (entry, self.below(entry))).collect()
    }

    fn entries(&self) -> Option<&'a [Entry]> {
        match &self.node.kind {
            Kind::Mapping(entries) => Some(entries),
            Kind::Scalar(_) if self.node.is_null() => Some(&[]),
            Kind::Scalar(_) | Kind::Sequence(_) => {
                self.error("must be a mapping of keys to values");
                None
            }
        }
    }

    /// The keys of a mapping, all of which must be among `keys`; `None` if it is no mapping.
    pub(crate) fn fields(&self, keys: &Keys) -> Option<Fields<'a>> {
        let entries = self.entries()?;
        for entry in entries {
            let name = entry.key.as_str();
            let path = join(&self.path, name);
            if let Some((_, place)) = keys.elsewhere.iter().find(|(key, _)| *key == name) {
                let message = format!("`{path}` belongs in {place}");
                self.findings.error(&entry.at, message);
            } else if !keys.names().contains(&name) {
                let known = keys.names();
                let hint = did_you_mean(name, &known);
                let allowed = known.join(", ");
                let message = format!("unknown key `{path}`{hint}; allowed here: {allowed}");
                self.findings.error(&entry.at, message);
            }
        }
        Some(Fields {
            path: self.path.clone(),
            at: self.at,
            entries,
            findings: self.findings,
        })
    }
}

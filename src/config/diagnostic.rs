//! What is wrong in a file or a variable, and exactly where.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file; line and column count from 1, columns in characters.
    File {
        /// As the user gave it.
        file: String,
        line: usize,
        column: usize,
        /// The text of that line.
        source: String,
    },
    /// In an environment variable, by its name.
    Variable(String),
}

/// Whether the file can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One finding. Prints as `file:line:column: message`, the line, and a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Place,
    pub severity: Severity,
    pub message: String,
}

/// Everything that was found, in the order of the file; at least one of them is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

/// A position while a file is read: what becomes a [`Place`] in a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    File { line: usize, column: usize },
    Variable(String),
}

/// Collects what is wrong with one file, so that its user learns of all of it at once.
#[derive(Debug)]
pub(crate) struct Findings {
    file: String,
    lines: Vec<String>,
    found: RefCell<Vec<Diagnostic>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column, .. } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, "{}: {warning}{}", self.place, self.message)?;
        match &self.place {
            Place::File { column, source, .. } if !source.is_empty() => {
                // Tabs stay tabs, so that the caret stands under the place whatever their width.
                let indent: String = source
                    .chars()
                    .take(column - 1)
                    .map(|c| if c == '\t' { c } else { ' ' })
                    .collect();
                write!(f, "\n  {source}\n  {indent}^")
            }
            Place::File { .. } | Place::Variable(_) => Ok(()),
        }
    }
}

impl Diagnostics {
    /// Errors and warnings, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Appends what was found in another file.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(more);
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Mark {
    /// Where a file as a whole is meant.
    pub(crate) const START: Self = Self::File { line: 1, column: 1 };
}

impl Findings {
    /// Reads a file of UTF-8 text; the name is shown as given.
    pub(crate) fn open(path: &Path) -> Result<(Self, String), Diagnostics> {
        let nameless = Self::new(path, "");
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = "there is no such file; `healgate init` writes one to start from";
                return Err(nameless.fatal(message.to_owned()));
            }
            Err(error) => return Err(nameless.fatal(format!("the file cannot be read: {error}"))),
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
                Ok((Self::new(path, &text), text))
            }
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes());
                let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
                let findings = Self::new(path, &text);
                findings.error(&Mark::File { line, column }, "this is not UTF-8 text");
                Err(Diagnostics(findings.found.into_inner()))
            }
        }
    }

    /// For a text that was already read.
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        Self {
            file: path.display().to_string(),
            lines: text.lines().map(str::to_owned).collect(),
            found: RefCell::default(),
        }
    }

    /// The text of a line, counted from 1; empty if there is none.
    pub(crate) fn line(&self, number: usize) -> &str {
        number
            .checked_sub(1)
            .and_then(|index| self.lines.get(index))
            .map_or("", String::as_str)
    }

    /// Something that makes the file unusable.
    pub(crate) fn error(&self, at: &Mark, message: impl Into<String>) {
        self.push(at, Severity::Error, message.into());
    }

    /// Something that its author should know.
    pub(crate) fn warn(&self, at: &Mark, message: impl Into<String>) {
        self.push(at, Severity::Warning, message.into());
    }

    fn fatal(self, message: String) -> Diagnostics {
        self.error(&Mark::START, message);
        Diagnostics(self.found.into_inner())
    }

    fn push(&self, at: &Mark, severity: Severity, message: String) {
        let place = match at {
            Mark::Variable(name) => Place::Variable(name.clone()),
            Mark::File { line, column } => Place::File {
                file: self.file.clone(),
                line: *line,
                column: *column,
                source: self.line(*line).to_owned(),
            },
        };
        let diagnostic = Diagnostic {
            place,
            severity,
            message,
        };
        let mut found = self.found.borrow_mut();
        // An aliased value is read at each of its uses, but it is wrong only once.
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }

    /// The value with the warnings, or everything that was found if there is an error.
    pub(crate) fn conclude<T>(self, value: Option<T>) -> Result<(T, Vec<Diagnostic>), Diagnostics> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|diagnostic| match &diagnostic.place {
            Place::File { line, column, .. } => (*line, *column),
            Place::Variable(_) => (usize::MAX, 0),
        });
        let failed = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        match value {
            Some(value) if !failed => Ok((value, found)),
            _ => Err(Diagnostics(found)),
        }
    }
}

//! Builds the tree from the parser's events, within bounds on depth and size.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::config::diagnostic::{Findings, Mark};
use crate::config::yaml::{Entry, Kind, Node, Scalar, Style};

/// Deeper nesting than this is refused: no file of ours needs it, and the stack is finite.
const MAX_DEPTH: usize = 64;

/// How much text and how many values aliases may copy in all, against files that unfold to gigabytes.
const MAX_COPIED: usize = 1_000_000;

/// The file is no YAML, or none that we read; what is wrong was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The file's one document; `None` if there is nothing in it.
pub(crate) fn parse(text: &str, findings: &Findings) -> Result<Option<Node>, Unreadable> {
    let mut loader = Loader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        copied: 0,
        findings,
    };
    match loader.document() {
        Ok(node) => Ok(node.filter(|node| !node.is_null())),
        Err(Broken { at, message }) => {
            findings.error(&at, message);
            Err(Unreadable)
        }
    }
}

struct Loader<'t, 'f> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    findings: &'f Findings,
}

/// The YAML cannot be read any further.
struct Broken {
    at: Mark,
    message: String,
}

impl Broken {
    fn new(at: &Marker, message: impl Into<String>) -> Self {
        Self {
            at: mark(at),
            message: message.into(),
        }
    }
}

impl From<ScanError> for Broken {
    fn from(error: ScanError) -> Self {
        Self::new(error.marker(), format!("this is not YAML: {}", error.info()))
    }
}

fn mark(marker: &Marker) -> Mark {
    Mark::File {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

impl<'t> Loader<'t, '_> {
    fn document(&mut self) -> Result<Option<Node>, Broken> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(Broken::new(
                        &span.start,
                        "a second document begins; there can be only one",
                    ));
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                other => root = Some(self.node(other, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Broken> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Broken> {
        if depth > MAX_DEPTH {
            let message = format!("this is nested more than {MAX_DEPTH} levels deep");
            return Err(Broken::new(&span.start, message));
        }
        let at = mark(&span.start);
        let (kind, anchor) = match event {
            Event::Alias(anchor) => return self.copy(anchor, &span),
            Event::Scalar(text, style, anchor, tag) => {
                let style = self.style(style, tag.as_deref(), &at);
                let text = Arc::from(text.as_ref());
                (Kind::Scalar(Scalar { text, style }), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &at);
                (Kind::Sequence(self.sequence(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &at);
                (Kind::Mapping(self.mapping(depth)?), anchor)
            }
            _ => return Err(Broken::new(&span.start, "a value is missing here")),
        };
        let node = Node { at, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn copy(&mut self, anchor: usize, span: &Span) -> Result<Node, Broken> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Broken::new(
                &span.start,
                "this alias stands inside the value it refers to",
            ));
        };
        self.copied += node.weight();
        if self.copied > MAX_COPIED {
            return Err(Broken::new(&span.start, "the aliases of this file unfold to too much"));
        }
        Ok(node.clone())
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Broken> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Broken> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Kind::Scalar(scalar) = key.kind else {
                self.findings.error(&key.at, "a key must be a text");
                continue;
            };
            if scalar.style == Style::Plain && &*scalar.text == "<<" {
                merged.extend(self.merge(value));
                continue;
            }
            self.insert(
                &mut entries,
                Entry {
                    key: scalar.text.to_string(),
                    at: key.at,
                    value,
                },
            );
        }
        for entry in merged {
            // What stands in the mapping itself wins, and of several merged ones the first.
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    fn insert(&self, entries: &mut Vec<Entry>, entry: Entry) {
        match entries.iter().find(|other| other.key == entry.key) {
            None => entries.push(entry),
            Some(first) => {
                let Mark::File { line, .. } = first.at else { return };
                let message = format!("the key `{}` is there already, in line {line}", entry.key);
                self.findings.error(&entry.at, message);
            }
        }
    }

    /// The merge key of YAML 1.1 (<https://yaml.org/type/merge.html>), which Ansible's users know.
    fn merge(&self, value: Node) -> Vec<Entry> {
        match value.kind {
            Kind::Mapping(entries) => entries,
            Kind::Sequence(items) if items.iter().all(|item| matches!(item.kind, Kind::Mapping(_))) => {
                items.into_iter().flat_map(|item| self.merge(item)).collect()
            }
            Kind::Sequence(_) | Kind::Scalar(_) => {
                self.findings
                    .error(&value.at, "`<<` takes a mapping, or a list of mappings");
                Vec::new()
            }
        }
    }

    fn style(&self, style: ScalarStyle, tag: Option<&Tag>, at: &Mark) -> Style {
        if tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str") {
            return Style::Block;
        }
        self.refuse_tag(tag, at);
        match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        }
    }

    fn refuse_tag(&self, tag: Option<&Tag>, at: &Mark) {
        if let Some(tag) = tag {
            self.findings
                .error(at, format!("the tag `{tag}` is not supported; only `!!str` is"));
        }
    }
}

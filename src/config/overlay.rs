//! Lays the environment over the file through the `config` crate, and keeps the place of every value.

use std::collections::HashMap;

use config::{Config, ConfigError, Environment, Source, Value, ValueKind};

use crate::config::diagnostic::Mark;
use crate::config::yaml::{Entry, Kind, Node, Scalar, Style};

/// What variables of settings begin with. `HEALGATE_URL` and `HEALGATE_TOKEN` are the clients' own.
const PREFIX: &str = "HEALGATE";
const SEPARATOR: &str = "__";

/// The file's values with those of the environment in their stead.
pub(crate) fn overlay(file: &Node, environment: &[(String, String)]) -> Result<Node, ConfigError> {
    let variables = Environment::with_prefix(PREFIX)
        .separator(SEPARATOR)
        .source(Some(environment.iter().cloned().collect()));
    let merged = Config::builder()
        .add_source(File(file.clone()))
        .add_source(variables)
        .build()?;
    Ok(restore(merged.cache, Some(file), PREFIX))
}

/// Hands the tree to the `config` crate. It carries no places: they are found again by the path of keys.
#[derive(Clone, Debug)]
struct File(Node);

impl Source for File {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<HashMap<String, Value>, ConfigError> {
        match plain(&self.0).kind {
            ValueKind::Table(table) => Ok(table),
            _ => Ok(HashMap::new()),
        }
    }

    /// Key by key: the default would take a dot in a key for a path.
    fn collect_to(&self, cache: &mut Value) -> Result<(), ConfigError> {
        *cache = self.collect()?.into();
        Ok(())
    }
}

fn plain(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar(_) if node.is_null() => Value::new(None, ValueKind::Nil),
        Kind::Scalar(scalar) => Value::from(&*scalar.text),
        Kind::Sequence(items) => Value::from(items.iter().map(plain).collect::<Vec<_>>()),
        Kind::Mapping(entries) => {
            let table = entries.iter().map(|entry| (entry.key.clone(), plain(&entry.value)));
            Value::from(table.collect::<HashMap<_, _>>())
        }
    }
}

/// `variable` is the name of the variable that would set this value.
fn restore(value: Value, file: Option<&Node>, variable: &str) -> Node {
    let from_environment = value.origin().is_some();
    match (value.kind, file) {
        (ValueKind::Table(table), _) => restore_table(table, file, variable),
        (ValueKind::Array(items), _) => restore_array(items, file, variable),
        (_, Some(node)) if !from_environment => node.clone(),
        (kind, _) => Node {
            at: Mark::Variable(variable.to_owned()),
            kind: Kind::Scalar(Scalar {
                text: Value::new(None, kind).into_string().unwrap_or_default().into(),
                style: Style::Variable,
            }),
        },
    }
}

/// Where the environment sets an item of a list, its variable has the index in brackets: `…__TOKENS[0]__NAME`.
fn restore_array(items: Vec<Value>, file: Option<&Node>, variable: &str) -> Node {
    let known = match file.map(|node| &node.kind) {
        Some(Kind::Sequence(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    let items = items.into_iter().enumerate().map(|(index, item)| {
        let variable = format!("{variable}[{index}]");
        restore(item, known.get(index), &variable)
    });
    Node {
        kind: Kind::Sequence(items.collect()),
        at: place(file, variable),
    }
}

fn place(file: Option<&Node>, variable: &str) -> Mark {
    file.map_or_else(|| Mark::Variable(variable.to_owned()), |node| node.at.clone())
}

fn restore_table(mut table: HashMap<String, Value>, file: Option<&Node>, variable: &str) -> Node {
    let name = |key: &str| format!("{variable}{SEPARATOR}{}", key.to_uppercase());
    let mut entries = Vec::new();
    if let Some(Node {
        kind: Kind::Mapping(known),
        ..
    }) = file
    {
        for entry in known {
            if let Some(value) = table.remove(&entry.key) {
                let value = restore(value, Some(&entry.value), &name(&entry.key));
                entries.push(Entry { value, ..entry.clone() });
            }
        }
    }
    let mut added: Vec<_> = table.into_iter().collect();
    added.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, value) in added {
        let variable = name(&key);
        let value = restore(value, None, &variable);
        let at = Mark::Variable(variable);
        entries.push(Entry { key, at, value });
    }
    Node {
        kind: Kind::Mapping(entries),
        at: place(file, variable),
    }
}

//! A playbook's `vars`: YAML in which every text is a template, and numbers, booleans and null stay what they are.

use serde_json::{Map, Number, Value};

use crate::catalog::template::{Template, Templates};
use crate::config::fields::Slot;
use crate::config::yaml::{Kind, Scalar, Type};

/// What every playbook receives from healgate.
const RESERVED: [&str; 2] = ["alert", "healgate"];

/// Python's keywords, which Ansible refuses as names of variables (`ansible.utils.vars.isidentifier`).
const KEYWORDS: &str = " False None True and as assert async await break class continue def del elif else except \
                        finally for from global if import in is lambda nonlocal not or pass raise return try while \
                        with yield ";

/// A compiled variable.
#[derive(Clone, Debug)]
pub(super) enum Var {
    Text(Template),
    Fixed(Value),
    List(Vec<Var>),
    Map(Vec<(String, Var)>),
}

impl Var {
    pub(super) fn render(&self, templates: &Templates, scope: &minijinja::Value) -> Result<Value, String> {
        match self {
            Self::Text(template) => Ok(Value::String(templates.render(template, scope)?)),
            Self::Fixed(value) => Ok(value.clone()),
            Self::List(items) => {
                let items = items.iter().map(|item| item.render(templates, scope));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(name, var)| Ok((name.clone(), var.render(templates, scope)?)));
                Ok(Value::Object(entries.collect::<Result<Map<_, _>, String>>()?))
            }
        }
    }
}

/// Why a name cannot be that of a variable.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if RESERVED.contains(&name) {
        return Err("is a name that healgate sets itself; choose another".to_owned());
    }
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !identifier || KEYWORDS.contains(&format!(" {name} ")) {
        return Err(
            "is no name for an Ansible variable: those have letters, digits and `_`, start with no digit, and are no \
             keyword of Python"
                .to_owned(),
        );
    }
    Ok(())
}

/// Why a person may not give a variable of that name to a run. `has` says whether the playbook's entry gives it one.
pub(super) fn check_by_hand(name: &str, has: bool) -> Result<(), String> {
    check_name(name)?;
    // `ansible_host` leads around the limit to any machine, `ansible_ssh_common_args` starts commands on this one.
    let connects = name.starts_with("ansible_") || name.starts_with("inventory_hostname");
    if connects && !has {
        return Err(
            "decides where and how Ansible connects; by hand it can only be set where the playbook's entry in \
             remediations.yml sets it too"
                .to_owned(),
        );
    }
    Ok(())
}

/// Compiles `vars`; answers with the variables, and with their texts as written.
pub(super) fn read(slot: &Slot<'_>, templates: &mut Templates) -> (Vec<(String, Var)>, Map<String, Value>) {
    let mut vars = Vec::new();
    let mut sources = Map::new();
    for (entry, value) in slot.named() {
        if let Err(problem) = check_name(&entry.key) {
            slot.findings.error(&entry.at, format!("`{}` {problem}", value.path));
        }
        if let Some((var, source)) = compile(&value, &format!("vars.{}", entry.key), templates) {
            vars.push((entry.key.clone(), var));
            sources.insert(entry.key.clone(), source);
        }
    }
    (vars, sources)
}

fn compile(slot: &Slot<'_>, key: &str, templates: &mut Templates) -> Option<(Var, Value)> {
    match &slot.node.kind {
        Kind::Scalar(scalar) => compile_scalar(slot, scalar, key, templates),
        Kind::Sequence(_) => {
            let items = slot.items();
            let items = items.iter().enumerate();
            let compiled = items.filter_map(|(index, item)| compile(item, &format!("{key}[{index}]"), templates));
            let (vars, sources): (Vec<_>, Vec<_>) = compiled.unzip();
            Some((Var::List(vars), Value::Array(sources)))
        }
        Kind::Mapping(_) => {
            let mut vars = Vec::new();
            let mut sources = Map::new();
            for (entry, value) in slot.named() {
                if let Some((var, source)) = compile(&value, &format!("{key}.{}", entry.key), templates) {
                    vars.push((entry.key.clone(), var));
                    sources.insert(entry.key.clone(), source);
                }
            }
            Some((Var::Map(vars), Value::Object(sources)))
        }
    }
}

fn compile_scalar(slot: &Slot<'_>, scalar: &Scalar, key: &str, templates: &mut Templates) -> Option<(Var, Value)> {
    if scalar.is_old_octal() {
        slot.error(&format!(
            "is a number that Ansible's YAML reads to the base of 8; quote it to mean the text: \"{}\"",
            scalar.text
        ));
        return None;
    }
    let value = match scalar.resolve() {
        Type::Null => Value::Null,
        Type::Bool(value) => Value::Bool(value),
        Type::Int(value) => Value::from(value),
        Type::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        Type::Text => {
            if let Some(truth) = scalar.old_boolean() {
                slot.warn(&format!(
                    "is the text {:?} here, though Ansible's YAML reads a boolean; write {truth}, or quote it",
                    &*scalar.text
                ));
            }
            let source = Value::String(scalar.text.to_string());
            return match templates.add(key, &scalar.text) {
                Ok(template) => Some((Var::Text(template), source)),
                Err(bad) => {
                    slot.error_inside(bad.offset, &format!("is no valid template: {}", bad.message));
                    None
                }
            };
        }
    };
    Some((Var::Fixed(value.clone()), value))
}

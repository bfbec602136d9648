//! Writes the extra variables of a run so that Ansible never evaluates a text that came from outside. Writes no file.
//!
//! Extra variables are templates, also those of `-e @file` and also since ansible-core 2.19, which marks that file as
//! trusted (`load_extra_vars` in ansible/utils/vars.py). So each text carries the tag `!unsafe`.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::domain::alert::{Alert, AlertStatus};

/// What a playbook is told about its run, as the variable `healgate`.
#[derive(Clone, Debug)]
pub struct About<'a> {
    pub job_id: String,
    pub attempt: u32,
    pub route: Option<&'a str>,
    pub playbook: &'a str,
    /// The job's page.
    pub url: String,
}

/// The bytes of `vars.yml`: the configured variables, `alert` and `healgate`, in pure ASCII.
pub fn yaml(vars: &Map<String, Value>, alert: Option<&Alert>, about: &About<'_>) -> Vec<u8> {
    let mut all = vars.clone();
    // Last, so that no variable of a playbook can stand in for them.
    all.insert("alert".into(), alert.map_or(Value::Null, alert_value));
    all.insert(
        "healgate".into(),
        json!({
            "job_id": about.job_id, "attempt": about.attempt, "route": about.route,
            "playbook": about.playbook, "url": about.url,
        }),
    );
    let mut out = String::from("---\n");
    mapping(&mut out, &all, 0);
    out.into_bytes()
}

fn alert_value(alert: &Alert) -> Value {
    json!({
        "status": match alert.status { AlertStatus::Firing => "firing", AlertStatus::Resolved => "resolved" },
        "labels": alert.labels,
        "annotations": alert.annotations,
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "fingerprint": alert.fingerprint,
        "generator_url": alert.generator_url,
    })
}

fn mapping(out: &mut String, map: &Map<String, Value>, depth: usize) {
    for (key, value) in map {
        // The long form of a key: the short one ends at 1,024 characters.
        indent(out, depth);
        out.push_str("? ");
        scalar(out, key);
        out.push('\n');
        indent(out, depth);
        out.push(':');
        node(out, value, depth);
    }
}

fn node(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push_str(" null\n"),
        Value::Bool(flag) => {
            let _ = writeln!(out, " {flag}");
        }
        Value::Number(number) => {
            let _ = writeln!(out, " {}", yaml_number(&number.to_string()));
        }
        Value::String(text) => {
            out.push(' ');
            scalar(out, text);
            out.push('\n');
        }
        Value::Array(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Array(items) => {
            out.push('\n');
            for item in items {
                indent(out, depth + 1);
                out.push('-');
                node(out, item, depth + 1);
            }
        }
        Value::Object(map) if map.is_empty() => out.push_str(" {}\n"),
        Value::Object(map) => {
            out.push('\n');
            mapping(out, map, depth + 1);
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// YAML 1.1, as PyYAML reads it, takes `1e5` for a text: a float needs its dot and a signed exponent.
fn yaml_number(number: &str) -> String {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else {
        return number.to_owned();
    };
    let dot = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['+', '-']) { "" } else { "+" };
    format!("{mantissa}{dot}e{sign}{exponent}")
}

fn scalar(out: &mut String, text: &str) {
    // ansible-core 2.19 looks again at what an `!unsafe` text could be: `!unsafe "123"` is a number there. Such words
    // stay texts when they are only quoted, and none of them can hold a template.
    if !reads_as_something_else(text) {
        out.push_str("!unsafe ");
    }
    out.push('"');
    for character in text.chars() {
        escaped(out, character);
    }
    out.push('"');
}

/// Covers all that PyYAML's implicit resolvers know (yaml/resolver.py), and a little more.
fn reads_as_something_else(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "", "~", "=", "<<", "null", "yes", "no", "true", "false", "on", "off", ".nan", ".inf", "+.inf", "-.inf",
    ];
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | ':' | ' ' | '\t'))
}

fn escaped(out: &mut String, character: char) {
    let code = u32::from(character);
    let _ = match character {
        '"' => write!(out, "\\\""),
        '\\' => write!(out, "\\\\"),
        ' '..='~' => write!(out, "{character}"),
        _ if code <= 0xff => write!(out, "\\x{code:02X}"),
        _ if code <= 0xffff => write!(out, "\\u{code:04X}"),
        _ => write!(out, "\\U{code:08X}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About<'static> {
        About {
            job_id: "j".into(),
            attempt: 1,
            route: None,
            playbook: "p",
            url: "http://h/jobs/j".into(),
        }
    }

    #[test]
    fn texts_are_unsafe_and_everything_else_is_plain() {
        let vars = json!({"n": 1, "f": 1e30, "b": true, "list": ["{{ x }}", 2, [], {"k": "v"}], "e": {}});
        let written = yaml(vars.as_object().unwrap(), None, &about());
        insta::assert_snapshot!(String::from_utf8(written).unwrap(), @r#"
        ---
        ? !unsafe "n"
        : 1
        ? !unsafe "f"
        : 1.0e+30
        ? !unsafe "b"
        : true
        ? !unsafe "list"
        :
          - !unsafe "{{ x }}"
          - 2
          - []
          -
            ? !unsafe "k"
            : !unsafe "v"
        ? !unsafe "e"
        : {}
        ? !unsafe "alert"
        : null
        ? !unsafe "healgate"
        :
          ? !unsafe "job_id"
          : !unsafe "j"
          ? !unsafe "attempt"
          : 1
          ? !unsafe "route"
          : null
          ? !unsafe "playbook"
          : !unsafe "p"
          ? !unsafe "url"
          : !unsafe "http://h/jobs/j"
        "#);
    }

    #[test]
    fn what_no_parser_would_take_is_escaped() {
        let mut out = String::new();
        scalar(&mut out, "a\u{0}\u{7f}\u{85}\u{feff}\u{1f600}\n\"\\é");
        assert_eq!(out, r#"!unsafe "a\x00\x7F\x85\uFEFF\U0001F600\x0A\"\\\xE9""#);
    }

    #[test]
    fn words_that_mean_something_to_yaml_stay_texts_and_hold_no_template() {
        for word in [
            "123",
            "true",
            "Yes",
            "~",
            "",
            "=",
            "<<",
            "-1.5e+3",
            "2026-01-31 09:00:00",
            "0x1F",
            "1:30",
        ] {
            let mut out = String::new();
            scalar(&mut out, word);
            assert_eq!(out, format!("\"{word}\""));
        }
        for text in ["1{{ x }}", "-{% x %}", "web1", ".#jinja2: x"] {
            let mut out = String::new();
            scalar(&mut out, text);
            assert!(out.starts_with("!unsafe "), "{out}");
        }
    }

    #[test]
    fn a_variable_cannot_stand_in_for_the_alert() {
        let vars = json!({"alert": "forged", "healgate": "forged"});
        let written = String::from_utf8(yaml(vars.as_object().unwrap(), None, &about())).unwrap();
        assert!(!written.contains("forged"));
    }
}

//! Every key of healgate.yml and remediations.yml, from the tables that the parser goes by.

use super::{begin, head, row};
use crate::config::fields::Key;
use crate::config::fields::keys::{Below, Keys};

pub(super) fn page() -> String {
    let about = "Every key that the parser knows. [Configuration](../configuration.md) says how they work together.\n\n\
                 `name.key` is a key below another one, `name[]` an item of a list, `NAME` a name that you choose. \
                 Durations are whole numbers with a unit: `30s`, `5m`, `1h`, `7d`, also joined: `1h30m`. Relative paths are \
                 relative to the folder of healgate.yml.";
    let mut page = begin("Every key", about);
    for (file, keys) in [
        ("healgate.yml", &crate::config::KEYS),
        ("remediations.yml", &crate::catalog::KEYS),
    ] {
        page.push_str(&format!("\n## {file}\n"));
        section(&mut page, "", keys);
    }
    page
}

fn section(page: &mut String, path: &str, keys: &Keys) {
    if !path.is_empty() {
        page.push_str(&format!("\n### `{path}`\n"));
    }
    page.push_str(&head(&["key", "default", ""]));
    for key in keys.known {
        let default = match key.default {
            Key::REQUIRED => "**required**",
            default => default,
        };
        page.push_str(&row(&[&format!("`{}`", key.name), default, key.means]));
    }
    for key in keys.known {
        let path = match path {
            "" => key.name.to_owned(),
            path => format!("{path}.{}", key.name),
        };
        match key.below {
            Below::Nothing => {}
            Below::Mapping(keys) => section(page, &path, keys),
            Below::List(keys) => section(page, &format!("{path}[]"), keys),
            Below::Named(keys) => section(page, &format!("{path}.NAME"), keys),
        }
    }
}

#[cfg(test)]
mod tests;

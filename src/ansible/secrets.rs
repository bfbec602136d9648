//! A run's secrets: which files have them, and what these say when the run begins. Stores and shows no value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ansible::command::Environment;
use crate::domain::parameters::Parameters;

/// Tells the callback plugin, in JSON, what to mask: the contents of `files`, the values of `variables`.
pub(crate) const VARIABLE: &str = "HEALGATE_SECRETS";

/// What a file with a secret may have, and all of a run's together: what they are looked for with takes memory.
const FILE_BYTES: u64 = 64 << 10;
const ALL_BYTES: usize = 256 << 10;

/// A line of a file with several lines counts as a secret from here on.
const LINE_BYTES: usize = 4;

/// Ansible prints results as JSON; what a command printed may be JSON itself, with a text of JSON inside.
const JSON_DEPTH: usize = 3;

/// The files with a run's secrets. Paths only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretFiles {
    /// By the name of the environment variable.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env_files: BTreeMap<String, PathBuf>,
    /// Those that the playbook's entry names under `secrets`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_files: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_password_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
}

/// What the files say.
#[derive(Default)]
pub(crate) struct Secrets {
    values: Vec<Vec<u8>>,
    named: Named,
    bytes: usize,
}

/// Where the values can be found.
#[derive(Debug, Default, Serialize)]
struct Named {
    files: BTreeSet<PathBuf>,
    /// Not their files, as these may say something else by then.
    variables: BTreeSet<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}

impl SecretFiles {
    /// Those that the parameters name; relative paths begin at `base`.
    pub fn of(parameters: &Parameters, base: &Path) -> Self {
        let own = parameters
            .env_files
            .iter()
            .filter(|(name, _)| !name.starts_with("HEALGATE"));
        Self {
            env_files: own.map(|(name, path)| (name.clone(), base.join(path))).collect(),
            secret_files: parameters.secrets.iter().map(|path| base.join(path)).collect(),
            vault_password_file: parameters.vault_password_file.as_ref().map(|path| base.join(path)),
            private_key_file: parameters.private_key_file.as_ref().map(|path| base.join(path)),
        }
    }

    /// Completes the environment with what the files say now, and answers with what must not be in a log. The error
    /// names the variable and the file, never a value.
    pub(crate) fn resolve(&self, env: &Environment) -> io::Result<(Environment, Secrets)> {
        let mut env = env.clone();
        let mut secrets = Secrets::default();
        for (name, path) in &self.env_files {
            let about = |error: io::Error| {
                let message = format!(
                    "cannot set the environment variable {name} from {}: {error}",
                    path.display()
                );
                io::Error::new(error.kind(), message)
            };
            let content = read(path).map_err(about)?;
            env.insert(name.clone(), value(&content).map_err(about)?);
            secrets.add(&content).map_err(about)?;
            secrets.named.variables.insert(name.clone());
        }
        for path in &self.secret_files {
            let about = |error: io::Error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot read the secret file {}: {error}", path.display()),
                )
            };
            let content = read(path).map_err(about)?;
            secrets.add(&content).map_err(about)?;
            secrets.named.files.insert(path.clone());
        }
        // Where one of these cannot be read, Ansible cannot read it either, and says so if it needs it.
        let password = self.vault_password_file.iter().filter(|path| !is_program(path));
        for path in password.chain(&self.private_key_file) {
            if let Ok(content) = read(path) {
                secrets.add(&content)?;
                secrets.named.files.insert(path.clone());
            }
        }
        if !secrets.values.is_empty() {
            env.insert(VARIABLE.to_owned(), serde_json::to_string(&secrets.named)?);
        }
        Ok((env, secrets))
    }
}

/// All of the file. Never waits: a pipe is no file, and what it has would be missing to Ansible.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {} KiB", FILE_BYTES >> 10)));
    }
    Ok(content)
}

/// What a variable gets: the file's text without the line break at its end.
fn value(content: &[u8]) -> io::Result<String> {
    let text = std::str::from_utf8(content).map_err(|_| io::Error::other("it is not UTF-8"))?;
    if text.contains('\0') {
        return Err(io::Error::other("it has a NUL byte"));
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Ansible runs a vault password file that is executable, and takes what it prints.
fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

impl Secrets {
    fn add(&mut self, content: &[u8]) -> io::Result<()> {
        self.bytes += content.len();
        if self.bytes > ALL_BYTES {
            let message = format!("the run's secrets have more than {} KiB together", ALL_BYTES >> 10);
            return Err(io::Error::other(message));
        }
        let whole = content.trim_ascii();
        self.values.push(whole.to_vec());
        let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        self.values
            .extend(lines.filter(|line| line.len() >= LINE_BYTES).map(<[u8]>::to_vec));
        Ok(())
    }

    /// All that must not be in a log: the values as they are, and as JSON has them, also when it is itself in JSON.
    pub(crate) fn forms(&self) -> BTreeSet<Vec<u8>> {
        let mut forms = BTreeSet::new();
        for value in self.values.iter().filter(|value| !value.is_empty()) {
            forms.insert(value.clone());
            let Ok(text) = std::str::from_utf8(value) else {
                continue;
            };
            let mut texts = BTreeSet::from([text.to_owned()]);
            for _ in 0..JSON_DEPTH {
                texts = texts.iter().flat_map(|text| json(text)).collect();
                forms.extend(texts.iter().map(|text| text.clone().into_bytes()));
            }
        }
        forms
    }
}

/// The text inside JSON's quotes: with its characters as they are, and in pure ASCII, as Python writes both.
fn json(text: &str) -> [String; 2] {
    let quoted = serde_json::Value::from(text).to_string();
    let raw = quoted[1..quoted.len() - 1].to_owned();
    let mut ascii = String::new();
    for character in raw.chars() {
        if matches!(character, ' '..='~') {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    [raw, ascii]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn named(path: PathBuf) -> SecretFiles {
        SecretFiles {
            secret_files: vec![path],
            ..SecretFiles::default()
        }
    }

    fn forms_of(content: &[u8]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let files = named(file(&dir, "s", content));
        let (_, secrets) = files.resolve(&Environment::new()).unwrap();
        let forms = secrets.forms().into_iter();
        forms.map(|form| String::from_utf8_lossy(&form).into_owned()).collect()
    }

    #[test]
    fn a_file_is_masked_as_a_whole_and_by_its_lines() {
        assert_eq!(forms_of(b" hunter2 \n"), ["hunter2"]);
        assert_eq!(forms_of(b"x"), ["x"]);
        assert_eq!(forms_of(b"\n \n"), [] as [&str; 0]);
        assert_eq!(
            forms_of(b"abcd\r\nx\n  efgh\n"),
            [
                "abcd",
                "abcd\r\nx\n  efgh",
                r"abcd\\\\r\\\\nx\\\\n  efgh",
                r"abcd\\r\\nx\\n  efgh",
                r"abcd\r\nx\n  efgh",
                "efgh"
            ]
        );
        assert_eq!(forms_of(b"\xffsecret"), ["\u{fffd}secret"]);
    }

    #[test]
    fn the_forms_of_json_are_masked_too() {
        let forms = forms_of("a\"b\\é😀\u{7f}".as_bytes());
        for form in [
            "a\"b\\é😀\u{7f}",
            "a\\\"b\\\\é😀\u{7f}",
            r#"a\"b\\\u00e9\ud83d\ude00\u007f"#,
            r#"a\\\"b\\\\\\u00e9\\ud83d\\ude00\\u007f"#,
        ] {
            assert!(forms.contains(&form.to_owned()), "{form} is not among {forms:#?}");
        }
    }

    #[test]
    fn a_variable_gets_the_files_text_without_its_last_line_break() {
        for (content, wanted) in [("v\n", "v"), (" v \r\n", " v "), ("a\nb\n\n", "a\nb\n"), ("", "")] {
            let dir = tempfile::tempdir().unwrap();
            let path = file(&dir, "token", content.as_bytes());
            let files = SecretFiles {
                env_files: [("TOKEN".to_owned(), path.clone())].into(),
                ..SecretFiles::default()
            };
            let (env, _) = files.resolve(&[("PATH".to_owned(), "/bin".to_owned())].into()).unwrap();
            assert_eq!(env["TOKEN"], wanted);
            assert_eq!(env["PATH"], "/bin");
            assert_eq!(env[VARIABLE], r#"{"files":[],"variables":["TOKEN"]}"#);
            let files = SecretFiles {
                secret_files: vec![path.clone()],
                ..files
            };
            let (env, _) = files.resolve(&Environment::new()).unwrap();
            let named = serde_json::json!({"files": [path], "variables": ["TOKEN"]});
            assert_eq!(env[VARIABLE], named.to_string());
        }
    }

    #[test]
    fn an_error_names_variable_and_file_and_never_a_value() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![b'x'; 64 << 10];
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
        for (path, problem) in [
            (file(&dir, "nul", b"hunter2\0"), "it has a NUL byte"),
            (file(&dir, "latin1", b"hunter2\xff"), "it is not UTF-8"),
            (
                file(&dir, "long", &[&b"hunter2"[..], &long].concat()),
                "it has more than 64 KiB",
            ),
            (dir.path().join("gone"), "No such file or directory (os error 2)"),
            (fifo, "it is no file"),
        ] {
            let files = SecretFiles {
                env_files: [("TOKEN".to_owned(), path.clone())].into(),
                ..SecretFiles::default()
            };
            let error = files.resolve(&Environment::new()).unwrap_err().to_string();
            let wanted = format!(
                "cannot set the environment variable TOKEN from {}: {problem}",
                path.display()
            );
            assert_eq!(error, wanted);
        }
        let error = named("/nowhere/token".into()).resolve(&Environment::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read the secret file /nowhere/token: No such file"),
            "{error}"
        );
    }

    #[test]
    fn a_password_program_and_a_missing_key_are_ansibles_affair() {
        let dir = tempfile::tempdir().unwrap();
        let program = file(&dir, "program", b"#!/bin/sh\necho hunter2\n");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
        let files = SecretFiles {
            vault_password_file: Some(program),
            private_key_file: Some("/nowhere/key".into()),
            ..SecretFiles::default()
        };
        let (env, secrets) = files.resolve(&Environment::new()).unwrap();
        assert!(env.is_empty() && secrets.forms().is_empty());
    }

    #[test]
    fn values_are_not_shown_by_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let (_, secrets) = named(file(&dir, "s", b"hunter2")).resolve(&Environment::new()).unwrap();
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}

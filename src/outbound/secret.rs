//! What a secret says now. Its text is in no error.

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::config::Secret;

/// No URL, key or password is longer.
const MOST_BYTES: u64 = 64 << 10;

/// The secret's text, without white space around it. Reads its file; never waits for a pipe. `what` names it in errors.
pub(crate) fn read(secret: &Secret, what: &str) -> Result<String, String> {
    match secret {
        Secret::File(path) => from_file(path, what),
        Secret::Inline(text) if text.trim().is_empty() => Err(format!("{what} is empty")),
        Secret::Inline(text) => Ok(text.trim().to_owned()),
    }
}

/// The same for one that is always in a file.
pub(crate) fn from_file(path: &Path, what: &str) -> Result<String, String> {
    from(path, what, FileType::is_file)
}

/// The same for one that a person names, who may wait for a pipe: `--token-file <(pass show healgate)`.
pub(crate) fn from_file_or_pipe(path: &Path, what: &str) -> Result<String, String> {
    from(path, what, |kind| kind.is_file() || kind.is_fifo())
}

fn from(path: &Path, what: &str, is_fine: impl Fn(&FileType) -> bool) -> Result<String, String> {
    let text = read_file(path, is_fine);
    let text = text.map_err(|error| format!("cannot read {what} from {}: {error}", path.display()))?;
    match text.trim() {
        "" => Err(format!("{what} is empty: {} says nothing", path.display())),
        text => Ok(text.to_owned()),
    }
}

fn read_file(path: &Path, is_fine: impl Fn(&FileType) -> bool) -> io::Result<String> {
    if !is_fine(&path.metadata()?.file_type()) {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is too large for a secret"));
    }
    String::from_utf8(text).map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_is_what_its_file_says_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secret = Secret::File(path.clone());
        for text in ["first\n", " second\r\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&secret, "the key").as_deref(), Ok(text.trim()));
        }
        assert_eq!(read(&Secret::Inline("x".to_owned()), "the key").as_deref(), Ok("x"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let told = |content: Option<&[u8]>| {
            let path = folder.path().join("key");
            let _ = fs::remove_file(&path);
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let error = read(&Secret::File(path), "the key").unwrap_err();
            error.replace(&folder.path().display().to_string(), "FOLDER")
        };
        assert_eq!(
            told(None),
            "cannot read the key from FOLDER/key: No such file or directory (os error 2)"
        );
        assert_eq!(told(Some(b" \n")), "the key is empty: FOLDER/key says nothing");
        assert_eq!(
            told(Some(b"\xff")),
            "cannot read the key from FOLDER/key: it is not UTF-8"
        );
        assert_eq!(
            told(Some(&[b'x'; 70_000])),
            "cannot read the key from FOLDER/key: it is too large for a secret"
        );
        let error = read(&Secret::File(folder.path().to_owned()), "the key").unwrap_err();
        assert!(error.ends_with("it is no file"), "{error}");
    }
}

//! Files and folders: who may read and write them, and how much room there is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use crate::cli::doctor::{Finding, Patient};
use crate::config::{Channel, Credentials, Peer, Secret};

/// With less than this, logs and backups soon find no room.
const LOW: u64 = 1 << 30;

/// With less than this, the gateway may stop taking alerts at any time.
const NONE: u64 = 100 << 20;

/// Fewer files than this may soon be made.
const FEW_FILES: u64 = 10_000;

const BY_OTHERS: u32 = 0o002;
const SEEN_BY_OTHERS: u32 = 0o004;

/// Whoever may write one of these may run commands as the gateway.
pub(super) fn settings(patient: &Patient) -> Vec<Finding> {
    let settings = &patient.settings;
    let mut findings = Vec::new();
    for warning in settings.warnings.iter().chain(patient.catalog.warnings()) {
        let advice = "`healgate check` shows it at its place.";
        findings.push(Finding::warning("settings", warning.to_string().trim_end(), advice));
    }
    let mut files = vec![
        settings.base.clone(),
        settings.file.clone(),
        settings.remediations.clone(),
    ];
    files.extend(settings.ansible.config_file.clone());
    for playbook in patient.catalog.playbooks() {
        files.push(settings.base.join(&playbook.path));
        files.push(settings.base.join(&playbook.inventory));
    }
    files.sort();
    files.dedup();
    let open: Vec<PathBuf> = files
        .into_iter()
        .filter(|file| fs::metadata(file).is_ok_and(|found| found.mode() & BY_OTHERS != 0))
        .collect();
    findings.extend(open.iter().map(|file| {
        let message = format!(
            "everyone on this machine may write {}, and so run commands as the gateway",
            file.display()
        );
        Finding::failed("settings", message, format!("chmod o-w {}", file.display()))
    }));
    if open.is_empty() {
        let message = format!(
            "{} and what it names can be read, and only their owners may write them",
            settings.file.display()
        );
        findings.push(Finding::ok("settings", message));
    }
    findings
}

/// Files whose contents are secrets.
pub(super) fn secrets(patient: &Patient) -> Vec<Finding> {
    let files = secret_files(patient);
    let findings: Vec<Finding> = files.iter().filter_map(|file| judge_secret(file)).collect();
    match (findings.is_empty(), files.len()) {
        (false, _) => findings,
        (true, 0) => vec![Finding::ok("secrets", "no file with a secret is named")],
        (true, count) => {
            let files = if count == 1 {
                "the file with a secret".to_owned()
            } else {
                format!("the {count} files with secrets")
            };
            vec![Finding::ok(
                "secrets",
                format!("{files} can be read, and not by everyone"),
            )]
        }
    }
}

fn secret_files(patient: &Patient) -> Vec<PathBuf> {
    let settings = &patient.settings;
    let mut files: Vec<PathBuf> = Vec::new();
    let peers = settings.alertmanagers.iter().chain(&settings.prometheus);
    files.extend(peers.filter_map(credentials));
    for notifier in &settings.notifiers {
        let secrets: Vec<&Secret> = match &notifier.channel {
            Channel::Slack(slack) => vec![&slack.url],
            Channel::Webhook(webhook) => std::iter::once(&webhook.url).chain(&webhook.secret).collect(),
            Channel::Email(email) => email.login.iter().map(|login| &login.password).collect(),
        };
        files.extend(secrets.into_iter().filter_map(|secret| match secret {
            Secret::File(path) => Some(path.clone()),
            Secret::Inline(_) => None,
        }));
    }
    files.extend(settings.auth.grafana.iter().map(|grafana| grafana.secret_file.clone()));
    for playbook in patient.catalog.playbooks() {
        let named = playbook.secrets.iter().chain(playbook.env_files.values());
        let named = named
            .chain(&playbook.vault_password_file)
            .chain(&playbook.private_key_file);
        files.extend(named.map(|file| settings.base.join(file)));
    }
    files.sort();
    files.dedup();
    files
}

fn credentials(peer: &Peer) -> Option<PathBuf> {
    match peer.credentials.as_ref()? {
        Credentials::Basic { password_file, .. } => Some(password_file.clone()),
        Credentials::Bearer { file } => Some(file.clone()),
    }
}

/// What is wrong with it, if anything.
fn judge_secret(file: &Path) -> Option<Finding> {
    let name = file.display();
    let found = match fs::metadata(file) {
        Ok(found) => found,
        Err(error) => {
            let advice = "Write it, or take its name out of the settings.";
            return Some(Finding::failed(
                "secrets",
                format!("{name} cannot be read: {error}"),
                advice,
            ));
        }
    };
    if access(file, Access::READ_OK).is_err() {
        let advice = format!(
            "chown or chmod it, so that the user that runs the gateway can: {}",
            owner(&found)
        );
        return Some(Finding::failed(
            "secrets",
            format!("{name} cannot be read by this user"),
            advice,
        ));
    }
    (found.is_file() && found.mode() & SEEN_BY_OTHERS != 0).then(|| {
        let message = format!("everyone on this machine may read {name}");
        Finding::warning("secrets", message, format!("chmod o-r {name}"))
    })
}

fn owner(found: &fs::Metadata) -> String {
    format!(
        "it belongs to the user {} and is {:04o}",
        found.uid(),
        found.mode() & 0o7777
    )
}

/// Where runs and records are.
pub(super) fn data(patient: &Patient) -> Vec<Finding> {
    let settings = &patient.settings;
    let mut findings = vec![judge_data(&settings.data_dir)];
    let database = &settings.database.path;
    match fs::metadata(database) {
        Ok(_) if access(database, Access::READ_OK | Access::WRITE_OK).is_err() => {
            let message = format!("this user may not write the database {}", database.display());
            findings.push(Finding::failed("data", message, AS_THE_GATEWAY));
        }
        Ok(found) => {
            let message = format!("the database {} has {} MiB", database.display(), found.len() >> 20);
            findings.push(Finding::ok("data", message));
        }
        // The first start makes it.
        Err(_) => {}
    }
    findings
}

const AS_THE_GATEWAY: &str = "Run this as the user that runs the gateway, or give that user the folder with chown -R.";

fn judge_data(dir: &Path) -> Finding {
    let name = dir.display();
    let Ok(found) = fs::metadata(dir) else {
        let parent = nearest(dir);
        return match access(&parent, Access::WRITE_OK) {
            Ok(()) => Finding::ok("data", format!("{name} is not there yet; the first start makes it")),
            Err(_) => {
                let message = format!(
                    "{name} is not there, and this user may not make it in {}",
                    parent.display()
                );
                Finding::failed("data", message, AS_THE_GATEWAY)
            }
        };
    };
    if !found.is_dir() {
        return Finding::failed(
            "data",
            format!("{name} is no folder"),
            "Name another one in `data_dir`.",
        );
    }
    if access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Finding::failed("data", format!("this user may not write to {name}"), AS_THE_GATEWAY);
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        let message = format!(
            "{name} belongs to the user {}, who is not the one that runs this",
            found.uid()
        );
        return Finding::warning("data", message, AS_THE_GATEWAY);
    }
    if found.mode() & 0o077 != 0 {
        let message = format!("{name} can be entered by others; runs with their variables and logs are in it");
        return Finding::warning("data", message, format!("chmod 700 {name}; a start does so too"));
    }
    Finding::ok("data", format!("{name} is private, and can be written"))
}

/// The folder itself, or the first one above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|folder| folder.is_dir());
    there.unwrap_or(Path::new("/")).to_path_buf()
}

/// Room where runs and records are.
pub(super) fn disk(patient: &Patient) -> Vec<Finding> {
    let settings = &patient.settings;
    let database = settings.database.path.parent().unwrap_or(Path::new("/"));
    let mut folders = vec![nearest(&settings.data_dir), nearest(database)];
    folders.dedup();
    folders.iter().map(|folder| judge_disk(folder)).collect()
}

fn judge_disk(folder: &Path) -> Finding {
    let name = folder.display();
    let found = match statvfs(folder) {
        Ok(found) => found,
        Err(error) => {
            return Finding::failed(
                "disk",
                format!("nobody knows how much room {name} has: {error}"),
                "Look at the disk.",
            );
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let advice = "Make room, or let `retention` in healgate.yml keep less.";
    let room = format!("{} MiB are free at {name}", free >> 20);
    match free {
        _ if found.f_files > 0 && found.f_favail < FEW_FILES => Finding::warning(
            "disk",
            format!("only {} more files can be made at {name}", found.f_favail),
            advice,
        ),
        0..NONE => Finding::failed("disk", room, advice),
        NONE..LOW => Finding::warning("disk", room, advice),
        LOW.. => Finding::ok("disk", room),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn a_secret_that_everyone_may_read_or_nobody_can_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        assert_eq!(judge_secret(&file).unwrap().state, State::Failed);
        fs::write(&file, "x").unwrap();
        for (mode, state) in [(0o600, None), (0o640, None), (0o644, Some(State::Warning))] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(judge_secret(&file).map(|finding| finding.state), state, "{mode:o}");
        }
    }

    #[test]
    fn a_data_folder_is_private_or_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("var");
        assert!(judge_data(&dir).message.contains("the first start makes it"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(judge_data(&dir).state, State::Warning);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(judge_data(&dir).state, State::Ok);
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(judge_data(&folder.path().join("file")).state, State::Failed);
    }
}

//! Which run directories there are, and what a status comes to.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use crate::ansible::rundir::{How, Killed, Runs, Status};
use crate::domain::ids::JobId;

impl Runs {
    /// Every run that has a directory. What is not named like one is left alone.
    pub fn list(&self) -> io::Result<Vec<(JobId, u32)>> {
        let mut found = Vec::new();
        for job in named::<JobId>(&self.root)? {
            let attempts = named::<u32>(&self.root.join(job.to_string()))?;
            found.extend(attempts.into_iter().map(|attempt| (job, attempt)));
        }
        Ok(found)
    }

    /// Removes the directories of jobs that have no attempt in them: a process that was killed may leave one.
    pub fn remove_empty(&self) -> io::Result<()> {
        for job in named::<JobId>(&self.root)? {
            // Fails where there is an attempt.
            let _ = fs::remove_dir(self.root.join(job.to_string()));
        }
        Ok(())
    }
}

impl Status {
    /// The exit code of `ansible-playbook`, if it ended by itself.
    pub fn exit_code(&self) -> Option<i32> {
        match self.how {
            How::Exited { code } => Some(code),
            How::Signaled { .. } | How::StartFailed { .. } | How::NotStarted => None,
        }
    }
}

/// The processes, as people read them.
pub(crate) fn names(processes: &[Killed]) -> String {
    let names: Vec<String> = processes.iter().map(|p| format!("{} ({})", p.name, p.pid)).collect();
    names.join(", ")
}

fn named<T: FromStr>(folder: &Path) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    Ok(found)
}

//! What became of a run, as a gateway that was away finds it.

use std::io;

use rustix::fs::FlockOperation;

use crate::ansible::rundir::{RunDir, Status, lock_file, mark, try_lock, wait_for_lock};

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Its host lives.
    Live,
    /// It ended, and everything about it is complete.
    Ended(Box<Status>),
    /// The playbook never began, and never will.
    NeverStarted,
    /// It may have begun, and its host is gone without a word.
    Vanished,
}

impl RunDir {
    /// What became of the run. For recovery and for after the host's end, not for a run that was just started: a run
    /// whose host has not come up yet is given up for good by this question.
    pub fn state(&self) -> io::Result<RunState> {
        if !self.path().exists() {
            return Ok(RunState::NeverStarted);
        }
        if let Some(status) = self.status()? {
            return Ok(RunState::Ended(Box::new(status)));
        }
        let lock = lock_file(self.path())?;
        if !try_lock(&lock)? {
            return Ok(RunState::Live);
        }
        // The host may have ended between the first look and the lock.
        if let Some(status) = self.status()? {
            return Ok(RunState::Ended(Box::new(status)));
        }
        // From here on a host that comes late sees that it is not wanted. It cannot come in between: it would need the
        // lock, and writes `started.json` only with it.
        if !self.file("abandoned").exists() {
            mark(self.path(), "abandoned", b"")?;
        }
        if self.file("started.json").exists() {
            return Ok(RunState::Vanished);
        }
        Ok(RunState::NeverStarted)
    }

    /// Waits until the host is gone, however it goes. Blocks its thread; for a run whose host was seen to live.
    pub fn wait_for_host(&self) -> io::Result<()> {
        let lock = match lock_file(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        wait_for_lock(&lock, FlockOperation::LockShared)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::ansible::rundir::{How, Order, Reserved, RunSpec, Runs, STATUS_BYTES, Stop, StopKind};
    use crate::clock::{Clock, Ids, SystemClock};
    use crate::domain::attempt::Start;

    fn create() -> (tempfile::TempDir, Runs, RunSpec, RunDir) {
        let data = tempfile::tempdir().unwrap();
        let runs = Runs::new(data.path());
        let spec = RunSpec {
            job: Ids::default().job(SystemClock.now()),
            attempt: 1,
            argv: vec!["true".into()],
            env: BTreeMap::new(),
            secrets: Default::default(),
            cwd: "/".into(),
            vars: b"{}".to_vec(),
            limit: None,
            time_limit: Duration::from_secs(5),
            grace: Duration::from_secs(1),
            log_cap: 1 << 20,
            sockets: data.path().join("cp"),
        };
        let run = runs.create(&spec).unwrap();
        (data, runs, spec, run)
    }

    fn status() -> Status {
        Status {
            how: How::Exited { code: 2 },
            stopped: None,
            started_at: SystemClock.now(),
            finished_at: SystemClock.now(),
            took: Some(Duration::from_millis(1_500)),
            log_bytes: 3,
            log_truncated: false,
            log_lost: 0,
            killed: Vec::new(),
            start: None,
        }
    }

    #[test]
    fn a_run_whose_host_holds_the_lock_lives() {
        let (_data, runs, spec, run) = create();
        let lock = lock_file(run.path()).unwrap();
        assert!(try_lock(&lock).unwrap());
        assert_eq!(run.state().unwrap(), RunState::Live);
        assert!(runs.create(&spec).is_err(), "a live run's directory was replaced");
        drop(lock);
        assert_eq!(run.state().unwrap(), RunState::NeverStarted);
    }

    #[test]
    fn a_run_that_may_have_begun_and_said_nothing_has_vanished() {
        let (_data, _, _, run) = create();
        mark(run.path(), "started.json", b"{}").unwrap();
        assert_eq!(run.state().unwrap(), RunState::Vanished);
        assert!(run.file("abandoned").exists());
    }

    #[test]
    fn a_status_is_read_back_as_it_was_written() {
        let (_data, _, _, run) = create();
        let reserved = Reserved::reserve(run.path(), "status.json", STATUS_BYTES).unwrap();
        reserved.publish(&serde_json::to_vec(&status()).unwrap()).unwrap();
        let RunState::Ended(read) = run.state().unwrap() else {
            panic!("not ended")
        };
        assert_eq!(read.how, How::Exited { code: 2 });
    }

    #[test]
    fn a_directory_given_up_can_be_made_anew_and_removed() {
        let (_data, runs, spec, run) = create();
        let ticket = run.order().unwrap().ticket;
        assert_eq!(run.state().unwrap(), RunState::NeverStarted);
        let again = runs.create(&spec).unwrap();
        assert_ne!(again.order().unwrap().ticket, ticket);
        again.remove().unwrap();
        assert!(!again.path().parent().unwrap().exists());
        assert_eq!(again.state().unwrap(), RunState::NeverStarted);
    }

    #[test]
    fn a_spent_directory_made_anew_is_the_same_run_under_another_ticket() {
        let (_data, runs, _, run) = create();
        let before = run.order().unwrap();
        assert_eq!(run.state().unwrap(), RunState::NeverStarted);
        let again = runs.renew(&run).unwrap();
        let after = again.order().unwrap();
        assert_ne!(after.ticket, before.ticket);
        assert_eq!(
            Order {
                ticket: before.ticket.clone(),
                ..after
            },
            before
        );
        assert_eq!(std::fs::read(again.file("vars.yml")).unwrap(), b"{}");
        assert!(!again.file("abandoned").exists());
    }

    #[test]
    fn how_a_run_started_is_read_back_from_either_file() {
        let (_data, _, _, run) = create();
        assert_eq!(run.start(), None);
        for start in [
            Start::Warm,
            Start::Cold {
                because: "it is late".into(),
            },
        ] {
            run.may_begin(SystemClock.now(), &start).unwrap();
            assert_eq!(run.start(), Some(start.clone()));
            let status = Status {
                start: Some(start),
                ..status()
            };
            let text = serde_json::to_string(&status).unwrap();
            assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
        }
        let of_an_older_host = serde_json::json!({
            "how": "exited", "code": 0, "stopped": null, "started_at": "2026-01-31T09:00:00Z",
            "finished_at": "2026-01-31T09:00:01Z", "log_bytes": 1, "log_truncated": false,
        });
        let status: Status = serde_json::from_value(of_an_older_host).unwrap();
        assert_eq!(status.start, None);
    }

    #[test]
    fn nobody_else_can_read_what_is_in_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_data, _, _, run) = create();
        let mode = |name: &str| std::fs::metadata(run.file(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(""), 0o700);
        assert_eq!(mode("run.json"), 0o600);
        assert_eq!(mode("vars.yml"), 0o600);
    }

    #[test]
    fn a_stop_request_can_be_read_back() {
        let (_data, _, _, run) = create();
        assert_eq!(run.stop_requested().unwrap(), None);
        let stop = Stop {
            by: "alice".into(),
            kind: StopKind::Cancel,
            at: SystemClock.now(),
        };
        run.request_stop(&stop).unwrap();
        let second = Stop {
            by: "bob".into(),
            ..stop
        };
        run.request_stop(&second).unwrap();
        assert_eq!(run.stop_requested().unwrap(), Some(stop));
    }

    #[test]
    fn an_unwritable_place_is_an_error_that_names_it() {
        let (_data, _, spec, _) = create();
        let error = Runs::new("/proc/nowhere".as_ref()).create(&spec).unwrap_err();
        assert!(error.to_string().contains("/proc/nowhere/runs"), "{error}");
    }
}

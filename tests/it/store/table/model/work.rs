//! What workers make of the table: claims, and what comes of them.

use std::collections::BTreeSet;

use healgate::domain::attempt::Outcome;
use healgate::domain::ids::JobId;
use healgate::domain::job::{JobStatus, Reason};
use healgate::domain::pause::Scope;
use healgate::domain::timestamp::Timestamp;

use super::Answered::{self, Done, LostClaim};
use super::{Claimed, Entry, Stored, Table};

impl Table {
    /// The jobs that a claim must get, in order.
    pub(in crate::store::table) fn claim(&mut self, free: usize, now: Timestamp) -> Vec<JobId> {
        if self.paused.contains(&Scope::All) {
            return Vec::new();
        }
        self.unblock();
        let targets: BTreeSet<String> = self.jobs.values().map(|job| job.row.target.clone()).collect();
        targets.iter().for_each(|target| self.promote(target));
        // The clock went back: what waits for no time does not wait for it to come that far again.
        if self.jobs.values().any(|job| job.row.created_at > now) {
            let has_not_begun = |job: &Entry| job.row.status == JobStatus::Queued && job.row.attempts.is_empty();
            for id in self.find(|job| has_not_begun(job) && job.front && job.blocked.is_none()) {
                let row = &mut self.job(id).row;
                row.run_at = row.run_at.min(now);
            }
        }
        let mut claimed = Vec::new();
        while claimed.len() < free {
            let may_start = |job: &Entry| {
                let begun = !job.row.attempts.is_empty();
                let in_time = job.row.run_at <= now && (begun || job.expires_at > now);
                job.row.status == JobStatus::Queued && job.front && job.blocked.is_none() && in_time
            };
            let ready = self.find(may_start).into_iter();
            let Some(id) = ready.min_by_key(|id| (self.jobs[id].row.run_at, *id)) else {
                break;
            };
            if let Some(cause) = self.cause(&self.jobs[&id]) {
                let job = self.job(id);
                job.blocked = Some(cause);
                job.front = !job.row.attempts.is_empty();
                self.promote_for(&[id]);
                continue;
            }
            let job = self.job(id);
            job.row.status = JobStatus::Running;
            job.row.started_at = job.row.started_at.or(Some(now));
            job.row.attempts.push(None);
            claimed.push(id);
        }
        // Where one made room for another one, that may have waited longer.
        claimed.sort_by_key(|id| (self.jobs[id].row.run_at, *id));
        claimed
    }

    /// The claim that owns a job from now on.
    pub(in crate::store::table) fn own(&mut self, claimed: Claimed) {
        let job = self.job(claimed.key.job);
        assert_eq!(job.row.attempts.len(), claimed.key.number as usize, "{claimed:?}");
        job.owner = Some((claimed, Stored::default()));
    }

    fn owns(&self, claimed: Claimed) -> bool {
        let owner = self.jobs[&claimed.key.job].owner;
        owner.is_some_and(|(owner, _)| owner == claimed)
    }

    pub(in crate::store::table) fn started(&self, claimed: Claimed) -> Answered {
        if self.owns(claimed) { Done } else { LostClaim }
    }

    /// More of its run is stored.
    pub(in crate::store::table) fn store(&mut self, claimed: Claimed, more: Stored) -> Answered {
        if !self.owns(claimed) {
            return LostClaim;
        }
        if let Some((_, stored)) = &mut self.job(claimed.key.job).owner {
            stored.log_bytes += more.log_bytes;
            stored.tasks += more.tasks;
        }
        Done
    }

    /// Whether a claimed job may still start; one that may not is given back.
    pub(in crate::store::table) fn confirm(&mut self, claimed: Claimed, now: Timestamp) -> Result<bool, Answered> {
        if !self.owns(claimed) {
            return Err(LostClaim);
        }
        let job = &self.jobs[&claimed.key.job];
        let is_over = job.by_alert() && !self.is_open(job);
        if job.row.stop.is_none() && !is_over && self.cause(job).is_none() {
            return Ok(true);
        }
        match self.give_back(claimed, now) {
            Done => Ok(false),
            other => Err(other),
        }
    }

    pub(super) fn is_open(&self, job: &Entry) -> bool {
        job.episode
            .is_some_and(|(alert, episode)| self.open(alert) == Some(episode))
    }

    /// A claim whose run never began. What happened meanwhile ends its job.
    pub(in crate::store::table) fn give_back(&mut self, claimed: Claimed, now: Timestamp) -> Answered {
        if !self.owns(claimed) || self.stored(claimed) != Stored::default() {
            return LostClaim;
        }
        let job = self.job(claimed.key.job);
        job.owner = None;
        job.row.status = JobStatus::Queued;
        job.row.attempts.pop();
        if job.row.attempts.is_empty() {
            job.row.started_at = None;
        }
        let job = self.jobs[&claimed.key.job].clone();
        if let Some(reason) = job.row.stop {
            self.end(claimed.key.job, (JobStatus::Canceled, reason), now);
            self.promote(&job.row.target);
        } else if let (true, false, Some((_, episode))) = (job.by_alert(), self.is_open(&job), job.episode) {
            self.resolve(episode, self.ended[&episode], now);
        }
        Done
    }

    /// The same, and the job ends for what was found out.
    pub(in crate::store::table) fn withdraw(&mut self, claimed: Claimed, reason: Reason, now: Timestamp) -> Answered {
        let answered = self.give_back(claimed, now);
        if answered == Done && self.jobs[&claimed.key.job].row.status == JobStatus::Queued {
            let failed = reason == Reason::PreconditionFailed;
            let status = if failed { JobStatus::Failed } else { JobStatus::Canceled };
            self.end(claimed.key.job, (status, reason), now);
            self.promote_for(&[claimed.key.job]);
        }
        answered
    }

    /// `again_at`: when the store says that the next attempt may begin, if it says so.
    pub(in crate::store::table) fn finish(
        &mut self,
        claimed: Claimed,
        outcome: Outcome,
        again_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Answered {
        if !self.owns(claimed) {
            return LostClaim;
        }
        let is_open = self.jobs[&claimed.key.job]
            .episode
            .map(|_| self.is_open(&self.jobs[&claimed.key.job]));
        let ended_at = self.jobs[&claimed.key.job]
            .episode
            .and_then(|(_, episode)| self.ended.get(&episode).copied());
        let job = self.job(claimed.key.job);
        job.owner = None;
        *job.row.attempts.last_mut().unwrap() = Some((outcome, now));
        let may_retry = job.row.attempts.len() < job.terms.attempts && job.row.stop.is_none();
        if outcome == Outcome::HostsFailed && may_retry && is_open != Some(false) {
            let at = again_at.unwrap();
            let wait = at.since(now).as_secs_f64();
            assert!((30.0..=33.0).contains(&wait), "{wait} s until the next attempt");
            job.row.status = JobStatus::Queued;
            job.row.run_at = at;
            return Done;
        }
        let by_hand = !job.by_alert();
        let end = match (outcome.reason(), job.terms.resolved_within, is_open) {
            (Some(Reason::Canceled), ..) => (JobStatus::Canceled, job.row.stop.unwrap_or(Reason::Canceled)),
            (Some(reason), ..) => (JobStatus::Failed, reason),
            (None, Some(within), Some(true)) => {
                job.row.status = JobStatus::Verifying;
                job.verify_until = Some(now + within);
                return Done;
            }
            (None, Some(_), Some(false)) if !by_hand => (JobStatus::Succeeded, Reason::Healed),
            (None, ..) => (JobStatus::Succeeded, Reason::Unverified),
        };
        if end.0 == JobStatus::Succeeded && is_open == Some(false) && !by_hand {
            job.row.healed_at = ended_at;
        }
        self.end(claimed.key.job, end, now);
        self.promote_for(&[claimed.key.job]);
        Done
    }
}

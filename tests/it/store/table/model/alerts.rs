//! What reports of alerts, and what is learned of them otherwise, make of the table.

use std::collections::BTreeSet;

use healgate::domain::decision::DecisionKind;
use healgate::domain::ids::{EpisodeId, JobId};
use healgate::domain::job::{JobStatus, Reason, Trigger};
use healgate::domain::timestamp::Timestamp;

use super::{Decided, Entry, Held, LATE, Said, Stretch, Table, Terms, name_of, new_entry, target_of};

impl Table {
    /// A report of an alert. `ids` are for the stretch and the job that it may begin.
    pub(in crate::store::table) fn accept(
        &mut self,
        said: Said,
        terms: Terms,
        ids: (EpisodeId, JobId),
        now: Timestamp,
    ) -> Decided {
        self.settle(now);
        let decided = self.report(said, terms, ids, now);
        if let Some(last) = self.alerts.get_mut(&said.alert) {
            self.decided.insert(last.id);
            // Alertmanager has said itself that it is over.
            last.asked = last.asked && said.ends_at.is_none();
        }
        decided
    }

    fn report(&mut self, said: Said, terms: Terms, ids: (EpisodeId, JobId), now: Timestamp) -> Decided {
        let last = self.alerts.get(&said.alert).copied();
        let Some(ends_at) = said.ends_at else {
            return self.fires(said, terms, ids, now);
        };
        match last {
            Some(open) if open.closed.is_none() => self.close(said.alert, ends_at, now),
            Some(Stretch {
                closed: Some((ended_at, _)),
                ..
            }) if said.starts_at <= ended_at => {}
            _ => {
                let stretch = Stretch {
                    id: ids.0,
                    starts_at: said.starts_at,
                    last_received_at: now,
                    closed: Some((ends_at, now)),
                    asked: false,
                };
                self.alerts.insert(said.alert, stretch);
            }
        }
        (DecisionKind::Resolved, None)
    }

    fn fires(&mut self, said: Said, terms: Terms, (spare, job): (EpisodeId, JobId), now: Timestamp) -> Decided {
        let began = Stretch {
            id: spare,
            starts_at: said.starts_at,
            last_received_at: now,
            closed: None,
            asked: false,
        };
        let mut missed = None;
        match self.alerts.get(&said.alert).copied() {
            Some(open) if open.closed.is_none() => {
                if said.starts_at > open.last_received_at && said.starts_at != open.starts_at {
                    missed = Some(open.id);
                    self.alerts.insert(said.alert, began);
                } else if let Some(open) = self.alerts.get_mut(&said.alert) {
                    open.last_received_at = open.last_received_at.max(now);
                }
            }
            Some(Stretch {
                closed: Some((ended_at, closed_at)),
                ..
            }) if said.starts_at <= ended_at && now.since(closed_at) < LATE => return (DecisionKind::Resolved, None),
            _ => {
                self.alerts.insert(said.alert, began);
            }
        }
        let decided = self.decide((said.alert, terms), target_of(said.alert), job, now);
        if let Some(missed) = missed {
            self.resolve(missed, said.starts_at, now);
        }
        decided
    }

    /// Decides about an alert that fires.
    fn decide(&mut self, (alert, terms): (usize, Terms), target: String, spare: JobId, now: Timestamp) -> Decided {
        let episode = self.open(alert).unwrap();
        let place = (episode, terms.route);
        let counts = |job: &Entry| {
            job.by_alert()
                && !job.superseded
                && job.episode == Some((alert, episode))
                && job.row.route.as_deref() == Some(terms.route)
        };
        let before = self.find(counts).into_iter().next();
        let still = before.filter(|before| {
            let row = &self.jobs[before].row;
            let since = row.finished_at.map(|end| now.since(end));
            let is_old = terms.again_after.zip(since).is_some_and(|(after, since)| since > after);
            row.reason != Some(Reason::Expired) && !is_old
        });
        if let Some(job) = still {
            self.held.remove(&place);
            return (DecisionKind::Attached, Some(job));
        }
        if let Some(by) = self.stopped(&target, terms.route) {
            let held = Held {
                terms,
                alert,
                target,
                by: Some(by),
                due_at: None,
            };
            self.held.insert(place, held);
            return (by, None);
        }
        self.held.remove(&place);
        if let Some(before) = before {
            self.job(before).superseded = true;
        }
        let status = if terms.asks {
            JobStatus::AwaitingApproval
        } else {
            JobStatus::Queued
        };
        let job = Entry {
            terms,
            episode: Some((alert, episode)),
            expires_at: now + terms.waits,
            ..new_entry(status, Trigger::Alert, &target, now)
        };
        self.insert(spare, job);
        let kind = if terms.asks {
            DecisionKind::AwaitingApproval
        } else {
            DecisionKind::Queued
        };
        (kind, Some(spare))
    }

    pub(super) fn insert(&mut self, id: JobId, mut job: Entry) {
        job.row.route = Some(job.terms.route)
            .filter(|route| !route.is_empty())
            .map(str::to_owned);
        let target = job.row.target.clone();
        let before = self.jobs.insert(id, job);
        assert!(before.is_none(), "two jobs have one name: {id}");
        self.promote(&target);
    }

    /// What is to be decided again by now, in the order in which that happens.
    pub(in crate::store::table) fn due_held(&self, now: Timestamp) -> Vec<(EpisodeId, &'static str)> {
        let due = self
            .held
            .iter()
            .filter(|(_, held)| held.due_at.is_some_and(|due| due <= now));
        let mut due: Vec<_> = due.map(|(place, held)| (held.due_at, *place)).collect();
        due.sort();
        due.into_iter().map(|(_, place)| place).collect()
    }

    /// Decides about one of these again. `made` is the job that the store says it made, if it made one. Answers with
    /// what must have been decided; nothing where that is what was decided before.
    pub(in crate::store::table) fn decide_again(
        &mut self,
        place: (EpisodeId, &'static str),
        made: Option<JobId>,
        now: Timestamp,
    ) -> Option<Decided> {
        self.settle(now);
        let held = self.held[&place].clone();
        let made = made.unwrap_or(JobId::new(uuid::Uuid::nil()));
        let decided = self.decide((held.alert, held.terms), held.target, made, now);
        let is_news = held.by != Some(decided.0);
        if is_news {
            self.decided.insert(place.0);
        }
        is_news.then_some(decided)
    }

    /// Alertmanager was asked: the alert is over.
    pub(in crate::store::table) fn close_asked(&mut self, alert: usize, at: Timestamp, now: Timestamp) {
        self.settle(now);
        let at = self.alerts.get(&alert).map_or(at, |open| open.starts_at.max(at));
        if let Some(open) = self.alerts.get_mut(&alert) {
            open.asked = true;
        }
        self.close(alert, at, now);
    }

    /// The stretches that were found over by asking, and their alerts.
    pub(in crate::store::table) fn asked_episodes(&self) -> BTreeSet<(EpisodeId, usize)> {
        let asked = self.alerts.iter().filter(|(_, last)| last.asked);
        asked.map(|(alert, last)| (last.id, *alert)).collect()
    }

    /// The alert of that stretch fires again, if it was the last one and was found over by asking.
    pub(in crate::store::table) fn come_back(
        &mut self,
        (episode, alert): (EpisodeId, usize),
        terms: Terms,
        now: Timestamp,
    ) -> bool {
        let last = self.alerts[&alert];
        let Some((_, closed_at)) = last.closed.filter(|_| last.asked && last.id == episode) else {
            return false;
        };
        let id = episode.moved_to(now);
        let began = Stretch {
            id,
            starts_at: closed_at,
            last_received_at: now,
            closed: None,
            asked: false,
        };
        self.alerts.insert(alert, began);
        if self.decided.contains(&episode) {
            let before = self.find(|job| job.episode == Some((alert, episode))).pop();
            let held = Held {
                terms,
                alert,
                target: before.map_or_else(|| name_of(alert), |before| self.jobs[&before].row.target.clone()),
                by: None,
                due_at: Some(now),
            };
            self.held.insert((id, terms.route), held);
        }
        true
    }

    /// The query of a verification became true.
    pub(in crate::store::table) fn heal(&mut self, id: JobId, now: Timestamp) {
        self.settle(now);
        if self.jobs[&id].row.status == JobStatus::Verifying {
            self.end(id, (JobStatus::Succeeded, Reason::Healed), now);
            self.job(id).row.healed_at = Some(now);
            self.promote_for(&[id]);
        }
    }

    fn close(&mut self, alert: usize, ended_at: Timestamp, now: Timestamp) {
        if let Some(open) = self.alerts.get_mut(&alert) {
            open.closed = Some((ended_at, now));
            open.last_received_at = open.last_received_at.max(now);
            let id = open.id;
            self.resolve(id, ended_at, now);
        }
    }

    /// What the end of a stretch means for its jobs.
    pub(super) fn resolve(&mut self, episode: EpisodeId, ended_at: Timestamp, now: Timestamp) {
        self.ended.insert(episode, ended_at);
        self.held.retain(|(of, _), _| *of != episode);
        let of_episode = |job: &Entry| job.episode.is_some_and(|(_, of)| of == episode);
        let withdrawn = self.find(|job| of_episode(job) && job.by_alert() && job.waits());
        for id in &withdrawn {
            self.end(*id, (JobStatus::Canceled, Reason::ResolvedMeanwhile), now);
        }
        self.promote_for(&withdrawn);
        let healed = self.find(|job| of_episode(job) && job.row.status == JobStatus::Verifying);
        for id in &healed {
            self.end(*id, (JobStatus::Succeeded, Reason::Healed), now);
            self.job(*id).row.healed_at = Some(ended_at);
        }
        self.promote_for(&healed);
        let runs = |job: &Entry| of_episode(job) && job.row.status == JobStatus::Running;
        for id in self.find(|job| runs(job) && job.terms.stops_when_resolved && job.row.stop.is_none()) {
            self.job(id).row.stop = Some(Reason::ResolvedMeanwhile);
        }
        let ran = self
            .find(|job| of_episode(job) && !job.row.attempts.is_empty())
            .into_iter();
        if let Some(last) = ran.max_by_key(|id| (self.jobs[id].row.started_at, *id)) {
            let row = &mut self.job(last).row;
            if row.finished_at.is_some() && row.healed_at.is_none() {
                row.healed_at = Some(ended_at);
                row.healed_late = true;
            }
        }
    }
}

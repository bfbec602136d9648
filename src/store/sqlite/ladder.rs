//! The ladder: when a job did not heal, its route's next playbook gets a job of its own, which takes the target over.
//! And the clean-up that a route runs after a job whose alert resolved while it ran.

use std::collections::BTreeSet;

use rusqlite::params;

use crate::domain::aftercare::{Aftercare, Rung, RungPlan, RungTerms};
use crate::domain::checks::Checks;
use crate::domain::ids::{EpisodeId, JobId, Target};
use crate::domain::job::{Job, JobStatus, NewJob, Reason, Trigger};
use crate::domain::notify::{Notify, NotifyEvent};
use crate::domain::parameters::Plan;
use crate::domain::policy::{CapUse, Held, Restraint, Restraints, cap_uses};
use crate::domain::route::OnResolved;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection::Row;
use crate::store::sqlite::held;
use crate::store::sqlite::insert::{insert_out_of_line, note, promote};
use crate::store::sqlite::outbox::tell;
use crate::store::sqlite::restraints::{self, place};
use crate::store::sqlite::rows::{ids, job, json, json_option, span_option, time_option};
use crate::store::sqlite::writer::{Scope, Write};

const ENDED: &str = "
    -- ended_with_ladder
    SELECT jobs.*, episodes.closed_at,
           (SELECT finished_at FROM attempts WHERE attempts.job = jobs.id ORDER BY number DESC LIMIT 1) AS ran_until
    FROM   jobs
    LEFT   JOIN episodes ON episodes.id = jobs.episode
    WHERE  jobs.id IN (SELECT value FROM json_each(?1)) AND jobs.aftercare <> '{}'";

/// The next rung takes the target over, unless somebody has it.
const TAKE_OVER: &str = "
    -- take_over
    UPDATE jobs
    SET    front = 1
    WHERE  id = ?1 AND status = 'queued'
    AND    NOT EXISTS (SELECT 1 FROM jobs AS holder WHERE holder.target = jobs.target AND holder.front = 1)";

/// How long a clean-up may wait.
const CLEANUP_EXPIRES: Span = Span::from_secs(3_600);

/// A job that has ended, with what its route asks for next.
struct Ended {
    job: Job,
    aftercare: Aftercare,
    resolved_within: Option<Span>,
    on_resolved: OnResolved,
    notify: Option<Notify>,
    /// Its alert has resolved.
    is_closed: bool,
    /// While it ran.
    closed_in_run: bool,
}

/// What follows these jobs, which have just ended. Must come before others are let to their targets.
pub(super) fn climb(scope: &mut Scope<'_>, jobs: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    for ended in read(scope, jobs)? {
        if goes_on(&ended) {
            next_rung(scope, &ended, now)?;
        } else if ended.closed_in_run {
            clean_up(scope, &ended, now)?;
        }
    }
    Ok(())
}

fn read(scope: &mut Scope<'_>, jobs: &[JobId]) -> Result<Vec<Ended>, StoreError> {
    let rows = scope.connection.all(ENDED, params![ids(jobs)?])?;
    rows.iter().map(ended).collect()
}

fn ended(row: &Row) -> Result<Ended, StoreError> {
    let closed_at = time_option(row, "closed_at")?;
    let ran_until = time_option(row, "ran_until")?;
    Ok(Ended {
        job: job(row)?,
        aftercare: json(row, "aftercare")?,
        resolved_within: span_option(row, "resolved_within")?,
        on_resolved: match row.get::<String>("on_resolved")?.as_str() {
            "cancel" => OnResolved::Cancel,
            _ => OnResolved::Ignore,
        },
        notify: json_option(row, "notify")?,
        is_closed: closed_at.is_some(),
        closed_in_run: closed_at
            .zip(ran_until)
            .is_some_and(|(closed_at, ran_until)| closed_at <= ran_until),
    })
}

/// After every failed job but a lost one, while the episode is open.
fn goes_on(ended: &Ended) -> bool {
    let Ended { job, is_closed, .. } = ended;
    job.status == JobStatus::Failed && job.reason != Some(Reason::Lost) && job.episode.is_some() && !is_closed
}

fn next_rung(scope: &mut Scope<'_>, ended: &Ended, now: Timestamp) -> Result<(), StoreError> {
    let mut ladder = ended.aftercare.ladder.as_slice();
    while let Some((rung, rest)) = ladder.split_first() {
        match &rung.plan {
            RungPlan::Plan(plan) => return take_rung(scope, ended, (rung, plan, rest), now),
            RungPlan::Refused(why) => {
                let message = format!("the next rung, {}, is left out: {why}", rung.playbook);
                note(
                    scope,
                    &ended.job.id.to_string(),
                    now,
                    ("rung_refused", "healgate"),
                    &message,
                )?;
                ladder = rest;
            }
        }
    }
    if ended.aftercare.rungs.is_some() {
        let message = "everything was tried: the last rung of the ladder did not heal either";
        tell(scope, &[ended.job.id], &[NotifyEvent::Exhausted], now)?;
        note(
            scope,
            &ended.job.id.to_string(),
            now,
            ("exhausted", "healgate"),
            message,
        )?;
    }
    Ok(())
}

fn take_rung(
    scope: &mut Scope<'_>,
    ended: &Ended,
    (rung, plan, rest): (&Rung, &Plan, &[Rung]),
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(terms) = &ended.aftercare.rungs else {
        return Ok(());
    };
    let id = ended.job.id.to_string();
    let restraint = match stopped(scope, ended, plan, now)? {
        Some(stopped) => Some(stopped),
        None => capped(scope, ended, plan, terms, now)?,
    };
    if let Some(restraint) = restraint {
        // It is told once: what is decided again has a row already.
        if !held::holds_rung(scope, ended.job.id)? {
            let message = format!("the next rung, {}, is held back: {}", rung.playbook, restraint.reason);
            note(scope, &id, now, ("rung_held", "healgate"), &message)?;
        }
        return hold_rung(scope, ended, &plan.target, restraint, now);
    }
    held::free_rung(scope, ended.job.id)?;
    let new = rung_job(ended, (rung, plan, rest), terms, now);
    insert_front(scope, &new)?;
    let message = format!(
        "did not heal; the next rung is {} on {} ({})",
        plan.playbook, plan.target, new.id
    );
    note(scope, &id, now, ("escalated", "healgate"), &message)
}

/// A rung that is made anew waits for the end of pauses and breakers; one whose turn has just come waits in its line for that.
fn stopped(scope: &mut Scope<'_>, ended: &Ended, plan: &Plan, now: Timestamp) -> Result<Option<Restraint>, StoreError> {
    let Some(route) = ended.job.route.as_deref() else {
        return Ok(None);
    };
    if !held::holds_rung(scope, ended.job.id)? {
        return Ok(None);
    }
    let stops = Restraints {
        pauses: restraints::pauses(scope.connection)?,
        breakers: restraints::open_breakers(scope.connection)?,
        ..Restraints::default()
    };
    Ok(stops.stopped(route, &plan.target, now))
}

/// Caps hold back rungs too.
fn capped(
    scope: &mut Scope<'_>,
    ended: &Ended,
    plan: &Plan,
    terms: &RungTerms,
    now: Timestamp,
) -> Result<Option<Restraint>, StoreError> {
    let longest = terms.caps.iter().map(|cap| cap.per.duration()).max();
    let (Some(longest), Some(route)) = (longest, ended.job.route.as_deref()) else {
        return Ok(None);
    };
    let wanted = BTreeSet::from([place(route, &plan.target, now, longest)]);
    let found = restraints::places(scope.connection, &wanted)?;
    let jobs = found
        .get(&(route.to_owned(), plan.target.clone()))
        .map_or(&[][..], Vec::as_slice);
    let full = cap_uses(&terms.caps, jobs, now).into_iter().find(CapUse::is_full);
    Ok(full.map(|full| full.restraint(&plan.target)))
}

fn hold_rung(
    scope: &mut Scope<'_>,
    ended: &Ended,
    target: &Target,
    restraint: Restraint,
    now: Timestamp,
) -> Result<(), StoreError> {
    let job = &ended.job;
    let (Some(episode), Some(route), Some(alert)) = (job.episode, &job.route, &job.alert) else {
        return Ok(());
    };
    let one = Held {
        episode,
        route: route.clone(),
        target: target.clone(),
        restraint,
        alert: alert.clone(),
        notify: None,
        follows: Some(job.id),
    };
    let group = job.group.clone().unwrap_or_default();
    held::hold(scope, (now, &job.triggered_by, &group), &[one])
}

fn rung_job(ended: &Ended, (rung, plan, rest): (&Rung, &Plan, &[Rung]), terms: &RungTerms, now: Timestamp) -> NewJob {
    let (status, waits) = if terms.approve {
        (JobStatus::AwaitingApproval, terms.approval_expires)
    } else {
        (JobStatus::Queued, terms.expires)
    };
    let aftercare = Aftercare {
        ladder: rest.to_vec(),
        ..ended.aftercare.clone()
    };
    NewJob {
        status,
        resolved_within: ended.resolved_within,
        on_resolved: ended.on_resolved.clone(),
        aftercare,
        checks: plan.checks.clone(),
        runs_within: terms.approve.then_some(terms.expires),
        episode: ended.job.episode,
        ..following(ended, rung, plan, (now, waits))
    }
}

/// Belongs to no episode: that one is over, and nothing that depends on it may end the clean-up.
fn clean_up(scope: &mut Scope<'_>, ended: &Ended, now: Timestamp) -> Result<(), StoreError> {
    let Some(rung) = &ended.aftercare.cleanup else {
        return Ok(());
    };
    let id = ended.job.id.to_string();
    match &rung.plan {
        RungPlan::Plan(plan) => {
            let new = following(ended, rung, plan, (now, CLEANUP_EXPIRES));
            insert_front(scope, &new)?;
            let message = format!("the alert resolved meanwhile; {} cleans up ({})", plan.playbook, new.id);
            note(scope, &id, now, ("cleaning_up", "healgate"), &message)
        }
        RungPlan::Refused(why) => {
            let message = format!("the clean-up {} is left out: {why}", rung.playbook);
            note(scope, &id, now, ("rung_refused", "healgate"), &message)
        }
    }
}

/// The job of a rung, without what only an open episode gives it.
fn following(ended: &Ended, rung: &Rung, plan: &Plan, (now, waits): (Timestamp, Span)) -> NewJob {
    let job = &ended.job;
    let (id, plan) = rung.made_at(plan, now);
    NewJob {
        id,
        status: JobStatus::Queued,
        playbook: plan.playbook,
        route: job.route.clone(),
        target: plan.target,
        trigger: Trigger::Ladder,
        triggered_by: "healgate".to_owned(),
        rerun_of: None,
        follows: Some(job.id),
        episode: None::<EpisodeId>,
        alert: job.alert.clone(),
        group: job.group.clone(),
        parameters: plan.parameters,
        by_hand: None,
        changes: None,
        resolved_within: None,
        on_resolved: OnResolved::Ignore,
        aftercare: Aftercare::default(),
        notify: ended.notify.clone(),
        checks: Checks::default(),
        created_at: now,
        expires_at: now + waits.duration(),
        runs_within: None,
    }
}

fn insert_front(scope: &mut Scope<'_>, new: &NewJob) -> Result<(), StoreError> {
    insert_out_of_line(scope, new)?;
    scope.execute(TAKE_OVER, params![new.id.to_string()])?;
    promote(scope, &[&new.target])
}

/// Goes on with a ladder whose next rung was held back.
pub(super) struct ClimbAgain {
    pub(super) follows: JobId,
    pub(super) now: Timestamp,
}

impl Write for ClimbAgain {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        // What was let go since it became due is over.
        if !held::holds_rung(scope, self.follows)? {
            return Ok(());
        }
        for ended in read(scope, &[self.follows])? {
            if goes_on(&ended) {
                next_rung(scope, &ended, self.now)?;
            } else {
                held::free_rung(scope, self.follows)?;
            }
        }
        Ok(())
    }
}

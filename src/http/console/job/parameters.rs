//! What exactly a job runs, and what the catalogue says otherwise by now. Its environment is left out: it may hold secrets.

use actix_web::web;
use serde_json::Value;

use crate::domain::change::Change;
use crate::domain::job::Job;
use crate::domain::parameters::Parameters;
use crate::http::App;
use crate::http::api::rerun;
use crate::http::problem::Problem;

/// A parameter with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A parameter that was different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) name: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

/// What is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Since the job was made, if it were run again now.
    pub(crate) since: Vec<Difference>,
    /// Why that cannot be told: it could not be run again.
    pub(crate) refusal: Option<String>,
    /// To the job that this one repeats.
    pub(crate) before: Vec<Difference>,
    pub(crate) is_rerun: bool,
}

/// The parameters in words.
pub(crate) fn facts(parameters: &Parameters) -> Vec<Fact> {
    let fact = |name: &str, value: String| Fact {
        name: name.to_owned(),
        value,
    };
    let mut facts = vec![
        fact("Playbook file", parameters.path.clone()),
        fact("Inventory", parameters.inventory.clone()),
        fact(
            "Limit",
            match &parameters.limit {
                Some(limit) => limit.to_string(),
                None => "none: all hosts that its plays choose".to_owned(),
            },
        ),
    ];
    facts.extend(
        parameters
            .vars
            .iter()
            .map(|(name, value)| fact(&format!("Variable {name}"), shown(value))),
    );
    let optional = [
        (
            "Tags",
            (!parameters.tags.is_empty()).then(|| parameters.tags.join(", ")),
        ),
        (
            "Skipped tags",
            (!parameters.skip_tags.is_empty()).then(|| parameters.skip_tags.join(", ")),
        ),
        (
            "Check mode",
            parameters.check.then(|| "yes: nothing is changed".to_owned()),
        ),
        ("Diff", parameters.diff.then(|| "yes".to_owned())),
        ("Forks", parameters.forks.map(|forks| forks.to_string())),
        (
            "Verbosity",
            (parameters.verbosity > 0).then(|| parameters.verbosity.to_string()),
        ),
        ("User", parameters.remote_user.clone()),
        ("Become", parameters.become_root.then(|| "yes".to_owned())),
        ("Time limit", Some(parameters.timeout.to_string())),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(name, value)| Some(fact(name, value?)));
    facts.extend(optional);
    facts
}

/// Texts as they are, all else as JSON.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

/// Changes as pages show them.
pub(crate) fn differences(changes: &[Change]) -> Vec<Difference> {
    let differences = changes.iter().map(|change| Difference {
        name: change.parameter.clone(),
        before: shown(&change.before),
        after: shown(&change.after),
    });
    differences.collect()
}

/// What a run now would do otherwise. Reads the playbook's file.
pub(super) async fn changed(app: &web::Data<App>, job: &Job) -> Result<Changed, Problem> {
    let (shared, old) = (web::Data::clone(app), job.clone());
    let now = web::block(move || rerun::changes_until_now(&shared, &old)).await;
    let (since, refusal) = match now.map_err(|_| Problem::internal())? {
        Ok(changes) => (differences(&changes), None),
        Err(problem) => (Vec::new(), Some(problem.to_string())),
    };
    Ok(Changed {
        since,
        refusal,
        before: job.changes.as_deref().map(differences).unwrap_or_default(),
        is_rerun: job.changes.is_some(),
    })
}

//! What would be done about an alert, step by step: of a pasted payload, or of a notification that came before. Does
//! nothing.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use crate::domain::decision::DecisionKind;
use crate::domain::ids::NotificationId;
use crate::http::App;
use crate::http::api::explain::{AlertExplanation, Explanation, RouteExplanation, explain_body};
use crate::http::console::access::{Reader, Who};
use crate::http::console::failure::Failure;
use crate::http::console::form::Form;
use crate::http::console::job::{Fact, shown};
use crate::http::console::moment::{Moment, Told};
use crate::http::console::reply::{page, page_with};
use crate::http::console::shell::{Place, Shell};
use crate::http::input::Query;
use crate::http::problem::{FieldError, Problem};
use crate::percent::encoded;
use crate::store::read::PageRequest;

/// Notifications that are offered.
const OFFERED: u32 = 10;

/// Alerts of a payload that are shown.
const ALERTS: usize = 20;

/// A notification as Alertmanager writes it, to begin with.
const EXAMPLE: &str = r#"{
  "version": "4",
  "groupKey": "{}:{alertname=\"NginxDown\"}",
  "status": "firing",
  "receiver": "healgate",
  "groupLabels": {},
  "commonLabels": {},
  "commonAnnotations": {},
  "externalURL": "http://alertmanager:9093",
  "alerts": [
    {
      "status": "firing",
      "labels": { "alertname": "NginxDown", "severity": "critical", "instance": "web1:9100", "container": "nginx" },
      "annotations": {},
      "startsAt": "2026-01-31T09:00:00Z",
      "endsAt": "0001-01-01T00:00:00Z",
      "generatorURL": "",
      "fingerprint": "8e3f9b0c7d1a2b4c"
    }
  ]
}"#;

#[derive(Template)]
#[template(path = "tester.html")]
struct TesterPage {
    shell: Shell,
    payload: String,
    /// The notification that is explained, if it is one that came before.
    notification: Option<String>,
    past: Vec<PastLine>,
    detail: Option<String>,
    errors: Vec<FieldError>,
    alerts: Vec<AlertPart>,
    more_alerts: usize,
    is_explained: bool,
}

/// A notification that may be chosen.
struct PastLine {
    id: String,
    at: Moment,
    receiver: String,
    alerts: u64,
}

/// What would be done about one alert.
struct AlertPart {
    name: String,
    path: String,
    /// What comes of it in all.
    outcomes: Vec<String>,
    steps: Vec<StepPart>,
}

/// What one route has to do with it.
struct StepPart {
    route: String,
    tone: &'static str,
    symbol: &'static str,
    word: String,
    reason: Told,
    cools_until: Option<Moment>,
    facts: Vec<Fact>,
    argv: Option<String>,
}

/// The form, with the explanation of a notification where one is asked about.
pub(super) async fn form(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    let wanted = query.only(&["notification"])?.one("notification", |text| {
        text.parse::<NotificationId>().map_err(|error| error.to_string())
    })?;
    let Some(id) = wanted else {
        return answer(&app, &reader.0, Asked::default()).await;
    };
    let found = app.store.find_notification(id).await?;
    let found = found.ok_or_else(|| Problem::not_found("notification", id))?;
    let explained = explain_body(&app, found.body.clone(), reader.0.caller.name.clone()).await;
    let asked = Asked {
        payload: Some(String::from_utf8_lossy(&found.body).into_owned()),
        notification: Some(id),
        explained: Some(explained),
    };
    answer(&app, &reader.0, asked).await
}

/// Explains what was pasted. A form that only asks needs no token: nothing is done.
pub(super) async fn explain(reader: Reader, app: web::Data<App>, form: Form) -> Result<HttpResponse, Failure> {
    let payload = form.get("payload").unwrap_or_default().to_owned();
    let explained = explain_body(&app, payload.clone().into_bytes(), reader.0.caller.name.clone()).await;
    let asked = Asked {
        payload: Some(payload),
        notification: None,
        explained: Some(explained),
    };
    answer(&app, &reader.0, asked).await
}

/// What somebody asked, and what came of it.
#[derive(Default)]
struct Asked {
    payload: Option<String>,
    notification: Option<NotificationId>,
    explained: Option<Result<Explanation, Problem>>,
}

/// How much of a payload stays in the form. Of more, the page would be larger than pages may be.
const KEPT: usize = 32 * 1024;

async fn answer(app: &App, who: &Who, asked: Asked) -> Result<HttpResponse, Failure> {
    let past = app.store.list_notifications(PageRequest::first(OFFERED));
    let past = past.await?.items.into_iter().map(|summary| PastLine {
        id: summary.id.to_string(),
        at: Moment(summary.received_at),
        receiver: summary.receiver,
        alerts: summary.alerts,
    });
    let mut shown = TesterPage {
        shell: Shell::of(who, Place::Routes),
        payload: asked
            .payload
            .filter(|payload| payload.len() <= KEPT)
            .unwrap_or_else(|| EXAMPLE.to_owned()),
        notification: asked.notification.map(|id| id.to_string()),
        past: past.collect(),
        detail: None,
        errors: Vec::new(),
        alerts: Vec::new(),
        more_alerts: 0,
        is_explained: asked.explained.is_some(),
    };
    match asked.explained {
        None => Ok(page(&shown)),
        Some(Ok(explanation)) => {
            shown.more_alerts = explanation.items.len().saturating_sub(ALERTS);
            shown.alerts = explanation.items.iter().take(ALERTS).map(AlertPart::of).collect();
            Ok(page(&shown))
        }
        Some(Err(problem)) => {
            shown.detail = Some(problem.to_string());
            shown.errors = problem.errors().to_vec();
            Ok(page_with(actix_web::ResponseError::status_code(&problem), &shown))
        }
    }
}

impl AlertPart {
    fn of(explained: &AlertExplanation) -> Self {
        let reached: Vec<&RouteExplanation> = explained
            .routes
            .iter()
            .filter(|route| route.decision.is_some())
            .collect();
        let outcomes = reached.iter().map(|route| {
            let decision = route.decision.map_or("", DecisionKind::as_str).replace('_', " ");
            format!("{}: {decision}", route.route)
        });
        Self {
            name: explained.alertname.clone(),
            path: format!("/alerts/{}", encoded(explained.fingerprint.as_str())),
            outcomes: outcomes.collect(),
            steps: explained.routes.iter().map(StepPart::of).collect(),
        }
    }
}

impl StepPart {
    fn of(route: &RouteExplanation) -> Self {
        let (tone, symbol, word) = match route.decision {
            None if route.matched => ("off", "–", "not reached".to_owned()),
            None => ("off", "–", "does not match".to_owned()),
            Some(kind) => mark(kind),
        };
        let optional = [
            ("Target", route.target.as_ref().map(ToString::to_string)),
            ("Paused", route.paused.then(|| "yes".to_owned())),
            ("Breaker", route.breaker.map(|state| state.replace('_', " "))),
        ];
        let caps = route.caps.iter().map(|cap| Fact {
            name: format!("Cap of {}", cap.cap),
            value: format!("{} used", cap.used),
        });
        let vars = route.vars.iter().flatten().map(|(name, value)| Fact {
            name: format!("Variable {name}"),
            value: shown(value),
        });
        let facts = optional.into_iter().filter_map(|(name, value)| {
            Some(Fact {
                name: name.to_owned(),
                value: value?,
            })
        });
        Self {
            route: route.route.clone(),
            tone,
            symbol,
            word,
            reason: Told(route.reason.clone()),
            cools_until: route.cooldown_until.map(Moment),
            facts: facts.chain(caps).chain(vars).collect(),
            argv: route.argv.as_ref().map(|argv| argv.join(" ")),
        }
    }
}

/// A decision as pages show it.
pub(super) fn mark(kind: DecisionKind) -> (&'static str, &'static str, String) {
    let (tone, symbol) = match kind {
        DecisionKind::Queued => ("good", "▶"),
        DecisionKind::AwaitingApproval => ("wait", "?"),
        DecisionKind::Paused
        | DecisionKind::Tripped
        | DecisionKind::Held
        | DecisionKind::Flapping
        | DecisionKind::Capped
        | DecisionKind::CoolingDown => ("wait", "‖"),
        DecisionKind::Refused => ("bad", "✗"),
        DecisionKind::Unmatched
        | DecisionKind::Resolved
        | DecisionKind::Attached
        | DecisionKind::Guarded
        | DecisionKind::Observed => ("off", "–"),
    };
    (tone, symbol, kind.as_str().replace('_', " "))
}

/// Whether the text is JSON, to be laid out for people.
pub(super) fn laid_out(body: &[u8]) -> String {
    let parsed = serde_json::from_slice::<Value>(body);
    let pretty = parsed.and_then(|value| serde_json::to_string_pretty(&value));
    pretty.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned())
}

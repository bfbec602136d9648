//! Notifications as they came, with what was decided about each alert of them.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::domain::ids::NotificationId;
use crate::http::App;
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::moment::{Moment, Told};
use crate::http::console::pages::Pages;
use crate::http::console::reply::page;
use crate::http::console::shell::{Place, Shell};
use crate::http::console::tester::{laid_out, mark};
use crate::http::input::{PathId, Query};
use crate::http::problem::Problem;
use crate::percent::encoded;
use crate::store::read::{NotificationSummary, StoredDecision};

/// Decisions that are shown.
const DECISIONS: usize = 100;

/// How much of a body is shown, in bytes.
const BODY: usize = 32 * 1024;

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    shell: Shell,
    notifications: Vec<Line>,
    pages: Pages,
}

/// A notification.
struct Line {
    id: String,
    at: Moment,
    sender: &'static str,
    posted_by: String,
    receiver: String,
    group_key: String,
    alerts: u64,
    truncated: u64,
}

#[derive(Template)]
#[template(path = "notification.html")]
struct NotificationPage {
    shell: Shell,
    line: Line,
    decisions: Vec<DecisionLine>,
    more_decisions: usize,
    body: String,
    is_cut: bool,
}

/// What was done about an alert for a route.
struct DecisionLine {
    path: String,
    alertname: String,
    route: Option<String>,
    tone: &'static str,
    symbol: &'static str,
    word: String,
    reason: Told,
    job: Option<String>,
}

/// The list.
pub(super) async fn list(reader: Reader, app: web::Data<App>, query: Query) -> Result<HttpResponse, Failure> {
    let place = query.only(&["limit", "cursor"])?.page("notifications")?;
    let found = app.store.list_notifications(place).await?;
    Ok(page(&NotificationsPage {
        shell: Shell::of(&reader.0, Place::Notifications),
        notifications: found.items.iter().map(Line::of).collect(),
        pages: Pages::of("notifications", &query, found.next.as_deref()),
    }))
}

/// One of them.
pub(super) async fn show(
    reader: Reader,
    app: web::Data<App>,
    id: PathId<NotificationId>,
    query: Query,
) -> Result<HttpResponse, Failure> {
    query.only(&[])?;
    let found = app.store.find_notification(id.0).await?;
    let found = found.ok_or_else(|| Problem::not_found("notification", id.0))?;
    let is_cut = found.body.len() > BODY;
    Ok(page(&NotificationPage {
        shell: Shell::of(&reader.0, Place::Notifications),
        line: Line::of(&found.summary),
        more_decisions: found.decisions.len().saturating_sub(DECISIONS),
        decisions: found.decisions.iter().take(DECISIONS).map(DecisionLine::of).collect(),
        body: if is_cut {
            String::from_utf8_lossy(&found.body[..BODY]).into_owned()
        } else {
            laid_out(&found.body)
        },
        is_cut,
    }))
}

impl Line {
    fn of(summary: &NotificationSummary) -> Self {
        Self {
            id: summary.id.to_string(),
            at: Moment(summary.received_at),
            sender: summary.sender.as_str(),
            posted_by: summary.posted_by.clone(),
            receiver: summary.receiver.clone(),
            group_key: summary.group_key.clone(),
            alerts: summary.alerts,
            truncated: summary.truncated_alerts,
        }
    }
}

impl DecisionLine {
    fn of(decision: &StoredDecision) -> Self {
        let (tone, symbol, word) = mark(decision.kind);
        Self {
            path: format!("/alerts/{}", encoded(decision.fingerprint.as_str())),
            alertname: decision.alertname.clone(),
            route: decision.route.clone(),
            tone,
            symbol,
            word,
            reason: Told(decision.reason.clone()),
            job: decision.job.map(|job| job.to_string()),
        }
    }
}

//! The API's own description.

use actix_web::web;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::domain::alert::AlertStatus;
use crate::http::api::{
    actions, alerts, breakers, events, explain, health, held, jobs, log, log_stream, manual, metrics, notifications,
    pause, playbooks, reload, rerun, routes, stats, stream, tasks,
};
use crate::http::auth::ViewerAccess;
use crate::http::problem::PROBLEM_JSON;
use crate::http::webhooks;

/// The description of every call, OpenAPI 3.1.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "healgate",
        description = "The remediation gateway between Alertmanager and Ansible. Every error is an \
                       application/problem+json document."
    ),
    paths(
        webhooks::alertmanager,
        webhooks::grafana,
        webhooks::alert,
        jobs::list,
        manual::create,
        jobs::show,
        rerun::rerun,
        actions::cancel,
        actions::approve,
        actions::reject,
        log::show,
        log_stream::follow,
        tasks::list,
        events::list,
        alerts::list,
        alerts::show,
        notifications::list,
        notifications::show,
        explain::explain,
        pause::list,
        pause::pause,
        pause::resume,
        breakers::list,
        breakers::open,
        breakers::reset,
        held::list,
        held::release,
        playbooks::list,
        routes::list,
        routes::rules,
        stats::show,
        stream::follow,
        reload::reload,
        health::alive,
        health::ready,
        metrics::show,
        show,
    ),
    components(schemas(AlertStatus)),
    tags(
        (name = "webhooks", description = "What Alertmanager and Grafana post to; role sender"),
        (name = "jobs", description = "Role viewer to read, operator to change"),
        (name = "alerts", description = "What was received, and what was or would be decided; role viewer"),
        (name = "brakes", description = "Pauses, circuit breakers, and what is held back; role viewer to read, operator to change"),
        (name = "catalogue", description = "Role viewer to read, admin to reload"),
        (name = "health", description = "For supervisors and Prometheus"),
    ),
    modifiers(&Security, &Refusals),
    security(("bearer" = []), ("basic" = [])),
)]
pub struct Api;

/// The ways to present a token.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let mut basic = Http::new(HttpAuthScheme::Basic);
        basic.description = Some("Any user name, the token as password".to_owned());
        components.add_security_scheme("basic", SecurityScheme::Http(basic));
    }
}

/// What every call may answer, too.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut Document) {
        for item in document.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete]
                .into_iter()
                .flatten()
            {
                let responses = &mut operation.responses.responses;
                if operation.security.is_none() {
                    let wrong = "Credentials are missing or wrong";
                    responses.insert("401".to_owned(), problem(wrong).into());
                    responses.insert("403".to_owned(), problem("The caller's role does not reach").into());
                }
                responses.insert("default".to_owned(), problem("Any other error").into());
            }
        }
    }
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build())
        .build()
}

/// Show this document
#[utoipa::path(
    get, path = "/api/v1/openapi.json", operation_id = "openapi", tag = "health",
    responses((status = 200, description = "The document", body = Object)),
)]
pub(crate) async fn show(_: ViewerAccess) -> web::Json<Document> {
    web::Json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = serde_json::to_value(Api::openapi()).unwrap();
        let mut ids: Vec<String> = Vec::new();
        for path in document["paths"].as_object().unwrap().values() {
            for operation in path.as_object().unwrap().values() {
                ids.push(operation["operationId"].as_str().unwrap().to_owned());
            }
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), all), (37, 37));
    }

    #[test]
    fn the_document_is_as_published() {
        insta::assert_json_snapshot!(Api::openapi(), { ".info.version" => "…" });
    }
}

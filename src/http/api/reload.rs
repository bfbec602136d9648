//! Reads the catalogue again.

use actix_web::web;
use serde::Serialize;

use crate::http::App;
use crate::http::auth::AdminAccess;
use crate::http::input::Query;
use crate::http::problem::{FieldError, Problem, ProblemView};

/// What a reload did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Reloaded {
    /// A sentence for people.
    summary: String,
}

/// Reload remediations.yml
#[utoipa::path(
    post, path = "/api/v1/reload", operation_id = "reload", tag = "catalogue",
    responses(
        (status = 200, description = "The new catalogue is in force", body = Reloaded),
        (status = 422, description = "The file has errors, whose fields are file:line:column; the old catalogue stays in force", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn reload(
    caller: AdminAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<Reloaded>, Problem> {
    query.only(&[])?;
    let outcome = web::block(move || app.catalogue.reload())
        .await
        .map_err(|_| Problem::internal())?;
    let by = caller.0.name;
    match outcome {
        Ok(summary) => {
            tracing::info!(by, summary, "reloaded remediations.yml");
            Ok(web::Json(Reloaded { summary }))
        }
        Err(errors) => {
            tracing::warn!(by, errors = errors.len(), "refused to reload remediations.yml");
            let errors = errors.into_iter().map(|error| FieldError {
                field: format!("{}:{}:{}", error.file, error.line, error.column),
                message: error.message,
            });
            Err(Problem::reload_refused(errors.collect()))
        }
    }
}

//! The playbooks in force.

use actix_web::web;

use crate::http::App;
use crate::http::auth::ViewerAccess;
use crate::http::input::Query;
use crate::http::problem::Problem;
use crate::http::views::List;
use crate::remediations::PlaybookView;

/// List the playbooks in force
#[utoipa::path(
    get, path = "/api/v1/playbooks", operation_id = "list_playbooks", tag = "catalogue",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many at most; 50 by default"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
    ),
    responses((status = 200, description = "A part of the list, by name", body = List<PlaybookView>)),
)]
pub(crate) async fn list(
    _: ViewerAccess,
    app: web::Data<App>,
    query: Query,
) -> Result<web::Json<List<PlaybookView>>, Problem> {
    let page = query.only(&["limit", "cursor"])?.page("playbooks")?;
    let all = app.catalogue.in_force().describe_playbooks();
    Ok(web::Json(List::slice("playbooks", all, &page, |playbook| {
        playbook.name.clone()
    })))
}

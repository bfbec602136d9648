//! The console: pages for people, made on the server and readable without scripts. Shows what the store has and asks for
//! what the API does; never decides, and trusts no text that came from outside.

mod access;
mod alerts;
mod answers;
mod assets;
mod brakes;
mod failure;
mod form;
mod forms;
mod hosts;
mod job;
mod jobs;
mod links;
mod log;
mod moment;
mod notifications;
mod now;
mod pages;
mod pauses;
mod playbooks;
mod reply;
mod rerun;
mod routes;
mod row;
mod shell;
mod sign_in;
mod stats;
mod status;
mod tester;
mod words;

use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, Resource, Responder};

pub use forms::Forms;
pub use log::parts::Outlines;

use crate::http::server::{posted, read, reading, resource};

/// Every path of the console.
pub(super) fn paths(config: &mut ServiceConfig) {
    config
        .service(read("/").route(reading().to(now::show)))
        .service(read("/jobs").route(reading().to(jobs::show)))
        .service(read("/jobs/{id}").route(reading().to(job::show)))
        .service(asked("/jobs/{id}/rerun", rerun::form, rerun::run))
        .service(asked("/jobs/{id}/cancel", answers::cancel_form, answers::cancel))
        .service(asked("/jobs/{id}/approve", answers::approve_form, answers::approve))
        .service(asked("/jobs/{id}/reject", answers::reject_form, answers::reject))
        .service(asked("/pause", pauses::form, pauses::pause))
        .service(asked("/resume", pauses::resume_form, pauses::resume))
        .service(asked("/breakers/open", brakes::open_form, brakes::open))
        .service(asked("/breakers/close", brakes::close_form, brakes::close))
        .service(asked("/held/release", brakes::release_form, brakes::release))
        .service(read("/alerts").route(reading().to(alerts::list)))
        .service(read("/alerts/{fingerprint}").route(reading().to(alerts::show)))
        .service(read("/routes").route(reading().to(routes::show)))
        .service(read("/playbooks").route(reading().to(playbooks::list)))
        .service(asked("/playbooks/{name}/run", playbooks::form, playbooks::run))
        .service(asked("/tester", tester::form, tester::explain))
        .service(read("/notifications").route(reading().to(notifications::list)))
        .service(read("/notifications/{id}").route(reading().to(notifications::show)))
        .service(read("/stats").route(reading().to(stats::show)))
        .service(read("/jobs/{id}/log").route(reading().to(log::show)))
        .service(read("/jobs/{id}/log/outline").route(reading().to(log::parts::outline)))
        .service(read("/jobs/{id}/log/search").route(reading().to(log::parts::search)))
        .service(asked("/signin", sign_in::form, sign_in::sign_in))
        .service(posted("/signout").route(web::post().to(sign_in::sign_out)))
        .service(read("/static/{version}/{file}").route(reading().to(assets::show)));
}

/// What is asked about with GET, and done with POST.
fn asked<F, FArgs, D, DArgs>(path: &str, form: F, done: D) -> Resource
where
    F: Handler<FArgs>,
    FArgs: FromRequest + 'static,
    F::Output: Responder + 'static,
    D: Handler<DArgs>,
    DArgs: FromRequest + 'static,
    D::Output: Responder + 'static,
{
    resource(path, "GET, HEAD, POST")
        .route(reading().to(form))
        .route(web::post().to(done))
}

//! A gateway for the tests of the HTTP side: everything in memory, time stands still.

mod catalogue;
mod samples;
mod store;

use std::sync::Arc;

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::test::TestRequest;
use actix_web::web;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::config::{Role, Token};
use crate::domain::ids::JobId;
use crate::domain::job::Job;
use crate::domain::route::Route;
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::auth::{Access, authenticate};
use crate::http::console::Forms;
use crate::http::problem::PROBLEM_JSON;
use crate::http::server::paths;
use crate::live::Live;
use crate::remediations::ReloadError;
use crate::telemetry::Metrics;

pub(crate) use catalogue::FakeCatalogue;
pub(crate) use samples::{attempt, job, job_id, now, parameters, route};
pub(crate) use store::FakeStore;

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// A token named as its role, whose text is the name too.
pub(crate) fn token(role: Role, name: &str) -> Token {
    Token {
        name: name.to_owned(),
        role,
        sha256: Sha256::digest(name).into(),
    }
}

/// One token for each role.
pub(crate) fn tokens() -> Vec<Token> {
    vec![
        token(Role::Sender, "sender"),
        token(Role::Viewer, "viewer"),
        token(Role::Operator, "operator"),
        token(Role::Admin, "admin"),
    ]
}

/// A gateway with its insides at hand.
pub(crate) struct Gateway {
    pub(crate) app: App,
    pub(crate) store: Arc<FakeStore>,
}

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Gateway {
    /// With a token for each role, and one route for all alerts.
    pub(crate) fn new() -> Self {
        Self::with(
            Access {
                tokens: tokens(),
                ..Access::default()
            },
            vec![route("nginx-down")],
        )
    }

    pub(crate) fn with(access: Access, routes: Vec<Route>) -> Self {
        let catalogue = FakeCatalogue::of(routes);
        let store = Arc::new(FakeStore::default());
        let app = App {
            store: Arc::<FakeStore>::clone(&store),
            catalogue: Arc::new(catalogue),
            clock: Arc::new(StoppedClock),
            ids: Arc::new(Ids::default()),
            live: Arc::new(Live::default()),
            streams: Arc::default(),
            access: Arc::new(access),
            forms: Arc::new(Forms::new().unwrap()),
            outlines: Arc::default(),
            metrics: Metrics::new(),
            stopping: CancellationToken::new(),
        };
        Self { app, store }
    }

    /// From now on remediations.yml has errors.
    pub(crate) fn refuse_reload(&mut self, errors: Vec<ReloadError>) {
        self.app.catalogue = Arc::new(FakeCatalogue {
            reload: Err(errors),
            ..FakeCatalogue::of(Vec::new())
        });
    }

    pub(crate) fn add_job(&self, job: Job) -> JobId {
        let id = job.id;
        self.store.state().jobs.push(job);
        id
    }

    /// Sends the request through all of the middleware.
    pub(crate) async fn send(
        &self,
        request: TestRequest,
    ) -> ServiceResponse<impl actix_web::body::MessageBody + use<>> {
        let service = actix_web::App::new()
            .app_data(web::Data::new(self.app.clone()))
            .configure(paths)
            .wrap(from_fn(authenticate))
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")));
        let service = actix_web::test::init_service(service).await;
        actix_web::test::call_service(&service, request.to_request()).await
    }

    pub(crate) async fn answer(&self, request: TestRequest) -> Answered {
        let response = self.send(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = actix_web::test::read_body(response).await.to_vec();
        let answered = Answered { status, headers, body };
        assert_eq!(answered.header("x-content-type-options"), "nosniff");
        if status.is_client_error() || status.is_server_error() {
            answered.check_problem();
        }
        answered
    }

    pub(crate) async fn get(&self, uri: &str) -> Answered {
        self.answer(TestRequest::get().uri(uri).insert_header(bearer("viewer")))
            .await
    }

    pub(crate) async fn post(&self, uri: &str, body: &str) -> Answered {
        let request = TestRequest::post().uri(uri).insert_header(bearer("admin"));
        self.answer(request.set_payload(body.to_owned())).await
    }
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Every error is a problem, whoever made it.
    fn check_problem(&self) {
        assert_eq!(self.header("content-type"), PROBLEM_JSON, "{}", self.text());
        if self.body.is_empty() {
            return;
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        for name in ["type", "title", "detail"] {
            assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
    }
}

pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

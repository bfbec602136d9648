//! Errors as RFC 9457 problems: the only shape in which this API says no.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_RANGE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::ingest::InvalidPayload;
use crate::store::StoreError;

/// The content type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// How long a client should wait before it asks a database again that took no write, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// A request that was not done, and why.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
}

/// One thing that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Which part of the input; empty for the body as a whole.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    InvalidInput,
    NotAuthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed { allow: &'static str },
    RequestTimeout,
    Conflict,
    TooLarge,
    RangeNotSatisfiable { bytes: u64 },
    ReloadRefused,
    Internal,
    Unavailable,
}

/// The document that is sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemView<'a> {
    /// Names the kind of problem; it never changes.
    #[schema(example = "urn:healgate:problem:not-found")]
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// What is wrong with the input, where the input is what is wrong.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl Kind {
    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidInput => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::ReloadRefused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn uri_and_title(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidInput => ("urn:healgate:problem:invalid-input", "The input is invalid"),
            Self::NotAuthenticated => ("urn:healgate:problem:not-authenticated", "Valid credentials are needed"),
            Self::Forbidden => ("urn:healgate:problem:forbidden", "The caller may not do this"),
            Self::NotFound => ("urn:healgate:problem:not-found", "There is no such thing"),
            Self::MethodNotAllowed { .. } => ("urn:healgate:problem:method-not-allowed", "The method is not allowed"),
            Self::RequestTimeout => ("urn:healgate:problem:request-timeout", "The request came too slowly"),
            Self::Conflict => ("urn:healgate:problem:conflict", "The state does not allow this"),
            Self::TooLarge => ("urn:healgate:problem:too-large", "The body is too large"),
            Self::RangeNotSatisfiable { .. } => (
                "urn:healgate:problem:range-not-satisfiable",
                "The range cannot be served",
            ),
            Self::ReloadRefused => ("urn:healgate:problem:reload-refused", "The reload was refused"),
            Self::Internal => ("urn:healgate:problem:internal", "The gateway failed"),
            Self::Unavailable => ("urn:healgate:problem:unavailable", "The gateway cannot do this now"),
        }
    }

    fn header(self) -> Option<(HeaderName, String)> {
        match self {
            Self::MethodNotAllowed { allow } => Some((ALLOW, allow.to_owned())),
            Self::RangeNotSatisfiable { bytes } => Some((CONTENT_RANGE, format!("bytes */{bytes}"))),
            Self::Unavailable => Some((RETRY_AFTER, RETRY_AFTER_SECONDS.to_string())),
            _ => None,
        }
    }
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// One part of the input is wrong.
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    /// Parts of the input are wrong.
    pub(crate) fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [FieldError { field, message }] if field.is_empty() => message.clone(),
            [FieldError { field, message }] => format!("{field}: {message}"),
            several => format!("{} parts of the input are wrong", several.len()),
        };
        Self {
            errors,
            ..Self::new(Kind::InvalidInput, detail)
        }
    }

    /// Credentials are missing or wrong.
    pub(crate) fn not_authenticated(detail: &str) -> Self {
        Self::new(Kind::NotAuthenticated, detail)
    }

    /// The caller is known, and may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("no such {what}: {id}"))
    }

    /// The attempt's log was there once.
    pub(crate) fn log_pruned(job: impl fmt::Display, attempt: u32) -> Self {
        let detail = format!("the log of attempt {attempt} of job {job} was pruned: see `retention` in healgate.yml");
        Self::new(Kind::NotFound, detail)
    }

    /// No resource has that path.
    pub(crate) fn no_such_path(path: &str) -> Self {
        Self::new(Kind::NotFound, format!("nothing is served at {path}"))
    }

    /// The resource has other methods.
    pub(crate) fn method_not_allowed(method: &str, allow: &'static str) -> Self {
        let detail = format!("{method} is not allowed here; allowed: {allow}");
        Self::new(Kind::MethodNotAllowed { allow }, detail)
    }

    /// The body did not come in time.
    pub(crate) fn too_slow() -> Self {
        Self::new(Kind::RequestTimeout, "the body did not come in time")
    }

    /// The state of the thing does not allow it.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// The same where a part of the input names the thing.
    pub(crate) fn conflict_over(field: &str, detail: impl Into<String>) -> Self {
        let message = detail.into();
        let error = FieldError {
            field: field.to_owned(),
            message: message.clone(),
        };
        Self {
            errors: vec![error],
            ..Self::conflict(message)
        }
    }

    /// The body has more than `limit` bytes.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(Kind::TooLarge, format!("the body may have at most {limit} bytes"))
    }

    /// The range begins after the end of what has `bytes` bytes.
    pub(crate) fn range_not_satisfiable(bytes: u64) -> Self {
        let detail = format!("the range lies outside of the {bytes} bytes that there are");
        Self::new(Kind::RangeNotSatisfiable { bytes }, detail)
    }

    /// The file has errors; the old catalogue stays in force.
    pub(crate) fn reload_refused(errors: Vec<FieldError>) -> Self {
        let detail = "remediations.yml has errors; the catalogue in force stays".to_owned();
        Self {
            errors,
            ..Self::new(Kind::ReloadRefused, detail)
        }
    }

    /// Not now; later perhaps.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail)
    }

    /// Something failed that should not; what it was belongs into the log.
    pub(crate) fn internal() -> Self {
        Self::new(Kind::Internal, "an internal error; the gateway's log has more")
    }

    /// A notification could not be stored, whatever the cause: the sender must repeat it.
    pub(crate) fn not_stored(error: &StoreError) -> Self {
        tracing::error!(%error, "failed to store a notification");
        Self::unavailable("the notification could not be stored; send it again")
    }

    /// Whether it is that nobody said who they are.
    pub(crate) fn asks_for_credentials(&self) -> bool {
        self.kind == Kind::NotAuthenticated
    }

    /// What kind of problem it is, in a few words.
    pub(crate) const fn title(&self) -> &'static str {
        self.kind.uri_and_title().1
    }

    /// What is wrong with the input, where the input is what is wrong.
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    fn error_response(&self) -> HttpResponse {
        let (uri, title) = self.kind.uri_and_title();
        let mut response = HttpResponse::build(self.status_code());
        if let Some(header) = self.kind.header() {
            response.insert_header(header);
        }
        if self.kind == Kind::NotAuthenticated {
            response.append_header((WWW_AUTHENTICATE, "Bearer realm=\"healgate\""));
            response.append_header((WWW_AUTHENTICATE, "Basic realm=\"healgate\", charset=\"UTF-8\""));
        }
        response.content_type(PROBLEM_JSON).json(ProblemView {
            r#type: uri,
            title,
            status: self.status_code().as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        })
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the database takes no writes");
                Self::unavailable("the database takes no writes now")
            }
            StoreError::NotFound { what, id } => Self::not_found(what, id),
            StoreError::Conflict(detail) => Self::conflict(detail),
            StoreError::BadCursor(_) => Self::invalid("cursor", "is not a cursor of this list"),
            StoreError::LostClaim(_) | StoreError::Database(_) | StoreError::Refused(_) => {
                tracing::error!(%error, "failed to use the store");
                Self::internal()
            }
        }
    }
}

impl From<InvalidPayload> for Problem {
    fn from(invalid: InvalidPayload) -> Self {
        let detail = match invalid.found - invalid.errors.len() {
            0 => invalid.to_string(),
            more => format!("{invalid} ({more} more errors than are listed)"),
        };
        let errors = invalid.errors.into_iter().map(|error| FieldError {
            field: error.field,
            message: error.message,
        });
        Self {
            errors: errors.collect(),
            ..Self::new(Kind::InvalidInput, detail)
        }
    }
}

//! How every answer looks: JSON with an `error` where there is one. Decides nothing about what is
//! asked. Used by all handlers.

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use serde_json::json;

use super::access::Refusal;

/// What is true now is kept in no cache.
const NOT_KEPT: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// `{"error": message}`.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    error_with(status, &json!({ "error": message }))
}

/// An error with further fields beside its sentence.
pub(super) fn error_with(status: StatusCode, body: &impl Serialize) -> Response {
    (status, NOT_KEPT, Json(body)).into_response()
}

/// An answer that holds for this moment.
pub(super) fn json(body: &impl Serialize) -> Response {
    (NOT_KEPT, Json(body)).into_response()
}

/// A document that is JSON already.
pub(super) fn document(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], NOT_KEPT, bytes).into_response()
}

pub(super) fn refused(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Token => {
            let message = "customer data needs `Authorization: Bearer` with the token of \
                           `http.token_file`";
            let challenge = [(WWW_AUTHENTICATE, "Bearer")];
            (challenge, error(StatusCode::UNAUTHORIZED, message)).into_response()
        }
        Refusal::ForeignHost(host) => {
            let message = format!(
                "host `{host}` is not this machine; set `http.token_file` to serve customers \
                 under other names"
            );
            error(StatusCode::FORBIDDEN, &message)
        }
    }
}

pub(super) fn not_found(path: &str) -> Response {
    let message = format!("no such path `{path}`; /openapi.json lists those that there are");
    error(StatusCode::NOT_FOUND, &message)
}

pub(super) fn method_not_allowed() -> Response {
    let allow = [(ALLOW, "GET, HEAD")];
    (allow, error(StatusCode::METHOD_NOT_ALLOWED, "use GET")).into_response()
}

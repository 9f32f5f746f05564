//! How every answer looks: JSON with an `error` where there is one. Decides nothing about what is
//! asked. Used by all handlers.

use axum::http::StatusCode;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::access::Refusal;

/// `{"error": message}`.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// An error with further fields beside its sentence.
pub(super) fn error_with(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

/// A document that is JSON already; customers' data is kept in no cache.
pub(super) fn document(bytes: Vec<u8>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, bytes).into_response()
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
    let message =
        format!("no such path `{path}`; there are /live, /ready, /metrics and /customers/{{id}}");
    error(StatusCode::NOT_FOUND, &message)
}

pub(super) fn method_not_allowed() -> Response {
    let allow = [(ALLOW, "GET, HEAD")];
    (allow, error(StatusCode::METHOD_NOT_ALLOWED, "use GET")).into_response()
}

//! `/live`, `/ready` and `/metrics`: for orchestrators and Prometheus, without any customer's data
//! and so without a token. Called by the router.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use serde_json::json;

use super::Services;
use super::answer;
use super::overview::Restore;
use crate::metrics::TEXT_FORMAT;

/// 200 while every lane's loop turns; 503 asks for a restart.
pub(super) async fn live(State(services): State<Arc<Services>>) -> Response {
    let silent = services.lanes.silent();
    if silent.is_empty() {
        return Json(json!({ "live": true })).into_response();
    }
    let lanes: Vec<_> = silent
        .iter()
        .map(|(lane, silence)| json!({ "lane": lane, "silent_seconds": silence.as_secs() }))
        .collect();
    let body = json!({ "error": "a lane stands still", "live": false, "lanes": lanes });
    answer::error_with(StatusCode::SERVICE_UNAVAILABLE, &body)
}

/// A partition that is being read back.
#[derive(Serialize)]
struct Held {
    partition: i32,
    #[serde(flatten)]
    restore: Restore,
}

/// 200 when every lane has joined and restored and all partitions come on; 503 says which do not.
pub(super) async fn ready(State(services): State<Arc<Services>>) -> Response {
    let (waiting, stalls) = (services.lanes.waiting(), services.lanes.stalls());
    if !stalls.is_empty() {
        let body = json!({ "error": stalls.join("; "), "ready": false });
        return answer::error_with(StatusCode::SERVICE_UNAVAILABLE, &body);
    }
    if waiting.is_empty() {
        return Json(json!({ "ready": true })).into_response();
    }
    let lanes: Vec<_> = waiting
        .iter()
        .map(|(lane, state)| json!({ "lane": lane, "state": state.as_str() }))
        .collect();
    let restoring = services.metrics.restoring();
    let restoring: Vec<_> = restoring
        .iter()
        .map(|it| Held { partition: it.partition, restore: Restore::of(it) })
        .collect();
    let body = json!({
        "error": "not every lane is ready",
        "ready": false,
        "lanes": lanes,
        "restoring": restoring,
    });
    answer::error_with(StatusCode::SERVICE_UNAVAILABLE, &body)
}

/// Prometheus' text format.
pub(super) async fn metrics(State(services): State<Arc<Services>>) -> Response {
    let text = services.metrics.text(services.lanes.is_ready());
    ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}

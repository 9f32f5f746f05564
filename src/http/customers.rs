//! `/customers/{id}`: one customer's score and the figures behind it. Looks nothing up itself: it
//! asks the [`CustomerLookup`] that `service` wires from the store. Called by the router.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use super::partitions::Shares;
use super::{Services, answer};
use crate::event;

/// The longest customer id in bytes, as in events.
const CUSTOMER_ID_BYTES_MAX: usize = event::ID_BYTES_MAX;

/// Where the answers about customers come from. Called on the server's threads: it must answer from
/// memory, without waiting for Kafka.
pub trait CustomerLookup: Send + Sync {
    /// What is known of the customer with this id, in committed state only.
    fn find(&self, id: &str) -> Lookup;

    /// The partitions whose customers are here, ascending.
    fn owned_partitions(&self) -> Vec<i32>;
}

/// What is known of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The document to answer with, as JSON.
    Found(Vec<u8>),
    /// The customer's partition is owned here and still being read back.
    Restoring,
    /// The customer's partition is owned by another process.
    Elsewhere,
    /// The customer's partition is owned here and there is no such customer.
    Unknown,
    /// The customer is here and their state cannot be read; why, and the remedy.
    Unreadable(String),
}

#[derive(Serialize)]
struct Elsewhere {
    error: String,
    #[serde(flatten)]
    shares: Shares,
}

pub(super) async fn customer(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    if let Err(refusal) = services.access.check(&headers) {
        return answer::refused(&refusal);
    }
    let Ok(Path(id)) = id else {
        let message = "a customer id is percent-encoded UTF-8";
        return answer::error(StatusCode::BAD_REQUEST, message);
    };
    if id.len() > CUSTOMER_ID_BYTES_MAX {
        let message = format!(
            "a customer id has at most {CUSTOMER_ID_BYTES_MAX} bytes of UTF-8, got `{}`",
            id.len()
        );
        return answer::error(StatusCode::BAD_REQUEST, &message);
    }
    match services.customers.find(&id) {
        Lookup::Found(document) => answer::document(document),
        Lookup::Restoring => {
            let message = format!("the partition of customer `{id}` is being restored; try again");
            answer::error(StatusCode::SERVICE_UNAVAILABLE, &message)
        }
        Lookup::Elsewhere => {
            let message = format!("another process owns the partition of customer `{id}`");
            let shares = Shares::ask(&services).await;
            answer::error_with(StatusCode::NOT_FOUND, &Elsewhere { error: message, shares })
        }
        Lookup::Unknown => {
            answer::error(StatusCode::NOT_FOUND, &format!("there is no customer `{id}`"))
        }
        Lookup::Unreadable(why) => {
            let message = format!("the state of customer `{id}` cannot be read: {why}");
            answer::error(StatusCode::INTERNAL_SERVER_ERROR, &message)
        }
    }
}

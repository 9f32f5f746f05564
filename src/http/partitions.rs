//! `/partitions`: what this process owns and, as far as the group tells, who owns the rest and
//! where they answer. Asks no broker itself: it asks what `service` wires, at most now and then.
//! Called by the router, and for the answer about a customer who is elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::kept::Kept;
use super::{Services, answer};

/// The group is not asked again before its last answer is so old.
const AGE_MIN: Duration = Duration::from_secs(5);

/// One process of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// `kafka.instance_id`.
    pub instance: String,
    /// `host:port` at which it said that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the group gave it.
    pub partitions: Vec<i32>,
}

/// The processes of the group, or why they are not told. Called on a thread that may block.
pub type AskGroup = dyn Fn() -> Result<Vec<Member>, String> + Send + Sync;

/// What the group told last.
#[derive(Clone)]
pub struct Group {
    ask: Arc<AskGroup>,
    kept: Arc<Kept<Result<Vec<Member>, String>>>,
}

impl Group {
    /// Nothing told yet.
    pub fn new(ask: Arc<AskGroup>) -> Self {
        Self { ask, kept: Kept::new(AGE_MIN, 0) }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}

/// Who owns what.
#[derive(Debug, Serialize)]
pub(super) struct Shares {
    instance: String,
    n_partitions: i32,
    owned_partitions: Vec<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<Member>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members_unknown: Option<String>,
}

impl Shares {
    pub(super) async fn ask(services: &Services) -> Self {
        let ask = Arc::clone(&services.group.ask);
        let told = services.group.kept.get(move || ask()).await;
        let (members, members_unknown) = match told.as_deref() {
            Ok(Ok(members)) => (Some(members.clone()), None),
            Ok(Err(why)) => (None, Some(why.clone())),
            Err(_) => (None, Some("asking met a defect; the log says where".to_owned())),
        };
        Self {
            instance: services.about.instance.clone(),
            n_partitions: services.about.n_partitions,
            owned_partitions: services.customers.owned_partitions(),
            members,
            members_unknown,
        }
    }
}

pub(super) async fn partitions(State(services): State<Arc<Services>>) -> Response {
    answer::json(&Shares::ask(&services).await)
}

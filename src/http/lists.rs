//! `/customers`: who is at risk, by value. Makes no list itself: it asks the [`CustomerLists`] that
//! `service` wires from the store, at most now and then. Called by the router.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use tokio::task::JoinError;

use super::kept::Kept;
use super::list::{LISTED_MAX, List, Page, Place, Selection};
use super::{About, Services, answer, query};
use crate::churn::{Lifecycle, Tiers};
use crate::customer::Driver;
use crate::pipeline::Stake;
use crate::record::wire::{Date, Estimate, Moment, Money};

/// No list is made before the last one is so old, …
const AGE_MIN: Duration = Duration::from_secs(1);
/// … and so many times as old as its making took: whoever asks, lists cost a twentieth of a core.
const PAUSE_FACTOR: u32 = 20;

/// Customers on a page where nothing else is said.
const LIMIT: usize = 50;
/// … and at most.
const LIMIT_MAX: usize = 200;

/// The only order that there is.
const SORT: &str = "value_at_risk";

/// Where lists come from.
pub trait CustomerLists: Send + Sync {
    /// Makes a list of all committed customers. Called on a thread that may block; it takes
    /// microseconds for each.
    fn make(&self) -> List;
}

/// The last list, and who makes the next.
#[derive(Clone)]
pub struct Lists {
    source: Arc<dyn CustomerLists>,
    kept: Arc<Kept<List>>,
}

impl Lists {
    /// None made yet.
    pub fn new(source: Arc<dyn CustomerLists>) -> Self {
        Self { source, kept: Kept::new(AGE_MIN, PAUSE_FACTOR) }
    }

    async fn list(&self) -> Result<Arc<List>, JoinError> {
        let source = Arc::clone(&self.source);
        self.kept.get(move || source.make()).await
    }
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lists").finish_non_exhaustive()
    }
}

/// What a request asks for.
#[derive(Debug)]
struct Request {
    selection: Selection,
    after: Option<Place>,
    limit: usize,
}

#[derive(Serialize)]
struct Answer<'a> {
    as_of: Moment,
    sort: &'static str,
    currency: &'a str,
    total: u64,
    listed_max: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    restoring: Option<bool>,
    customers: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    customer_id: &'a str,
    value_at_risk: f64,
    segment: Segment<'a>,
    historic: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_alive: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_order_on: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lapses_on: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'static str>,
}

#[derive(Serialize)]
struct Segment<'a> {
    value: &'a str,
    lifecycle: &'static str,
}

pub(super) async fn customers(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refusal) = services.access.check(&headers) {
        return answer::refused(&refusal);
    }
    let request = match Request::read(&query.unwrap_or_default(), &services.about.tiers) {
        Ok(request) => request,
        Err(sentence) => return answer::error(StatusCode::BAD_REQUEST, &sentence),
    };
    let Ok(list) = services.lists.list().await else {
        let message = "making the list met a defect; the log says where";
        return answer::error(StatusCode::INTERNAL_SERVER_ERROR, message);
    };
    let page = list.page(&request.selection, request.after.as_ref(), request.limit);
    answer::json(&Answer::of(&list, page, &services.about))
}

impl<'a> Answer<'a> {
    fn of(list: &List, page: Page<'a>, about: &'a About) -> Self {
        Self {
            as_of: Moment(list.as_of_ms),
            sort: SORT,
            currency: about.currency.code(),
            total: page.total,
            listed_max: LISTED_MAX,
            restoring: list.is_partial.then_some(true),
            customers: page.customers.into_iter().map(|it| Row::of(it, about)).collect(),
            next: page.next.map(Place::text),
        }
    }
}

impl<'a> Row<'a> {
    fn of((place, stake): (&'a Place, &'a Stake), about: &'a About) -> Self {
        Self {
            customer_id: &place.customer_id,
            value_at_risk: stake.value_at_risk,
            segment: Segment {
                value: about.tiers.name(stake.tier),
                lifecycle: stake.lifecycle.as_str(),
            },
            historic: Money::new(stake.historic_minor, about.currency),
            predicted: stake.predicted.and_then(Estimate::of),
            p_alive: stake.p_alive.and_then(Estimate::of),
            last_order_on: stake.last_order_on.map(Date),
            lapses_on: stake.lapses_on.map(Date),
            driver: stake.driver.map(Driver::as_str),
        }
    }
}

impl Request {
    fn read(text: &str, tiers: &Tiers) -> Result<Self, String> {
        let selection = Selection::default();
        let mut request = Self { selection, after: None, limit: LIMIT };
        for (name, value) in query::parse(text)? {
            match &*name {
                "segment" => {
                    let names: Vec<&str> = tiers.names().collect();
                    request.selection.tiers = several(&name, &value, &names)?;
                }
                "lifecycle" => {
                    let names = Lifecycle::ALL.map(Lifecycle::as_str);
                    let chosen = several(&name, &value, &names)?;
                    request.selection.lifecycles =
                        chosen.into_iter().map(|place| Lifecycle::ALL[place]).collect();
                }
                "sort" if value == SORT => {}
                "sort" => return Err(format!("`sort` is `{value}`; there is only `{SORT}`")),
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
                    request.limit = limit.ok_or_else(|| {
                        format!("`limit` is `{value}`; give a whole number from 1 to {LIMIT_MAX}")
                    })?;
                }
                "after" => {
                    let place = Place::read(&value).ok_or_else(|| {
                        format!("`after` is `{value}`; give what `next` of the last page says")
                    })?;
                    request.after = Some(place);
                }
                _ => {
                    return Err(format!(
                        "`{name}` is `{value}`, and no parameter; use `segment`, `lifecycle`, \
                         `sort`, `limit` or `after`"
                    ));
                }
            }
        }
        Ok(request)
    }
}

/// The places among `names` of the comma-separated names in `value`.
fn several(name: &str, value: &str, names: &[&str]) -> Result<Vec<usize>, String> {
    let place = |word: &str| {
        names.iter().position(|name| *name == word).ok_or_else(|| {
            let known = names.join("`, `");
            format!("`{name}` is `{value}`; give one or more of `{known}`, comma-separated")
        })
    };
    value.split(',').map(place).collect()
}

//! The HTTP server: health, metrics, one customer at a time and the signals as they come, from
//! committed state only. It must never wait for a lane, and sends no CORS header. Wired and started
//! by `service`.
//!
//! `access` who may see customers · `connection` what a connection may cost · `answer` how answers
//! look · `probes` `/live` `/ready` `/metrics` · `overview` `/overview` · `customers`
//! `/customers/{id}` · `lists` `/customers`, `list` what it is a page of · `kept` what is made at
//! most now and then · `partitions` `/partitions` · `query` the parameters of a request · `signals`
//! `/signals` · `openapi` what there is, for programs · `page` the page at `/`

mod access;
mod answer;
mod connection;
mod customers;
mod kept;
mod list;
mod lists;
mod openapi;
mod overview;
mod page;
mod partitions;
mod probes;
mod query;
mod signals;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use access::{Access, AccessError, Token, guard};
pub use connection::Limits;
pub use customers::{CustomerLookup, Lookup};
pub use list::List;
#[cfg(test)]
pub(crate) use list::Selection;
pub use lists::{CustomerLists, Lists};
pub use partitions::{AskGroup, Group, Member};

use crate::broadcast::Broadcast;
use crate::churn::Tiers;
use crate::lifecycle::Lanes;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::money::Currency;
use connection::LimitedListener;

/// What the server answers from.
pub struct Services {
    /// Who answers.
    pub about: About,
    /// Read at `/metrics` and `/overview`.
    pub metrics: Arc<Metrics>,
    /// Asked at `/live`, `/ready` and `/overview`.
    pub lanes: Arc<Lanes>,
    /// Asked at `/overview`.
    pub models: Arc<Models>,
    /// Asked at `/customers/{id}`.
    pub customers: Arc<dyn CustomerLookup>,
    /// Asked at `/customers`.
    pub lists: Lists,
    /// Asked at `/partitions` and about customers who are elsewhere.
    pub group: Group,
    /// Watched at `/signals`.
    pub signals: Arc<Broadcast>,
    /// Who may see customers, from [`guard`].
    pub access: Access,
    /// What requests and connections may cost.
    pub limits: Limits,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("access", &self.access).finish_non_exhaustive()
    }
}

/// What a process is among its group.
#[derive(Clone, Debug)]
pub struct About {
    /// `kafka.instance_id`.
    pub instance: String,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The value tiers.
    pub tiers: Tiers,
    /// The partitions of the input topic.
    pub n_partitions: i32,
}

/// The address cannot be listened on.
#[derive(Debug, Error)]
#[error(
    "failed to listen on `{listen}`: {error}; stop what uses it or set `http.listen` to another \
     address"
)]
pub struct BindError {
    listen: SocketAddr,
    error: io::Error,
}

/// Takes the address; port 0 takes any free one.
///
/// # Errors
/// When it is in use or is not this machine's.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|error| BindError { listen, error })
}

/// Answers until `shutdown` completes, then lets open requests end for at most `drain_max`.
///
/// # Errors
/// None that a running server is known to meet; accepting retries by itself.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let limits = services.limits;
    let (begin_drain, drain) = watch::channel(false);
    let over_time = over_time(Drain(drain.clone()), limits.drain_max);
    let shutdown = async move {
        shutdown.await;
        begin_drain.send_replace(true);
    };
    let listener = LimitedListener::new(listener, limits);
    let server =
        axum::serve(listener, router(services, Drain(drain))).with_graceful_shutdown(shutdown);
    tokio::select! {
        result = server.into_future() => result,
        () = over_time => Ok(()),
    }
}

async fn over_time(drain: Drain, drain_max: Duration) {
    drain.began().await;
    tokio::time::sleep(drain_max).await;
}

/// Tells that no more requests are taken, and that what has no end must end.
#[derive(Clone, Debug)]
struct Drain(watch::Receiver<bool>);

impl Drain {
    async fn began(mut self) {
        if self.0.wait_for(|has_begun| *has_begun).await.is_err() {
            // The server has ended already.
            std::future::pending::<()>().await;
        }
    }
}

type Route = MethodRouter<Arc<Services>>;

/// Everything that is answered; the `OpenAPI` document has the same paths.
fn routes() -> Vec<(&'static str, Route)> {
    vec![
        ("/live", get(probes::live)),
        ("/ready", get(probes::ready)),
        ("/metrics", get(probes::metrics)),
        ("/overview", get(overview::overview)),
        ("/customers", get(lists::customers)),
        ("/customers/{id}", get(customers::customer)),
        ("/partitions", get(partitions::partitions)),
        ("/signals", get(signals::signals)),
        ("/openapi.json", get(openapi::document)),
        ("/", get(page::index)),
        ("/page/{part}", get(page::part)),
    ]
}

fn router(services: Services, drain: Drain) -> Router {
    let services = Arc::new(services);
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, route)| router.route(path, route))
        .fallback(async |request: Request| answer::not_found(request.uri().path()))
        .method_not_allowed_fallback(async || answer::method_not_allowed())
        .layer(Extension(drain))
        .layer(from_fn_with_state(Arc::clone(&services), guarded))
        .with_state(services)
}

/// Every answer says that it is what it says to be, and is kept in no cache unless it allows that.
async fn guarded(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response {
    let mut response = within_limits(&services.limits, request, next).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses what no request here needs: a body, and a path or headers beyond the limit.
async fn within_limits(limits: &Limits, request: Request, next: Next) -> Response {
    let n_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let max = limits.uri_bytes_max;
    if n_bytes > max {
        let message = format!("path and query have `{n_bytes}` bytes, at most {max} are read");
        return answer::error(StatusCode::URI_TOO_LONG, &message);
    }
    let headers = request.headers();
    let n_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let max = limits.headers_bytes_max;
    if n_bytes > max {
        let message = format!("the headers have `{n_bytes}` bytes, at most {max} are read");
        return answer::error(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &message);
    }
    let is_empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    if !is_empty || headers.contains_key(TRANSFER_ENCODING) {
        return answer::error(StatusCode::PAYLOAD_TOO_LARGE, "no request here has a body");
    }
    next.run(request).await
}

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

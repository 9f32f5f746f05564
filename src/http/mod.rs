//! The HTTP server: health, metrics and one customer at a time, from committed state only. It must
//! never wait for Kafka or for a lane, and sends no CORS header. Wired and started by `service`.
//!
//! `access` who may see customers · `connection` what a connection may cost · `answer` how answers
//! look · `probes` `/live` `/ready` `/metrics` · `overview` `/overview` · `customers`
//! `/customers/{id}` · `page` the page at `/`

mod access;
mod answer;
mod connection;
mod customers;
mod overview;
mod page;
mod probes;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use access::{Access, AccessError, Token, guard};
pub use connection::Limits;
pub use customers::{CustomerLookup, Lookup};

use crate::lifecycle::Lanes;
use crate::metrics::Metrics;
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
    /// Asked at `/customers/{id}`.
    pub customers: Arc<dyn CustomerLookup>,
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
    let (begin_drain, drain_began) = oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        // Nobody listens only when the server has ended already.
        begin_drain.send(()).ok();
    };
    let server = axum::serve(LimitedListener::new(listener, limits), router(services))
        .with_graceful_shutdown(shutdown);
    tokio::select! {
        result = server.into_future() => result,
        () = over_time(drain_began, limits.drain_max) => Ok(()),
    }
}

async fn over_time(drain_began: oneshot::Receiver<()>, drain_max: Duration) {
    match drain_began.await {
        Ok(()) => tokio::time::sleep(drain_max).await,
        Err(_) => std::future::pending().await,
    }
}

fn router(services: Services) -> Router {
    let services = Arc::new(services);
    Router::new()
        .route("/live", get(probes::live))
        .route("/ready", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .route("/overview", get(overview::overview))
        .route("/customers/{id}", get(customers::customer))
        .route("/", get(page::index))
        .route("/page/{part}", get(page::part))
        .fallback(async |request: Request| answer::not_found(request.uri().path()))
        .method_not_allowed_fallback(async || answer::method_not_allowed())
        .layer(from_fn_with_state(Arc::clone(&services), within_limits))
        .with_state(services)
}

/// Refuses what no request here needs: a body, and headers beyond the limit.
async fn within_limits(
    State(services): State<Arc<Services>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let n_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let max = services.limits.headers_bytes_max;
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
mod tests;

//! `/signals`: the signals as they come, as server-sent events. Reads no topic itself: it watches
//! the [`Broadcast`](crate::broadcast::Broadcast) that `service` wires. Called by the router.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{Drain, Services, answer};
use crate::broadcast::{Next, SIGNALS_MAX, Start, Watcher};

/// How often a comment says that the stream is there, well below the silence that ends connections.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// Sent by browsers that come again; the name of the HTML standard.
const LAST_EVENT_ID: &str = "last-event-id";
const GAP: &str = "signals before this place are missing here: they are not held any more, or the \
                   id is none of this topic; the topic itself has what retention has left";

pub(super) async fn signals(
    State(services): State<Arc<Services>>,
    Extension(drain): Extension<Drain>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refusal) = services.access.check(&headers) {
        return answer::refused(&refusal);
    }
    let last = match last(query.as_deref().unwrap_or_default()) {
        Ok(last) => last,
        Err(message) => return answer::error(StatusCode::BAD_REQUEST, &message),
    };
    // Who comes again asks with the same query as the first time: the id says more.
    let start = match headers.get(LAST_EVENT_ID) {
        Some(id) if !id.is_empty() => Start::Behind(String::from_utf8_lossy(id.as_bytes()).into()),
        Some(_) | None => Start::Newest(last),
    };
    let watcher = tokio::select! {
        watcher = services.signals.watch(start) => watcher,
        () = drain.clone().began() => {
            return answer::error(StatusCode::SERVICE_UNAVAILABLE, "the process is stopping");
        }
    };
    match watcher {
        Err(refused) => answer::error(StatusCode::SERVICE_UNAVAILABLE, &refused.to_string()),
        Ok(watcher) => {
            let mut comments = interval_at(Instant::now() + COMMENT_INTERVAL, COMMENT_INTERVAL);
            comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let open = Open { watcher, services, drain, headers, comments };
            ([(CACHE_CONTROL, "no-store")], Sse::new(stream::unfold(open, Open::next)))
                .into_response()
        }
    }
}

/// How many of the newest signals come first.
fn last(query: &str) -> Result<usize, String> {
    let mut last = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "last" {
            return Err(format!("unknown parameter `{name}`; there is `last`"));
        }
        let is_plain = value.bytes().all(|byte| byte.is_ascii_digit());
        let n_signals = value.parse().ok().filter(|n| is_plain && *n <= SIGNALS_MAX);
        if n_signals.is_none() || last.is_some() {
            return Err(format!(
                "`last` must be one number from 0 to {SIGNALS_MAX}, got `{value}`"
            ));
        }
        last = n_signals;
    }
    Ok(last.unwrap_or(0))
}

/// A stream that is open.
struct Open {
    watcher: Watcher,
    services: Arc<Services>,
    drain: Drain,
    /// Of the request: whether it may still see signals is asked again.
    headers: HeaderMap,
    comments: Interval,
}

impl Open {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let event = tokio::select! {
            biased;
            () = self.drain.clone().began() => return None,
            _ = self.comments.tick() => Event::default().comment(""),
            next = self.watcher.next() => event(next?),
        };
        self.services.access.check(&self.headers).ok()?;
        Some((Ok(event), self))
    }
}

fn event(next: Next) -> Event {
    match next {
        Next::Signal { json, position } => {
            Event::default().event("signal").id(position.to_string()).data(json)
        }
        Next::Gap { position } => Event::default().event("gap").id(position.to_string()).data(GAP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_says_how_many_signals_come_first() {
        let check = |query: &str, expect: Result<usize, &str>| {
            let found = last(query);
            match expect {
                Ok(expect) => assert_eq!(found, Ok(expect), "{query}"),
                Err(expect) => {
                    let message = found.unwrap_err();
                    assert!(message.contains(expect), "{query}: {message}");
                }
            }
        };
        check("", Ok(0));
        check("last=0", Ok(0));
        check("last=1000", Ok(1000));
        check("last=1001", Err("from 0 to 1000, got `1001`"));
        check("last=-1", Err("got `-1`"));
        check("last=+1", Err("got `+1`"));
        check("last=", Err("got ``"));
        check("last", Err("got ``"));
        check("last=1&last=2", Err("one number"));
        check("first=1", Err("unknown parameter `first`; there is `last`"));
    }
}

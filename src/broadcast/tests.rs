//! Tests of watchers and of a reading; who fills the broadcast is the test itself.

use tokio::runtime::{Builder, Runtime};

use super::testing::signal;
use super::*;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// One that soon has waited long enough.
fn impatient() -> Broadcast {
    let short = Duration::from_millis(50);
    let patience = Patience { opening: short, refusal: short, catch_up: short };
    Broadcast { patience, ..Broadcast::default() }
}

fn on_air(broadcast: &Broadcast, offset_next: i64) -> Arc<Air> {
    let mut opening = Opening::new(&[(0, offset_next)]);
    (0..offset_next).for_each(|offset| opening.push(offset, signal(0, offset)));
    broadcast.begin(opening)
}

async fn seat(broadcast: &Broadcast, start: Start) -> Watcher {
    broadcast.watch(start).await.unwrap()
}

fn json(next: Option<Next>) -> String {
    match next {
        Some(Next::Signal { json, .. }) => json.to_string(),
        Some(Next::Gap { .. }) => "gap".to_owned(),
        None => "over".to_owned(),
    }
}

#[test]
fn the_first_watcher_asks_for_a_reading_and_waits_for_it() {
    runtime().block_on(async {
        let broadcast = Broadcast::default();
        assert!(broadcast.demand().try_recv().is_err());
        let (watcher, ()) = tokio::join!(seat(&broadcast, Start::Newest(1)), async {
            tokio::task::yield_now().await;
            assert!(broadcast.demand().try_recv().is_ok());
            on_air(&broadcast, 3);
        });
        let mut watcher = watcher;
        assert_eq!(json(watcher.next().await), "0@2");
        assert_eq!(broadcast.n_watching(), 1);
        assert!(!broadcast.end_unwatched());
        drop(watcher);
        assert!(broadcast.end_unwatched());
    });
}

#[test]
fn a_watcher_gets_what_comes_and_hears_of_the_end() {
    runtime().block_on(async {
        let broadcast = Broadcast::default();
        let air = on_air(&broadcast, 3);
        let mut watcher = seat(&broadcast, Start::Newest(0)).await;
        let (next, ()) = tokio::join!(watcher.next(), async {
            tokio::task::yield_now().await;
            air.push(signal(0, 3));
        });
        assert_eq!(json(next), "0@3");
        broadcast.end();
        assert_eq!(json(watcher.next().await), "over");
    });
}

#[test]
fn seats_are_bounded_and_free_again_when_a_watcher_goes() {
    runtime().block_on(async {
        let broadcast = Broadcast::default();
        on_air(&broadcast, 0);
        let mut watchers = Vec::new();
        for _ in 0..WATCHERS_MAX {
            watchers.push(seat(&broadcast, Start::Newest(0)).await);
        }
        let refused = broadcast.watch(Start::Newest(0)).await.unwrap_err();
        assert_eq!(refused, Refused::Full);
        watchers.pop();
        seat(&broadcast, Start::Newest(0)).await;
    });
}

#[test]
fn a_refusal_is_given_at_once_for_a_while_and_then_asked_for_anew() {
    runtime().block_on(async {
        let patience = Patience { refusal: Duration::from_hours(1), ..PATIENCE };
        let broadcast = Broadcast { patience, ..Broadcast::default() };
        broadcast.refuse("no right");
        let refused = broadcast.watch(Start::Newest(0)).await.unwrap_err();
        assert_eq!(refused, Refused::Unreadable("no right".into()));
        assert!(broadcast.demand().try_recv().is_err(), "asked at once");
        let patience = Patience { refusal: Duration::ZERO, ..impatient().patience };
        let broadcast = Broadcast { patience, ..broadcast };
        // Nobody reads here: it waits for as long as it may.
        assert_eq!(broadcast.watch(Start::Newest(0)).await.unwrap_err(), Refused::Slow);
        assert!(broadcast.demand().try_recv().is_ok());
        assert_eq!(broadcast.n_watching(), 0);
    });
}

#[test]
fn a_place_ahead_of_the_reading_waits_for_it_and_is_a_gap_if_it_does_not_come() {
    runtime().block_on(async {
        let broadcast = Broadcast::default();
        let air = on_air(&broadcast, 3);
        let mut ahead = seat(&broadcast, Start::Behind("5".to_owned())).await;
        let (next, ()) = tokio::join!(ahead.next(), async {
            (3..6).for_each(|offset| air.push(signal(0, offset)));
        });
        assert_eq!(json(next), "0@5");
        let broadcast = impatient();
        on_air(&broadcast, 3);
        let mut gone = seat(&broadcast, Start::Behind("99".to_owned())).await;
        assert_eq!(json(gone.next().await), "gap");
        assert_eq!(json(gone.next().await), "0@0");
        let mut foreign = seat(&broadcast, Start::Behind("what is this".to_owned())).await;
        assert_eq!(json(foreign.next().await), "gap");
    });
}

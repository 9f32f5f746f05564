//! What is costly to make, kept for a while: one making at a time, however many ask, and none
//! before the last has grown old. Knows nothing of what it keeps. Used by handlers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// The last of its kind.
#[derive(Debug)]
pub(super) struct Kept<T> {
    /// Held by whoever makes the next one.
    turn: Arc<Semaphore>,
    last: Mutex<Option<Made<T>>>,
    age_min: Duration,
    pause_factor: u32,
}

#[derive(Debug)]
struct Made<T> {
    what: Arc<T>,
    at: Instant,
    took: Duration,
}

impl<T: Send + Sync + 'static> Kept<T> {
    /// Each is kept for `age_min`, and for `pause_factor` times as long as its making took.
    pub(super) fn new(age_min: Duration, pause_factor: u32) -> Arc<Self> {
        let turn = Arc::new(Semaphore::new(1));
        Arc::new(Self { turn, last: Mutex::default(), age_min, pause_factor })
    }

    /// The last one if it is young, else a new one, made on a thread that may block.
    ///
    /// # Errors
    /// The making met a defect.
    pub(super) async fn get(
        self: &Arc<Self>,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Arc<T>, JoinError> {
        if let Some(last) = self.young() {
            return Ok(last);
        }
        let turn = Arc::clone(&self.turn).acquire_owned().await.expect("nobody closes it");
        if let Some(last) = self.young() {
            return Ok(last);
        }
        let own = Arc::clone(self);
        // The turn goes along: who asks and goes away does not let a second making begin.
        spawn_blocking(move || {
            let began = Instant::now();
            let what = Arc::new(make());
            let took = began.elapsed();
            *own.lock() = Some(Made { what: Arc::clone(&what), at: Instant::now(), took });
            drop(turn);
            what
        })
        .await
    }

    fn young(&self) -> Option<Arc<T>> {
        let last = self.lock();
        let last = last.as_ref()?;
        let age_max = self.age_min.max(last.took * self.pause_factor);
        (last.at.elapsed() < age_max).then(|| Arc::clone(&last.what))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Made<T>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    use tokio::runtime::Builder;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn many_who_ask_at_once_get_one_making_also_when_the_first_goes_away() {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let kept = Kept::new(LONG, 0);
        let (began_sender, began) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let first = {
            let kept = Arc::clone(&kept);
            runtime.spawn(async move {
                kept.get(move || {
                    began_sender.send(()).unwrap();
                    wait.recv().unwrap();
                    7
                })
                .await
            })
        };
        began.recv().unwrap();
        first.abort();
        let others: Vec<_> = (0..8)
            .map(|_| {
                let kept = Arc::clone(&kept);
                runtime.spawn(async move { *kept.get(|| 8).await.unwrap() })
            })
            .collect();
        go.send(()).unwrap();
        for other in others {
            assert_eq!(runtime.block_on(other).unwrap(), 7);
        }
    }

    #[test]
    fn what_took_long_is_kept_for_longer() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let n_made = Arc::new(AtomicU32::new(0));
        let get = |kept: &Arc<Kept<u32>>| {
            let n_made = Arc::clone(&n_made);
            let make = move || n_made.fetch_add(1, Ordering::Relaxed);
            *runtime.block_on(kept.get(make)).unwrap()
        };
        let kept = Kept::new(Duration::ZERO, 20);
        assert_eq!(get(&kept), 0);
        let made_long_ago = |ago: Duration, took: Duration| {
            let mut last = kept.last.lock().unwrap();
            let last = last.as_mut().unwrap();
            (last.at, last.took) = (Instant::now().checked_sub(ago).unwrap(), took);
        };
        made_long_ago(Duration::from_secs(40), Duration::from_secs(3));
        assert_eq!(get(&kept), 0);
        made_long_ago(Duration::from_secs(61), Duration::from_secs(3));
        assert_eq!(get(&kept), 1);
    }
}

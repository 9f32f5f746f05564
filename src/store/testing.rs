//! What tests of those who go over all customers share: whether somebody else can go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::Duration;

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use super::Customers;

/// Who is not done by then waits for a lock.
const LONG: Duration = Duration::from_secs(20);

/// Customers in two shards: who holds one holds up half of the others, on any machine.
pub(crate) fn few_shards() -> Arc<Customers> {
    let buckets = DashMap::with_hasher_and_shard_amount(FxBuildHasher, 2);
    Arc::new(Customers { buckets, ..Customers::default() })
}

/// Has `work` done by another thread while the caller holds what it holds.
pub(super) fn meanwhile<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = channel();
    thread::spawn(move || sender.send(work()));
    done.recv_timeout(LONG).expect("the other thread waits for what is held here")
}

/// What `work` makes, and how often another thread did `step` meanwhile.
pub(crate) fn n_done_during<T>(
    mut step: impl FnMut() + Send,
    work: impl FnOnce() -> T,
) -> (u64, T) {
    let n_done = &AtomicU64::new(0);
    let (began_sender, began) = channel();
    // Hangs up also where the work fails.
    let (hang_up, end) = channel::<()>();
    thread::scope(move |scope| {
        scope.spawn(move || {
            while end.try_recv() == Err(TryRecvError::Empty) {
                step();
                if n_done.fetch_add(1, Ordering::Relaxed) == 0 {
                    began_sender.send(()).unwrap();
                }
            }
        });
        began.recv().unwrap();
        let before = n_done.load(Ordering::Relaxed);
        let made = work();
        let n_meanwhile = n_done.load(Ordering::Relaxed) - before;
        drop(hang_up);
        (n_meanwhile, made)
    })
}

//! The newest signals of the signals topic, for those who watch: `http` takes seats here, the
//! thread of `kafka::signals` fills it while somebody has one. Nobody waits for a watcher: each
//! reads from the ring at its own pace, and who falls behind it is told of the gap.
//!
//! `position` how far somebody is · `ring` what is held · `opening` the beginning of a reading

mod opening;
mod position;
mod ring;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

pub use opening::Opening;
pub use position::Position;
pub use ring::{Next, SIGNALS_MAX, Signal};

use ring::{Cursor, Ring};

/// How many may watch at once.
pub const WATCHERS_MAX: usize = 64;
/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// A watcher waits so long for the reading to begin.
    opening: Duration,
    /// A refusal is given again for so long before the topic is asked for anew.
    refusal: Duration,
    /// The reading may take so long to reach a place where a watcher was at another process.
    catch_up: Duration,
}

const PATIENCE: Patience = Patience {
    opening: Duration::from_secs(20),
    refusal: Duration::from_secs(2),
    catch_up: Duration::from_secs(5),
};

/// The one place where signals go out.
pub struct Broadcast {
    phase: watch::Sender<Phase>,
    seats: Arc<Semaphore>,
    /// Wakes the reading thread.
    demand: (Sender<()>, Receiver<()>),
    patience: Patience,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Nobody watches, nothing is read.
    Silent,
    /// Somebody waits for the reading to begin.
    Wanted,
    OnAir(Arc<Air>),
    Refused(Arc<str>, Instant),
}

/// A reading that has begun.
#[derive(Debug)]
pub struct Air {
    ring: Mutex<Ring>,
    /// Tells that there is more, and with `true` that there will be no more.
    is_over: watch::Sender<bool>,
}

/// Where a watcher begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With so many of the newest signals.
    Newest(usize),
    /// Right behind the place with this text.
    Behind(String),
}

/// Why nobody can watch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum Refused {
    #[error("{WATCHERS_MAX} streams of signals are open here, the most there may be; close one")]
    Full,
    #[error("the signals cannot be read: {0}")]
    Unreadable(Arc<str>),
    #[error("the signals topic was not read in time; try again")]
    Slow,
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("n_watching", &self.n_watching()).finish_non_exhaustive()
    }
}

impl Default for Broadcast {
    fn default() -> Self {
        let (phase, seats) = (watch::Sender::new(Phase::Silent), Semaphore::new(WATCHERS_MAX));
        Self { phase, seats: Arc::new(seats), demand: bounded(1), patience: PATIENCE }
    }
}

/// The side of the watchers.
impl Broadcast {
    /// Takes a seat, and waits until the reading has begun.
    ///
    /// # Errors
    /// There is no seat, or the topic cannot be read.
    pub async fn watch(&self, start: Start) -> Result<Watcher, Refused> {
        // Before a look at the phase: a reading does not end while a seat is taken.
        let seats = Arc::clone(&self.seats);
        let Ok(seat) = seats.try_acquire_owned() else { return Err(Refused::Full) };
        let mut phases = self.phase.subscribe();
        self.ask();
        let has_answer = |phase: &Phase| matches!(phase, Phase::OnAir(_) | Phase::Refused(..));
        let phase = match timeout(self.patience.opening, phases.wait_for(has_answer)).await {
            Ok(Ok(phase)) => phase.clone(),
            Ok(Err(_)) | Err(_) => return Err(Refused::Slow),
        };
        match phase {
            Phase::OnAir(air) => Ok(Watcher::new(air, start, seat, self.patience.catch_up)),
            Phase::Refused(why, _) => Err(Refused::Unreadable(why)),
            Phase::Silent | Phase::Wanted => Err(Refused::Slow),
        }
    }

    fn ask(&self) {
        let is_new = self.phase.send_if_modified(|phase| {
            let is_new = match phase {
                Phase::Silent => true,
                Phase::Refused(_, at) => at.elapsed() >= self.patience.refusal,
                Phase::Wanted | Phase::OnAir(_) => false,
            };
            if is_new {
                *phase = Phase::Wanted;
            }
            is_new
        });
        if is_new {
            // Full is as good: the thread has not looked yet.
            self.demand.0.try_send(()).ok();
        }
    }
}

/// The side of the reading thread.
impl Broadcast {
    /// Receives something when somebody begins to wait for a reading.
    pub fn demand(&self) -> &Receiver<()> {
        &self.demand.1
    }

    /// How many seats are taken.
    pub fn n_watching(&self) -> usize {
        WATCHERS_MAX - self.seats.available_permits()
    }

    /// The reading has begun.
    pub fn begin(&self, opening: Opening) -> Arc<Air> {
        let ring = Mutex::new(opening.into_ring());
        let air = Arc::new(Air { ring, is_over: watch::Sender::new(false) });
        self.change(Phase::OnAir(Arc::clone(&air)));
        air
    }

    /// The reading is over, if there is one: who watches must come again, which begins another one.
    pub fn end(&self) {
        if matches!(&*self.phase.borrow(), Phase::OnAir(_)) {
            self.change(Phase::Silent);
        }
    }

    /// Ends the reading if nobody watches; returns whether it did.
    pub fn end_unwatched(&self) -> bool {
        self.phase.send_if_modified(|phase| {
            let is_unwatched = self.n_watching() == 0;
            if is_unwatched {
                *phase = Phase::Silent;
            }
            is_unwatched
        })
    }

    /// The topic cannot be read, for this reason.
    pub fn refuse(&self, why: &str) {
        self.change(Phase::Refused(why.into(), Instant::now()));
    }

    fn change(&self, phase: Phase) {
        if let Phase::OnAir(air) = self.phase.send_replace(phase) {
            air.is_over.send_replace(true);
        }
    }
}

impl Air {
    /// Sends the next signal of its partition out.
    pub fn push(&self, signal: Signal) {
        self.lock().push(signal);
        self.is_over.send_modify(|_| ());
    }

    /// Everything before `offset_next` of the partition was read.
    pub fn pass(&self, partition: usize, offset_next: i64) {
        self.lock().pass(partition, offset_next);
        self.is_over.send_modify(|_| ());
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who watches; the seat is free when it is dropped.
#[derive(Debug)]
pub struct Watcher {
    air: Arc<Air>,
    news: watch::Receiver<bool>,
    cursor: Cursor,
    /// Until when the reading may reach the place that the watcher comes from.
    catch_up_until: Option<Instant>,
    _seat: OwnedSemaphorePermit,
}

impl Watcher {
    fn new(air: Arc<Air>, start: Start, seat: OwnedSemaphorePermit, catch_up: Duration) -> Self {
        let news = air.is_over.subscribe();
        let (cursor, catch_up_until) = match start {
            Start::Newest(n_signals) => (air.lock().newest(n_signals), None),
            Start::Behind(place) => {
                (air.lock().behind(place.parse().ok()), Some(Instant::now() + catch_up))
            }
        };
        Self { air, news, cursor, catch_up_until, _seat: seat }
    }

    /// What comes next; `None` when the reading is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Next> {
        if let Some(until) = self.catch_up_until {
            while !self.air.lock().has_read(&self.cursor) {
                match timeout_at(until, self.news.changed()).await {
                    Ok(Ok(())) if !*self.news.borrow() => {}
                    Ok(_) => return None,
                    Err(_) => {
                        self.cursor.lose();
                        break;
                    }
                }
            }
            self.catch_up_until = None;
        }
        loop {
            if *self.news.borrow_and_update() {
                return None;
            }
            let next = self.air.lock().next(&mut self.cursor);
            if next.is_some() {
                return next;
            }
            self.news.changed().await.ok()?;
        }
    }
}

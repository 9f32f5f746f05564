//! Whether the process is ready, whether it is alive, and when it must stop. Knows no Kafka and no
//! HTTP: lanes report here, `http` asks, `commands` listen for signals and everyone waits on
//! `Shutdown`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

/// The signal that ends this process for good.
const FOR_GOOD: &str = "SIGUSR1";

/// How far a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneState {
    /// It has not joined its group yet.
    Starting,
    /// At least one of its partitions is being read back.
    Restoring,
    /// All its partitions, if any, are at work.
    Ready,
}

impl LaneState {
    /// The name that people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Restoring => "restoring",
            Self::Ready => "ready",
        }
    }

    const fn of_u8(value: u8) -> Self {
        match value {
            0 => Self::Starting,
            1 => Self::Restoring,
            _ => Self::Ready,
        }
    }
}

#[derive(Debug)]
struct Cell {
    state: AtomicU8,
    /// When the engine's loop last turned, in milliseconds since `Lanes::started`.
    turned_ms: AtomicU64,
}

/// The lanes of this process: whether they are ready and whether they are alive.
#[derive(Debug)]
pub struct Lanes {
    cells: Vec<Cell>,
    started: Instant,
    silence_max: Duration,
    /// By lane and partition: what stalls, in a sentence.
    stalls: Mutex<BTreeMap<(usize, i32), String>>,
    told: Mutex<Told>,
}

/// What the log was told last, so that it is told what changes.
#[derive(Debug, Default)]
struct Told {
    is_ready: bool,
    /// The lanes that get no answer from the brokers, and since when there are any.
    unanswered: BTreeSet<usize>,
    unanswered_since: Option<Instant>,
}

impl Lanes {
    /// `n_lanes` that are starting. One whose loop has not turned for `silence_max` is not alive;
    /// that must be longer than a commit may block.
    pub fn new(n_lanes: usize, silence_max: Duration) -> Arc<Self> {
        let cell = || Cell { state: AtomicU8::new(0), turned_ms: AtomicU64::new(0) };
        let cells = (0..n_lanes).map(|_| cell()).collect();
        let (stalls, told) = (Mutex::default(), Mutex::default());
        Arc::new(Self { cells, started: Instant::now(), silence_max, stalls, told })
    }

    /// What a lane reports through; `lane` counts from 0.
    ///
    /// # Panics
    /// When there are not that many lanes.
    pub fn lane(self: &Arc<Self>, lane: usize) -> Lane {
        assert!(lane < self.cells.len(), "lane `{lane}` of `{}`", self.cells.len());
        Lane { lanes: Arc::clone(self), lane }
    }

    /// True when every lane is ready and no partition stalls.
    pub fn is_ready(&self) -> bool {
        self.waiting().is_empty() && self.stalls().is_empty()
    }

    /// A sentence for each partition that has work and does not come on.
    pub fn stalls(&self) -> Vec<String> {
        self.lock_stalls().values().cloned().collect()
    }

    fn lock_told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs whether the process is ready where that has changed.
    fn tell(&self) {
        let mut told = self.lock_told();
        let is_ready = self.is_ready();
        if mem::replace(&mut told.is_ready, is_ready) != is_ready {
            info!("{}", if is_ready { "ready" } else { "not ready" });
        }
    }

    fn lock_stalls(&self) -> MutexGuard<'_, BTreeMap<(usize, i32), String>> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lanes that are not ready, and how far they are.
    pub fn waiting(&self) -> Vec<(usize, LaneState)> {
        let states = self.states().into_iter().enumerate();
        states.filter(|(_, state)| *state != LaneState::Ready).collect()
    }

    /// How far each lane is, by its number.
    pub fn states(&self) -> Vec<LaneState> {
        let state = |cell: &Cell| LaneState::of_u8(cell.state.load(Ordering::Acquire));
        self.cells.iter().map(state).collect()
    }

    /// The lanes that are not alive, and how long their loops have not turned.
    pub fn silent(&self) -> Vec<(usize, Duration)> {
        self.silent_after(self.started.elapsed())
    }

    fn silent_after(&self, now: Duration) -> Vec<(usize, Duration)> {
        let silence = |cell: &Cell| {
            now.saturating_sub(Duration::from_millis(cell.turned_ms.load(Ordering::Relaxed)))
        };
        let silences = self.cells.iter().map(silence).enumerate();
        silences.filter(|(_, silence)| *silence > self.silence_max).collect()
    }
}

/// One lane's way to report.
#[derive(Clone, Debug)]
pub struct Lane {
    lanes: Arc<Lanes>,
    lane: usize,
}

impl Lane {
    /// Says how far the lane is.
    pub fn set(&self, state: LaneState) {
        if self.cell().state.swap(state as u8, Ordering::AcqRel) != state as u8 {
            self.lanes.tell();
        }
    }

    /// Says that a partition stalls, or that it does not. Whether it did before.
    pub fn set_stall(&self, partition: i32, sentence: Option<String>) -> bool {
        let mut stalls = self.lanes.lock_stalls();
        let is_stalled = sentence.is_some();
        let former = match sentence {
            Some(sentence) => stalls.insert((self.lane, partition), sentence),
            None => stalls.remove(&(self.lane, partition)),
        };
        drop(stalls);
        if former.is_some() != is_stalled {
            self.lanes.tell();
        }
        former.is_some()
    }

    /// Says whether the brokers answer this lane. The log hears when that changes for all.
    pub fn set_answered(&self, is_answered: bool) {
        let mut told = self.lanes.lock_told();
        if !is_answered {
            told.unanswered.insert(self.lane);
            if told.unanswered_since.is_none() {
                told.unanswered_since = Some(Instant::now());
                warn!(lane = self.lane, "the brokers do not answer; trying again");
            }
        } else if told.unanswered.remove(&self.lane)
            && told.unanswered.is_empty()
            && let Some(since) = told.unanswered_since.take()
        {
            let duration_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            info!(duration_ms, "the brokers answer again");
        }
    }

    /// The engine's loop turned, busy or idle; to be called on every turn, also while restoring.
    pub fn turned(&self) {
        let now_ms = u64::try_from(self.lanes.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.cell().turned_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Whether the loop, or a transaction inside it, has come on in this time.
    pub fn has_turned_within(&self, time: Duration) -> bool {
        let turned = Duration::from_millis(self.cell().turned_ms.load(Ordering::Relaxed));
        self.lanes.started.elapsed().saturating_sub(turned) <= time
    }

    fn cell(&self) -> &Cell {
        &self.lanes.cells[self.lane]
    }
}

/// The one request to stop, seen by threads and by tasks; it cannot be taken back.
#[derive(Clone, Debug)]
pub struct Shutdown {
    // A channel that never carries anything: dropping its sender is the request.
    sender: Arc<Mutex<Option<Sender<()>>>>,
    receiver: Receiver<()>,
    tasks: Arc<watch::Sender<bool>>,
    is_for_good: Arc<AtomicBool>,
}

impl Shutdown {
    /// Not requested yet.
    pub fn new() -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(0);
        let tasks = Arc::new(watch::Sender::new(false));
        let sender = Arc::new(Mutex::new(Some(sender)));
        Self { sender, receiver, tasks, is_for_good: Arc::default() }
    }

    /// Asks everyone to stop; more than once is the same.
    pub fn request(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tasks.send_replace(true);
    }

    /// Whether this process will not come back, so that others should have its work at once.
    pub fn is_for_good(&self) -> bool {
        self.is_for_good.load(Ordering::Acquire)
    }

    /// For a thread that looks between two pieces of work.
    pub fn is_requested(&self) -> bool {
        self.receiver.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// For a thread that waits for other things too: it is disconnected by the request, and never
    /// carries anything.
    pub fn channel(&self) -> &Receiver<()> {
        &self.receiver
    }

    /// Waits at most `timeout`; true when the request came.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.receiver.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }

    /// For a task: completes on the request.
    ///
    /// # Panics
    /// Never: the sender is held by the future.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + 'static {
        // The clone holds the sender, so that waiting ends with the request only.
        let shutdown = self.clone();
        async move {
            let mut requests = shutdown.tasks.subscribe();
            requests.wait_for(|requested| *requested).await.ok();
        }
    }

    /// Takes SIGTERM, SIGINT and SIGUSR1 over at once; the future must then be run beside the work.
    /// The first signal requests the shutdown, SIGUSR1 one for good. A second one, or a shutdown
    /// that takes longer than `grace`, ends the process with exit code 1: its open transaction is
    /// aborted when it starts again.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals(
        &self,
        grace: Duration,
    ) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut user = signal(SignalKind::user_defined1())?;
        let shutdown = self.clone();
        Ok(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                    _ = user.recv() => FOR_GOOD,
                }
            };
            let first = tokio::select! {
                signal = next() => signal,
                () = shutdown.requested() => "a stopped part",
            };
            info!(cause = first, "shutting down");
            shutdown.is_for_good.store(first == FOR_GOOD, Ordering::Release);
            shutdown.request();
            let why = tokio::select! {
                signal = next() => signal,
                () = tokio::time::sleep(grace) => "a shutdown over its time",
            };
            error!(cause = why, "exiting without waiting");
            std::process::exit(1);
        })
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_process_is_ready_when_its_last_lane_is() {
        let lanes = Lanes::new(2, LONG);
        assert_eq!(lanes.waiting(), [(0, LaneState::Starting), (1, LaneState::Starting)]);
        lanes.lane(0).set(LaneState::Ready);
        lanes.lane(1).set(LaneState::Restoring);
        assert!(!lanes.is_ready());
        assert_eq!(lanes.waiting(), [(1, LaneState::Restoring)]);
        lanes.lane(1).set(LaneState::Ready);
        assert!(lanes.is_ready());
    }

    #[test]
    fn a_process_with_a_partition_that_stalls_is_alive_and_not_ready() {
        let lanes = Lanes::new(1, LONG);
        let lane = lanes.lane(0);
        lane.set(LaneState::Ready);
        assert!(!lane.set_stall(3, Some("partition `3` stalls".to_owned())));
        assert!(!lanes.is_ready() && lanes.silent().is_empty());
        assert_eq!(lanes.stalls(), ["partition `3` stalls"]);
        assert!(lane.set_stall(3, None) && !lane.set_stall(3, None));
        assert!(lanes.is_ready());
    }

    #[test]
    fn a_lane_whose_loop_stands_still_is_not_alive_until_it_turns() {
        let lanes = Lanes::new(2, Duration::from_secs(30));
        assert_eq!(lanes.silent(), []);
        let seconds = Duration::from_secs;
        assert_eq!(lanes.silent_after(seconds(31)), [(0, seconds(31)), (1, seconds(31))]);
        lanes.cells[0].turned_ms.store(20_000, Ordering::Relaxed);
        assert_eq!(lanes.silent_after(seconds(31)), [(1, seconds(31))]);
        lanes.lane(0).turned();
        assert!(lanes.cells[0].turned_ms.load(Ordering::Relaxed) < 20_000, "stamped with now");
    }

    #[test]
    fn a_request_wakes_threads_and_tasks_and_stays() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_requested());
        let waiting = shutdown.clone();
        let thread = thread::spawn(move || waiting.wait(LONG));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let task = runtime.spawn(shutdown.requested());
        shutdown.request();
        shutdown.request();
        assert!(thread.join().unwrap());
        runtime.block_on(task).unwrap();
        runtime.block_on(shutdown.requested());
        assert!(shutdown.is_requested());
    }

    #[test]
    fn a_termination_signal_requests_the_shutdown() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let shutdown = Shutdown::new();
        let _guard = runtime.enter();
        let task = runtime.spawn(shutdown.on_signals(LONG).unwrap());
        let id = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        assert!(shutdown.wait(LONG), "the signal was not seen");
        task.abort();
    }
}

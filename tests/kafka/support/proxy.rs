//! A TCP proxy in front of a listener of a broker. Of each request it reads the API key and the
//! number by which its reply is known, and forwards every byte as it came. A test aims at a moment
//! (a request of one kind before the broker has it, or its reply before the client has it); whoever
//! meets it is held there until the test has done what it wants and says how to go on.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::process::Process;
use super::wait_until;

/// No request of a test is longer.
const FRAME_BYTES_MAX: usize = 64 << 20;
const MET_DEADLINE: Duration = Duration::from_mins(2);
/// What was held for so long belongs to a test that is over.
const HELD_MAX: Duration = Duration::from_mins(5);

/// What a request asks for, by its key in Kafka's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    Produce = 0,
    Fetch = 1,
    JoinGroup = 11,
    InitProducerId = 22,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
}

/// Which side of the broker's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// The request has left the client and not reached the broker.
    Request,
    /// The broker has done it and the client does not know.
    Reply,
}

/// What becomes of what was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It goes on, whether or not its sender still lives.
    Open,
    /// It is lost, with its connection.
    Cut,
}

/// An aim at one moment: after the free ones, one of this kind is held, or all.
#[derive(Debug)]
pub(crate) struct Aim {
    api: Api,
    moment: Moment,
    state: Mutex<AimState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct AimState {
    n_free: u32,
    n_held_max: usize,
    /// Lets all pass.
    free_node: Option<usize>,
    /// The proxies that hold something, in the order in which they met it.
    held_at: Vec<usize>,
    verdict: Option<Verdict>,
}

impl Aim {
    /// Waits until something of this process is held; returns the number of the proxy.
    #[track_caller]
    pub(crate) fn wait(&self, process: &mut Process) -> usize {
        wait_until(format!("{:?} {:?}", self.api, self.moment), MET_DEADLINE, || {
            process.assert_runs();
            let state = lock(&self.state);
            state.held_at.first().copied().ok_or_else(|| format!("{} to go", state.n_free))
        })
    }

    /// Lets go on what is held, and what comes.
    pub(crate) fn open(&self) {
        self.end(Verdict::Open);
    }

    /// Loses what is held, with its connections; lets go on what comes.
    pub(crate) fn cut(&self) {
        self.end(Verdict::Cut);
    }

    fn end(&self, verdict: Verdict) {
        lock(&self.state).verdict.get_or_insert(verdict);
        self.changed.notify_all();
    }

    /// Returns at once, or when the test has decided.
    fn pass(&self, node: usize) -> Verdict {
        let mut state = lock(&self.state);
        if state.verdict.is_some() || state.free_node == Some(node) {
            return Verdict::Open;
        }
        if state.n_free > 0 {
            state.n_free -= 1;
            return Verdict::Open;
        }
        if state.held_at.len() == state.n_held_max {
            return Verdict::Open;
        }
        state.held_at.push(node);
        let undecided = |state: &mut AimState| state.verdict.is_none();
        let waited = self.changed.wait_timeout_while(state, HELD_MAX, undecided);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.verdict.unwrap_or(Verdict::Cut)
    }
}

/// Where a test takes aim; proxies of several brokers can share it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    aim: Mutex<Option<Arc<Aim>>>,
    /// How many requests of each kind have come by, and where the last of them went.
    seen: Mutex<BTreeMap<i16, (u64, usize)>>,
}

impl Gate {
    /// Holds one request of this kind, or its reply, after `n_free` more of them. One aim at a
    /// time: an earlier one is opened.
    pub(crate) fn aim(&self, api: Api, moment: Moment, n_free: u32) -> Arc<Aim> {
        self.hold(api, moment, AimState { n_free, n_held_max: 1, ..AimState::default() })
    }

    /// Holds all of them.
    pub(crate) fn dam(&self, api: Api, moment: Moment) -> Arc<Aim> {
        self.hold(api, moment, AimState { n_held_max: usize::MAX, ..AimState::default() })
    }

    /// Holds all of them but at one proxy.
    pub(crate) fn dam_but(&self, api: Api, moment: Moment, free_node: usize) -> Arc<Aim> {
        let free_node = Some(free_node);
        self.hold(
            api,
            moment,
            AimState { n_held_max: usize::MAX, free_node, ..AimState::default() },
        )
    }

    fn hold(&self, api: Api, moment: Moment, state: AimState) -> Arc<Aim> {
        let aim = Arc::new(Aim { api, moment, state: Mutex::new(state), changed: Condvar::new() });
        if let Some(earlier) = lock(&self.aim).replace(Arc::clone(&aim)) {
            earlier.open();
        }
        aim
    }

    /// How many requests of this kind have come by.
    pub(crate) fn n_requests(&self, api: Api) -> u64 {
        lock(&self.seen).get(&(api as i16)).map_or(0, |(n_requests, _)| *n_requests)
    }

    /// Where the last request of this kind went.
    pub(crate) fn node_of(&self, api: Api) -> Option<usize> {
        lock(&self.seen).get(&(api as i16)).map(|(_, node)| *node)
    }

    fn pass(&self, key: i16, moment: Moment, node: usize) -> Verdict {
        if moment == Moment::Request {
            let mut seen = lock(&self.seen);
            let (n_requests, last) = seen.entry(key).or_default();
            (*n_requests, *last) = (*n_requests + 1, node);
        }
        let aim = lock(&self.aim).clone();
        let met = aim.filter(|aim| aim.api as i16 == key && aim.moment == moment);
        met.map_or(Verdict::Open, |aim| aim.pass(node))
    }
}

/// A proxy that listens. Dropped, it takes no more connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    is_closed: Arc<AtomicBool>,
}

impl Proxy {
    /// From `port` to `broker_port`, as number `node` of those that share `gate`.
    pub(crate) fn start(port: u16, broker_port: u16, node: usize, gate: Arc<Gate>) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let is_closed = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&is_closed);
        thread::spawn(move || {
            for client in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                // A broker that is down refuses the connection, and so do we.
                let broker = TcpStream::connect(("127.0.0.1", broker_port));
                if let (Ok(client), Ok(broker)) = (client, broker) {
                    connect(client, broker, node, &gate);
                }
            }
        });
        Proxy { port, is_closed }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Wakes the listener; nothing is lost if it is gone.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// Forwards one connection, on a thread for each direction, until either side ends it.
fn connect(client: TcpStream, broker: TcpStream, node: usize, gate: &Arc<Gate>) {
    // The keys of the requests that await their replies, by the number they share.
    let awaited = Arc::new(Mutex::new(BTreeMap::new()));
    let asked = Arc::clone(&awaited);
    let requests = move |frame: &[u8]| {
        // Key, version, number.
        let [high, low, _, _, number @ ..] = *frame.first_chunk::<8>()?;
        let key = i16::from_be_bytes([high, low]);
        lock(&asked).insert(number, key);
        Some((key, Moment::Request))
    };
    let replies = move |frame: &[u8]| {
        let key = lock(&awaited).remove(frame.first_chunk::<4>()?)?;
        Some((key, Moment::Reply))
    };
    let ends = client.try_clone().and_then(|end| Ok((end, broker.try_clone()?)));
    let Ok((client_end, broker_end)) = ends else { return };
    let way = Arc::clone(gate);
    thread::spawn(move || forward(client, broker, node, &way, requests));
    let way = Arc::clone(gate);
    thread::spawn(move || forward(broker_end, client_end, node, &way, replies));
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    node: usize,
    gate: &Gate,
    read: impl Fn(&[u8]) -> Option<(i16, Moment)>,
) {
    to.set_nodelay(true).ok();
    while let Ok(frame) = frame(&mut from) {
        let verdict = read(&frame[4..]).map_or(Verdict::Open, |(key, at)| gate.pass(key, at, node));
        if verdict == Verdict::Cut || to.write_all(&frame).is_err() {
            break;
        }
    }
    for end in [from, to] {
        end.shutdown(Shutdown::Both).ok();
    }
}

/// The next request or reply, with the four bytes before it that say how long it is.
fn frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let n_bytes = u32::from_be_bytes(size) as usize;
    if n_bytes > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; 4 + n_bytes];
    frame[..4].copy_from_slice(&size);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// Nothing under these locks can panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

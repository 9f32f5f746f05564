//! A TCP proxy in front of a listener of a broker. Of each request it reads the API key and the
//! number by which its reply is known, and forwards every byte as it came. A test dams one kind of
//! reply: whoever meets the dam is held there until the test opens it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// No request of a test is longer.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// What was held for so long belongs to a test that is over.
const HELD_MAX: Duration = Duration::from_mins(5);

/// What a request asks for, by its key in Kafka's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    Fetch = 1,
}

/// Which side of the broker's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// The broker has done it and the client does not know.
    Reply,
}

/// Holds all of one kind.
#[derive(Debug)]
pub(crate) struct Aim {
    api: Api,
    is_open: Mutex<bool>,
    changed: Condvar,
}

impl Aim {
    /// Lets go on what is held, and what comes.
    pub(crate) fn open(&self) {
        *lock(&self.is_open) = true;
        self.changed.notify_all();
    }

    /// Returns at once, or when the test has decided.
    fn pass(&self) {
        let waited =
            self.changed.wait_timeout_while(lock(&self.is_open), HELD_MAX, |is_open| !*is_open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Where a test takes aim.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    aim: Mutex<Option<Arc<Aim>>>,
}

impl Gate {
    /// Holds all replies to requests of this kind.
    pub(crate) fn dam(&self, api: Api, _at: Moment) -> Arc<Aim> {
        let aim = Arc::new(Aim { api, is_open: Mutex::default(), changed: Condvar::new() });
        if let Some(earlier) = lock(&self.aim).replace(Arc::clone(&aim)) {
            earlier.open();
        }
        aim
    }

    fn pass(&self, key: i16) {
        let aim = lock(&self.aim).clone();
        if let Some(aim) = aim.filter(|aim| aim.api as i16 == key) {
            aim.pass();
        }
    }
}

/// A proxy that listens. Dropped, it takes no more connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    is_closed: Arc<AtomicBool>,
}

impl Proxy {
    /// From `port` to `broker_port`.
    pub(crate) fn start(port: u16, broker_port: u16, gate: Arc<Gate>) -> Proxy {
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
                    connect(client, broker, &gate);
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
fn connect(client: TcpStream, broker: TcpStream, gate: &Arc<Gate>) {
    // The keys of the requests that await their replies, by the number they share.
    let awaited = Arc::new(Mutex::new(BTreeMap::new()));
    let asked = Arc::clone(&awaited);
    let requests = move |frame: &[u8]| {
        // Key, version, number.
        if let Some([high, low, _, _, number @ ..]) = frame.first_chunk::<8>() {
            lock(&asked).insert(*number, i16::from_be_bytes([*high, *low]));
        }
    };
    let way = Arc::clone(gate);
    let replies = move |frame: &[u8]| {
        let key = frame.first_chunk::<4>().and_then(|number| lock(&awaited).remove(number));
        if let Some(key) = key {
            way.pass(key);
        }
    };
    let ends = client.try_clone().and_then(|end| Ok((end, broker.try_clone()?)));
    let Ok((client_end, broker_end)) = ends else { return };
    thread::spawn(move || forward(client, broker, requests));
    thread::spawn(move || forward(broker_end, client_end, replies));
}

fn forward(mut from: TcpStream, mut to: TcpStream, meet: impl Fn(&[u8])) {
    to.set_nodelay(true).ok();
    while let Ok(frame) = frame(&mut from) {
        meet(&frame[4..]);
        if to.write_all(&frame).is_err() {
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

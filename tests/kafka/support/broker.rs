//! A real Apache Kafka on free ports, its data in a directory of its own, killed with the test.
//! It must not hold topics or clients: see `topics`.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;
use std::{env, iter};

use tempfile::TempDir;

use super::process::Process;
use super::wait_until;

const START_DEADLINE: Duration = Duration::from_secs(90);
const STOP_DEADLINE: Duration = Duration::from_mins(1);

/// A single-node cluster. Dropped, it is killed and its data is gone.
#[derive(Debug)]
pub(crate) struct Broker {
    // Declared first, so that the process ends before its directory goes.
    process: Option<Process>,
    dir: TempDir,
    jars: PathBuf,
    port: u16,
    n_starts: u32,
}

impl Broker {
    /// Starts one for this test alone; `None` if this machine cannot, which counts as skipped.
    pub(crate) fn start() -> Option<Broker> {
        Broker::start_with(|_| (String::new(), Vec::new()))
    }

    /// With settings of its own, which win, and more arguments of `format`, made in its directory.
    pub(crate) fn start_with(own: impl FnOnce(&Path) -> (String, Vec<String>)) -> Option<Broker> {
        let mut broker = Broker::format([free_port(), free_port()], |dir| {
            let (settings, mut arguments) = own(dir);
            arguments.push("--standalone".to_owned());
            (settings, arguments)
        })?;
        broker.restart();
        Some(broker)
    }

    /// One that has not been started yet, on ports for clients and for controllers, with more lines
    /// of settings, which win, and more arguments of `format`.
    pub(super) fn format(
        ports: [u16; 2],
        own: impl FnOnce(&Path) -> (String, Vec<String>),
    ) -> Option<Broker> {
        let jars = jars()?;
        let dir = TempDir::with_prefix_in("kafka-", env!("CARGO_TARGET_TMPDIR")).unwrap();
        let [port, controller] = ports;
        let (own_settings, own_arguments) = own(dir.path());
        let settings = (include_str!("../broker/server.properties").to_owned() + &own_settings)
            .replace("{dir}", dir.path().to_str().unwrap())
            .replace("{port}", &port.to_string())
            .replace("{controller}", &controller.to_string());
        fs::write(dir.path().join("server.properties"), settings).unwrap();
        let broker = Broker { process: None, dir, jars, port, n_starts: 0 };
        let mut format = broker.java("kafka.tools.StorageTool");
        format.args(["format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"]).arg(broker.settings());
        let output = format.args(own_arguments).output().unwrap();
        assert!(output.status.success(), "failed to format the broker's directory: {output:?}");
        Some(broker)
    }

    /// The one that tests share which leave it alone: it ends with the last of them.
    pub(crate) fn shared() -> Option<Arc<Broker>> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        // A start that failed leaves nothing behind: the next test may try, and fail, by itself.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = shared.upgrade() {
            return Some(broker);
        }
        let broker = Arc::new(Broker::start()?);
        *shared = Arc::downgrade(&broker);
        Some(broker)
    }

    /// Where clients connect, as `bootstrap.servers` wants it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill_9(&mut self) {
        self.process.take().expect("the broker runs").kill_9();
    }

    /// Stops it cleanly.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.process.take().expect("the broker runs").end_by("TERM", STOP_DEADLINE)
    }

    /// Starts it on the same data and the same port, and waits until it serves.
    pub(crate) fn restart(&mut self) {
        self.launch();
        self.wait_until_started();
    }

    /// Starts it and does not wait.
    pub(super) fn launch(&mut self) {
        assert!(self.process.is_none(), "the broker runs already");
        self.n_starts += 1;
        let log = self.dir.path().join(format!("server-{}.log", self.n_starts));
        let mut command = self.java("kafka.Kafka");
        self.process = Some(Process::start(command.arg(self.settings()), &log));
    }

    pub(super) fn wait_until_started(&mut self) {
        let process = self.process.as_mut().expect("the broker was launched");
        // Not the port: it opens before the broker serves.
        wait_until("the broker to start", START_DEADLINE, || {
            if let Some(status) = process.exit_status() {
                panic!("the broker ended with {status}");
            }
            let log = process.log();
            let seen = || log.lines().last().unwrap_or("an empty log").to_owned();
            log.contains("Kafka Server started").then_some(()).ok_or_else(seen)
        });
    }

    fn settings(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        // The quick compiler alone: a test's broker lives for seconds.
        command.args(["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg("-cp").arg(self.jars.join("*")).arg(class);
        command
    }
}

/// A port on which nobody listens, below those that the system hands to outgoing connections, so
/// that it is still free when a killed process wants it back. No two tests get the same one.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    iter::repeat_with(|| 20_000 + u16::try_from(random() % 12_000).expect("below 12,000"))
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok() && given.insert(port))
        .expect("the iterator does not end")
}

/// A name that no other test and no earlier run has used.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", random())
}

fn random() -> u64 {
    // The standard library seeds each state at random; a test needs no more.
    RandomState::new().hash_one(0)
}

/// Where the broker's jars are, fetched if need be.
fn jars() -> Option<PathBuf> {
    static JARS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let fetch = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/broker/jars");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it has a parent");
        let output = Command::new(script).arg(target).output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(PathBuf::from(text(&output.stdout)))
        } else {
            Err(text(&output.stderr))
        }
    };
    JARS.get_or_init(fetch).as_ref().map_err(|reason| skip(reason)).ok().cloned()
}

/// Says past the capture of output that this test has not run; under `CI` that is a failure.
fn skip(reason: &str) {
    let ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!ci, "no broker, and with `CI` set nothing may be skipped: {reason}");
    let line = format!("\nSKIPPED {}: {reason}\n", thread::current().name().unwrap_or("a test"));
    io::stderr().write_all(line.as_bytes()).unwrap();
}

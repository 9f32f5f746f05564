//! The program on a test's broker: topics, group and configuration of its own, the processes that
//! run it, and `replay` under the same configuration. It must not judge what they do.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::broker::{free_port, unique};
use super::cluster::Way;
use super::process::Process;
use super::topics::{Feed, Topics, Watch};
use super::wait_until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lifetide");
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/bg-nbd.toml");
const N_PARTITIONS: i32 = 4;
const START_DEADLINE: Duration = Duration::from_mins(1);
/// With restores and a session timeout of six seconds in it.
const END_DEADLINE: Duration = Duration::from_mins(2);
/// What `run` promises.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Topics, a group, a configuration. Its directory stays if the test fails.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) topics: Topics,
    name: String,
    dir: TempDir,
}

impl Deployment {
    /// On the broker at `address`. Windows are wide enough for CDNOW in any order, and transactions
    /// so small that whatever happens has a good chance to meet one.
    pub(crate) fn new(address: &str) -> Deployment {
        Deployment::of_partitions(address, N_PARTITIONS)
    }

    pub(crate) fn of_partitions(address: &str, n_partitions: i32) -> Deployment {
        let deployment = Deployment {
            topics: Topics::of(address.to_owned()),
            name: unique("shop"),
            dir: TempDir::with_prefix_in("lifetide-", env!("CARGO_TARGET_TMPDIR")).unwrap(),
        };
        for kind in ["events", "scores", "signals", "refused"] {
            deployment.topics.create(&deployment.topic(kind), n_partitions, &[]);
        }
        // Compacted while the test runs, so that restores read what compaction leaves.
        let compacted = [
            ("cleanup.policy", "compact"),
            ("segment.ms", "1000"),
            ("min.cleanable.dirty.ratio", "0.01"),
        ];
        deployment.topics.create(&deployment.topic("state"), n_partitions, &compacted);
        let name = &deployment.name;
        let config = format!(
            "[kafka]
brokers = '{address}'
group_id = '{name}'
input_topic = '{name}.events'
scores_topic = '{name}.scores'
signals_topic = '{name}.signals'
dlq_topic = '{name}.refused'
changelog_topic = '{name}.state'
models_topic = '{name}.models'
session_timeout_ms = 6000
transaction_timeout_ms = 5000
revoke_budget_ms = 3000
[processing]
commit_interval_ms = 20
transaction_events_max = 60
emit = 'event'
refund_window_days = 400
lateness_days = 600
dedup_events = 4096
idle_lag_s = -1
[model]
file = '{MODEL}'
"
        );
        fs::write(deployment.config(), config).unwrap();
        deployment
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("lifetide.toml")
    }

    /// The group's.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// One of `events`, `scores`, `signals`, `refused`, `state` and `models`; the last is not made.
    pub(crate) fn topic(&self, kind: &str) -> String {
        format!("{}.{kind}", self.name)
    }

    /// The way in.
    pub(crate) fn feed(&self) -> Feed {
        self.topics.feed(&self.topic("events"))
    }

    /// How far the group has come, asked without waiting for what is pending.
    pub(crate) fn glance(&self) -> Watch {
        self.topics.glance(&self.name, &self.topic("events"))
    }

    /// How far the group has come.
    pub(crate) fn watch(&self) -> Watch {
        self.topics.watch(&self.name, &self.topic("events"))
    }

    pub(crate) fn group(&self) -> &str {
        &self.name
    }

    /// Waits until the group has processed all that was sent; these live meanwhile.
    pub(crate) fn wait_for_end(&self, processes: &mut [&mut Process]) {
        let (watch, ends) = (self.watch(), self.topics.end_offsets(&self.topic("events")));
        wait_until("all that was sent to be processed", END_DEADLINE, || {
            for process in &mut *processes {
                process.assert_runs();
            }
            watch.has_reached(&ends)
        });
    }

    /// One process of the group, with `n_workers` lanes. Its name is its identity.
    pub(crate) fn instance(&self, name: &str, n_workers: u32) -> Instance {
        let port = free_port();
        let sets = vec![
            format!("kafka.instance_id={name}"),
            format!("processing.workers={n_workers}"),
            format!("http.listen=127.0.0.1:{port}"),
        ];
        let logs = self.dir.path().join(name);
        Instance { config: self.config(), sets, variables: Vec::new(), port, logs, n_starts: 0 }
    }

    /// A command of the program that needs this cluster, ready to be run.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(name).arg("--config").arg(self.config());
        // A lane's own settings; no process has this identity.
        command.args(["--set", "kafka.instance_id=tool"]).args(arguments);
        command
    }

    /// A process of [`Deployment::command`], its output in a log of this name.
    pub(crate) fn start(&self, mut command: Command, log: &str) -> Process {
        Process::start(&mut command, &self.dir.path().join(log))
    }

    /// Writes lines to a file of this name.
    pub(crate) fn write<'a>(
        &self,
        name: &str,
        lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> PathBuf {
        let path = self.dir.path().join(name);
        let text: Vec<u8> = lines.into_iter().flat_map(|line| [line, b"\n"].concat()).collect();
        fs::write(&path, text).unwrap();
        path
    }

    /// `lifetide replay` under the same configuration.
    pub(crate) fn replay(&self, input: &Path, option: &str, file: &Path) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("replay").arg("--strict").arg("--config").arg(self.config());
        command.arg("--input").arg(input).arg(option).arg(file);
        command.output().unwrap()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("--- logs and files stay in {}", self.dir.path().display());
        }
    }
}

/// A process of the group, which can be started again and again under one identity.
#[derive(Debug)]
pub(crate) struct Instance {
    config: PathBuf,
    sets: Vec<String>,
    /// Of the environment.
    variables: Vec<(String, String)>,
    port: u16,
    logs: PathBuf,
    n_starts: u32,
}

impl Instance {
    /// With settings of its own.
    pub(crate) fn with(mut self, sets: &[&str]) -> Instance {
        self.sets.extend(sets.iter().map(|&set| set.to_owned()));
        self
    }

    /// With a variable in its environment.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Instance {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Behind these proxies instead of straight at the brokers.
    pub(crate) fn through(self, way: &Way) -> Instance {
        self.with(&[&format!("kafka.brokers={}", way.address())])
    }

    pub(crate) fn start(&mut self) -> Process {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&mut self, arguments: &[&str]) -> Process {
        self.n_starts += 1;
        Process::start(self.command("run").args(arguments), &self.log(self.n_starts))
    }

    /// `lifetide check` under the same configuration.
    pub(crate) fn check(&self, arguments: &[&str]) -> Output {
        self.command("check").args(arguments).output().unwrap()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(name).arg("--config").arg(&self.config);
        command.args(self.sets.iter().flat_map(|set| ["--set", set]));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it until the group has processed all that was sent.
    pub(crate) fn run_to_end(&mut self, deployment: &Deployment) {
        let mut process = self.start();
        deployment.wait_for_end(&mut [&mut process]);
        Instance::stop(process);
    }

    /// Starts it again if it has ended, which it may do only as `run` says it does: exit code 1, a
    /// restart goes on.
    pub(crate) fn keep_running(&mut self, process: &mut Process) {
        if let Some(status) = process.exit_status() {
            assert_eq!(status.code(), Some(1), "{}", process.log());
            *process = self.start();
        }
    }

    /// The logs of all its processes so far.
    pub(crate) fn logs(&self) -> String {
        (1..=self.n_starts).map(|start| fs::read_to_string(self.log(start)).unwrap()).collect()
    }

    fn log(&self, start: u32) -> PathBuf {
        self.logs.with_extension(format!("{start}.log"))
    }

    /// Waits until all that the process owns is restored.
    pub(crate) fn wait_until_ready(&self, process: &mut Process) {
        wait_until("the processor to be ready", START_DEADLINE, || {
            process.assert_runs();
            match self.get("/ready") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// Starts it, expects that it refuses to go on, and returns what it said.
    pub(crate) fn refusal(&mut self) -> String {
        let mut process = self.start();
        let status = wait_until("the processor to refuse to go on", START_DEADLINE, || {
            process.exit_status().ok_or_else(|| process.log())
        });
        assert_eq!(status.code(), Some(1), "{}", process.log());
        process.log()
    }

    /// Asks it to stop, and expects what `run` promises: exit code 0 in 30 s.
    pub(crate) fn stop(process: Process) {
        Self::end(process, "TERM");
    }

    /// Asks it to stop for good, so that others have its partitions at once.
    pub(crate) fn leave(process: Process) {
        Self::end(process, "USR1");
    }

    fn end(process: Process, signal: &str) {
        let log = process.log_path().to_owned();
        let status = process.end_by(signal, STOP_DEADLINE);
        let tail = || fs::read_to_string(&log).unwrap();
        assert!(status.success(), "`{}` ended with {status}\n{}", log.display(), tail());
    }

    /// A whole number of its metrics, by all that stands before it.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (_, metrics) = self.get("/metrics").unwrap();
        let found = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no `{series}` in\n{metrics}")).parse().unwrap()
    }

    /// The status and the body of an answer.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String), String> {
        self.get_with(path, "")
    }

    /// The same with header lines, each with its line end.
    pub(crate) fn get_with(&self, path: &str, headers: &str) -> Result<(u16, String), String> {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
            write!(stream, "{head}{headers}\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer: String = ask().map_err(|error: std::io::Error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(answer.as_str())?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(head)?, body.to_owned()))
    }
}

//! A process that cannot outlive the test that started it. `broker` builds on it.
//! It must not know what the process is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::wait_until;

/// How many lines of the log a failing test shows.
const LOG_TAIL_LINES: usize = 40;

const LOG_DEADLINE: Duration = Duration::from_mins(2);

/// A running process whose standard output and error go to a file.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// A shell that kills the child when this process is gone, however it went.
    watchdog: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Process {
        let file = File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        // Its standard input is a pipe that we hold: `read` returns when we are gone.
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$1\"", "watchdog", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Process { child, watchdog, log: log.to_owned() }
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill_9(mut self) {
        self.end();
    }

    /// Asks it to end with a signal, and fails the test unless it has by the deadline.
    pub(crate) fn end_by(mut self, signal: &str, deadline: Duration) -> ExitStatus {
        self.signal(signal);
        wait_until(format!("`{}` to end", self.log.display()), deadline, || {
            self.exit_status().ok_or_else(|| "it still runs".to_owned())
        })
    }

    /// Sends it a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Freezes it where it stands.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on: it does not know that time has passed.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// The most memory that it has had resident at any time.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    /// Fails the test if it has ended by itself.
    pub(crate) fn assert_runs(&mut self) {
        if let Some(status) = self.exit_status() {
            panic!("the process of `{}` ended with {status}", self.log.display());
        }
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until it has logged these words so many times.
    #[track_caller]
    pub(crate) fn wait_for_log(&mut self, words: &str, n_times: usize) {
        wait_until(format!("`{words}` in the log"), LOG_DEADLINE, || {
            let log = self.log();
            let n_found = log.matches(words).count();
            if n_found < n_times {
                self.assert_runs();
                return Err(format!("{n_found} of {n_times} in\n{log}"));
            }
            Ok(())
        });
    }

    /// Waits until it has ended by itself as a process does that will not go on, and has said why.
    #[track_caller]
    pub(crate) fn wait_for_refusal(mut self, words: &[&str]) {
        let status = wait_until("the process to refuse", LOG_DEADLINE, || {
            self.exit_status().ok_or_else(|| self.log())
        });
        let log = self.log();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(words.iter().all(|words| log.contains(words)), "not all of {words:?} in\n{log}");
    }

    fn end(&mut self) {
        // The watchdog first: once the child is reaped, its number may be another process's.
        for process in [&mut self.watchdog, &mut self.child] {
            // Fails only when it has ended already.
            drop(process.kill());
            process.wait().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            let log = self.log();
            let n_skipped = log.lines().count().saturating_sub(LOG_TAIL_LINES);
            let tail: Vec<&str> = log.lines().skip(n_skipped).collect();
            eprintln!("--- end of {}\n{}", self.log.display(), tail.join("\n"));
        }
    }
}

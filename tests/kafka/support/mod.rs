//! What the tests share: a broker of their own, its topics, and processes that end with the test.
//! It must not assert what a test is about.

pub(super) mod acls;
pub(super) mod broker;
pub(super) mod cluster;
pub(super) mod deployment;
pub(super) mod load;
pub(super) mod process;
pub(super) mod proxy;
pub(super) mod secure;
pub(super) mod topics;
pub(super) mod traffic;

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// Asks `probe` until it answers with a value. Its error says what was seen instead; past the
/// deadline the last one fails the test.
#[track_caller]
pub(super) fn wait_until<T>(
    what: impl Display,
    deadline: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(seen) if start.elapsed() > deadline => {
                panic!("waited {deadline:?} for {what}; last seen: {seen}")
            }
            Err(_) => pause(Duration::from_millis(20)),
        }
    }
}

/// Lets another process run for so long.
#[expect(clippy::disallowed_methods, reason = "another process has no channel to wait on")]
pub(super) fn pause(duration: Duration) {
    thread::sleep(duration);
}

//! Processes and brokers are killed at moments that nobody chose, again and again, under a load
//! that does not pause for it; in the end the books must be right. `tests/run storm` kills 200
//! times over three brokers and sends 20,000 events a second; here it is a few times over one, at a
//! rate that leaves room for others. Read with `read_committed`.

use std::env;
use std::time::{Duration, Instant};

use crate::audit::audit;
use crate::support::cluster::Cluster;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::Dice;
use crate::support::process::Process;
use crate::support::traffic::{Pace, Traffic};
use crate::support::{pause, wait_until};

const N_PARTITIONS: i32 = 12;
const END_DEADLINE: Duration = Duration::from_secs(30);
/// With a session timeout, a broker's start and a backlog of events in it.
const DEADLINE: Duration = Duration::from_mins(30);
/// Time from one blow to the next, in milliseconds: within transactions, restores and rebalances.
const PAUSE_MS: (u64, u64) = (100, 4_000);
/// How long a process stands still, in milliseconds: also longer than its session.
const STILL_MS: (u64, u64) = (500, 9_000);

/// When a changelog is cleaned: the default of brokers.
const CLEAN_AT: (&str, &str) = ("min.cleanable.dirty.ratio", "0.5");

/// How hard it blows.
struct Force {
    seed: u64,
    n_kills: u64,
    n_brokers: u64,
    events_per_s: u64,
}

impl Force {
    fn of_environment() -> Force {
        let number = |name: &str, default: u64| {
            env::var(name).map_or(default, |value| value.parse().expect("a whole number"))
        };
        Force {
            seed: number("LIFETIDE_STORM_SEED", 1),
            n_kills: number("LIFETIDE_STORM_KILLS", 6),
            n_brokers: number("LIFETIDE_STORM_BROKERS", 1),
            events_per_s: number("LIFETIDE_STORM_EVENTS_PER_S", 2_000),
        }
    }
}

/// A process of the group that comes back whatever happens to it.
struct Member {
    instance: Instance,
    process: Process,
}

impl Member {
    fn new(mut instance: Instance) -> Member {
        let process = instance.start();
        Member { instance, process }
    }

    /// Ends the process by `end`, and starts the next one after `pause_ms`.
    fn replace(self, end: fn(Process), pause_ms: u64) -> Member {
        end(self.process);
        pause(Duration::from_millis(pause_ms));
        Member::new(self.instance)
    }

    fn freeze(&self, still_ms: u64) {
        self.process.signal("STOP");
        pause(Duration::from_millis(still_ms));
        self.process.signal("CONT");
    }
}

#[test]
fn a_storm_of_kills_under_load_loses_and_doubles_nothing() {
    let force = Force::of_environment();
    let n_brokers = usize::try_from(force.n_brokers).unwrap();
    let Some(mut cluster) = Cluster::start(n_brokers, 0) else { return };
    let deployment = Deployment::of_partitions(&cluster.address(), N_PARTITIONS);
    // Cleaned each second, as elsewhere here, the changelog would be most of the brokers' work.
    let (state, cleaned) = (deployment.topic("state"), [("segment.ms", "20000"), CLEAN_AT]);
    for (name, value) in cleaned {
        deployment.topics.configure(&state, name, value);
    }
    let quick = ["processing.commit_interval_ms=100", "processing.transaction_events_max=5000"];
    let member = |(name, lanes)| Member::new(deployment.instance(name, lanes).with(&quick));
    let mut members: Vec<Member> = [("one", 1), ("two", 2), ("three", 1)].map(member).into();
    let silence = Some((Duration::from_secs(8), Duration::from_secs(3)));
    let pace = Pace { events_per_s: force.events_per_s, silence };
    let traffic = Traffic::start(deployment.feed(), force.seed, pace);

    let mut dice = Dice::new(force.seed);
    let mut between = |(from, to): (u64, u64)| from + dice.below(to - from);
    let began = Instant::now();
    let (mut n_of_processes, mut n_of_brokers) = (0, 0);
    while n_of_processes + n_of_brokers < force.n_kills {
        pause(Duration::from_millis(between(PAUSE_MS)));
        let blow = between((0, 100));
        let member = members.remove(0);
        members.push(match blow {
            0..60 => {
                n_of_processes += 1;
                member.replace(Process::kill_9, between((0, 1_500)))
            }
            60..75 => {
                member.freeze(between(STILL_MS));
                member
            }
            75..80 => member.replace(|process| end(process, "TERM"), between((0, 1_500))),
            80..85 => member.replace(|process| end(process, "USR1"), between((0, 1_500))),
            _ => {
                n_of_brokers += 1;
                let node = cluster.node(usize::try_from(between((0, force.n_brokers))).unwrap());
                node.kill_9();
                node.restart();
                member
            }
        });
        for Member { instance, process } in &mut members {
            instance.keep_running(process);
        }
    }
    let n_sent = traffic.end();
    let blew_s = began.elapsed().as_secs();
    finish(&deployment, members);
    let books = audit(&deployment);
    // The test's own producer may send a record again when a broker dies; the topic is what counts.
    assert!(books.records >= n_sent, "{} records of {n_sent}", books.records);
    println!(
        "seed {}: killed {n_of_processes} processes and {n_of_brokers} brokers in {blew_s} s; \
         {books}",
        force.seed
    );
}

/// Asks a process to end. In a storm it may be about to end by itself, as `run` says that it does.
fn end(process: Process, signal: &str) {
    let log = process.log_path().to_owned();
    let code = process.end_by(signal, END_DEADLINE).code();
    assert!(matches!(code, Some(0 | 1)), "`{}` ended with {code:?}", log.display());
}

/// Waits until everything is read, and ends all.
fn finish(deployment: &Deployment, mut members: Vec<Member>) {
    let watch = deployment.watch();
    let ends = deployment.topics.end_offsets(&deployment.topic("events"));
    wait_until("all that was sent to be processed", DEADLINE, || {
        for Member { instance, process } in &mut members {
            instance.keep_running(process);
        }
        watch.has_reached(&ends)
    });
    for member in members {
        Instance::stop(member.process);
    }
}

//! Processes come and go under load, and partitions follow by the group alone. For each change it
//! says how long partitions stood still: from one commit to the next, the longest time of each
//! partition, by its median and its maximum over the partitions. Read with `read_committed`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::audit::audit;
use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::process::Process;
use crate::support::topics::Watch;
use crate::support::traffic::{Pace, Traffic};
use crate::support::{pause, wait_until};

const SEED: u64 = 3;
const N_PARTITIONS: i32 = 12;
/// Enough that each partition has something to commit all the time.
const EVENTS_PER_S: u64 = 3_000;
/// How long the partitions are watched once all have come on after a change.
const AFTERMATH: Duration = Duration::from_secs(3);
/// How long they may take for that: less than the patient wait for a session.
const COME_ON_DEADLINE: Duration = Duration::from_mins(1);
const DEADLINE: Duration = Duration::from_mins(3);
/// Longer than anything here takes, so that whoever waits for it is found out.
const PATIENT: &str = "kafka.session_timeout_ms=120000";
const BRIEF: &str = "kafka.session_timeout_ms=6000";

/// A moment, and how far the group was by partition.
type Glance = (Instant, Vec<Option<i64>>);

/// Looks at the group's offsets all the time.
struct Observer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Glance>>,
}

impl Observer {
    fn start(watch: Watch) -> Observer {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.push((Instant::now(), watch.committed()));
                pause(Duration::from_millis(10));
            }
            seen
        });
        Observer { is_over, thread }
    }

    fn end(self) -> Vec<Glance> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("what the thread asserts holds")
    }
}

/// Of each partition the longest time without a commit between two moments.
fn standstills(seen: &[Glance], began: Instant, ended: Instant) -> Vec<Duration> {
    let window: Vec<_> = seen.iter().filter(|(at, _)| (began..ended).contains(at)).collect();
    let of_partition = |partition: usize| {
        let (mut since, mut longest) = (began, Duration::ZERO);
        for pair in window.windows(2) {
            let [(_, before), (at, after)] = pair else { continue };
            if after[partition] != before[partition] {
                longest = longest.max(*at - since);
                since = *at;
            }
        }
        longest.max(ended - since)
    };
    let mut longest: Vec<Duration> =
        (0..usize::try_from(N_PARTITIONS).unwrap()).map(of_partition).collect();
    longest.sort();
    longest
}

/// Waits until each partition has been committed again, and for what may come of it.
fn settle(watch: &Watch) {
    let before = watch.committed();
    wait_until("each partition to come on", COME_ON_DEADLINE, || {
        let after = watch.committed();
        let has_moved = after.iter().zip(&before).all(|(after, before)| after > before);
        has_moved.then_some(()).ok_or_else(|| format!("{before:?}, then {after:?}"))
    });
    pause(AFTERMATH);
}

/// The partitions that a process shows as its own in its metrics, each with its lag; none while it
/// does not know all lags yet.
fn owned(instance: &Instance) -> BTreeSet<i32> {
    let Ok((_, metrics)) = instance.get("/metrics") else { return BTreeSet::new() };
    let of = |name: &str| -> BTreeSet<i32> {
        let values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.split_once("\"} "));
        values.map(|(partition, _)| partition.parse().unwrap()).collect()
    };
    let partitions = of("lifetide_partition_owned{partition=\"");
    let lagging = of("lifetide_input_lag_records{partition=\"");
    if partitions == lagging { partitions } else { BTreeSet::new() }
}

/// Waits until the processes own all partitions between them, about equally.
fn wait_for_shares(members: &mut [(&mut Instance, &mut Process)]) {
    wait_until("the processes to share the partitions", DEADLINE, || {
        for (instance, process) in members.iter_mut() {
            instance.keep_running(process);
        }
        let shares: Vec<_> = members.iter().map(|(instance, _)| owned(instance)).collect();
        let all: BTreeSet<i32> = shares.iter().flatten().copied().collect();
        let n_all = usize::try_from(N_PARTITIONS).unwrap();
        let fair = n_all / members.len();
        let is_fair = shares.iter().all(|share| share.len().abs_diff(fair) <= 1);
        let is_whole =
            all.len() == n_all && shares.iter().map(BTreeSet::len).sum::<usize>() == n_all;
        (is_whole && is_fair).then_some(()).ok_or_else(|| format!("{shares:?}"))
    });
}

#[test]
fn one_then_three_then_two_processes_share_the_partitions_under_load() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::of_partitions(&broker.address(), N_PARTITIONS);
    let instance = |name: &str, session: &str| {
        let ordinary =
            ["processing.commit_interval_ms=100", "processing.transaction_events_max=20000"];
        deployment.instance(name, 2).with(&ordinary).with(&[session])
    };
    let mut one = instance("one", PATIENT);
    let mut two = instance("two", PATIENT);
    let mut three = instance("three", BRIEF);
    let traffic =
        Traffic::start(deployment.feed(), SEED, Pace { events_per_s: EVENTS_PER_S, silence: None });
    let mut first = one.start();
    one.wait_until_ready(&mut first);
    let (observer, watch) = (Observer::start(deployment.glance()), deployment.glance());
    let mut changes = Vec::new();
    let mut change = |name: &'static str| changes.push((name, Instant::now()));

    change("nothing");
    settle(&watch);
    change("two more join one");
    let (mut second, mut third) = (two.start(), three.start());
    settle(&watch);
    wait_for_shares(&mut [
        (&mut one, &mut first),
        (&mut two, &mut second),
        (&mut three, &mut third),
    ]);
    change("one of three is restarted");
    Instance::stop(second);
    second = two.start();
    settle(&watch);
    change("one of three is killed, started again at once");
    second.kill_9();
    second = two.start();
    settle(&watch);
    change("one of three is frozen for longer than its session of 6 s");
    third.signal("STOP");
    pause(Duration::from_secs(9));
    third.signal("CONT");
    settle(&watch);
    three.keep_running(&mut third);
    wait_for_shares(&mut [
        (&mut one, &mut first),
        (&mut two, &mut second),
        (&mut three, &mut third),
    ]);
    change("one of three is killed, its session is 6 s");
    third.kill_9();
    settle(&watch);
    third = three.start();
    wait_for_shares(&mut [
        (&mut one, &mut first),
        (&mut two, &mut second),
        (&mut three, &mut third),
    ]);
    change("one of three leaves");
    Instance::leave(second);
    settle(&watch);
    wait_for_shares(&mut [(&mut one, &mut first), (&mut three, &mut third)]);

    change("the end");
    let n_sent = traffic.end();
    report(&changes, &observer.end());
    let ends = deployment.topics.end_offsets(&deployment.topic("events"));
    wait_until("all that was sent to be processed", DEADLINE, || watch.has_reached(&ends));
    Instance::stop(first);
    Instance::stop(third);
    assert_eq!(audit(&deployment).records, n_sent);
}

fn report(changes: &[(&str, Instant)], seen: &[Glance]) {
    println!("median  maximum of the partitions' longest times without a commit");
    for pair in changes.windows(2) {
        let [(name, began), (_, ended)] = pair else { continue };
        let longest = standstills(seen, *began, *ended);
        let (median, maximum) = (longest[longest.len() / 2], longest[longest.len() - 1]);
        println!("{:>6}  {:>4} ms  {name}", median.as_millis(), maximum.as_millis());
    }
}

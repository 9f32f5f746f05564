//! Kills at chosen moments: a proxy holds one request of the processor, or the reply to it, and the
//! processor is killed there with kill -9. What was held is lost with the connection, or reaches
//! the broker when another process has taken over, as a packet that was long on its way. The output
//! is read with `read_committed`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lifetide::config::Emit;

use crate::equality::Outcome;
use crate::recount::Recounter;
use crate::support::cluster::{Cluster, Way};
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::proxy::{Api, Moment};
use crate::support::topics::Watch;
use crate::support::wait_until;

/// Of the load.
const SEED: u64 = 26;
const DEADLINE: Duration = Duration::from_mins(2);
/// What a life meets before it ends: the first transaction, or a later one.
const FREE: [u32; 3] = [0, 2, 1];

/// What a transaction asks of the brokers, in its order. Producing may come before the offsets or
/// after, and so may their registrations.
const TRANSACTION: [Api; 6] = [
    Api::InitProducerId,
    Api::AddPartitionsToTxn,
    Api::Produce,
    Api::AddOffsetsToTxn,
    Api::TxnOffsetCommit,
    Api::EndTxn,
];

/// Goal: wherever a transaction is cut off, and whatever of it arrives later, everything is there
/// once.
#[test]
fn kills_before_and_after_each_request_of_a_transaction_leave_everything_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let way = cluster.way();
    let mut instance = deployment.instance("aimed", 1).through(&way);
    let (feed, watch) = (deployment.feed(), deployment.watch());
    let moments =
        TRANSACTION.into_iter().flat_map(|api| [(api, Moment::Request), (api, Moment::Reply)]);
    let late = [Api::Produce, Api::TxnOffsetCommit, Api::EndTxn];
    let n_lives = 2 * TRANSACTION.len() + late.len() + 2;
    let mut chunks = load.stream.chunks(load.stream.len().div_ceil(n_lives + 1));

    for ((api, moment), n_free) in moments.zip(FREE.into_iter().cycle()) {
        feed.send(chunks.next().unwrap().to_vec());
        let n_free = if api == Api::InitProducerId { 0 } else { n_free };
        let aim = way.gate.aim(api, moment, n_free);
        let mut process = instance.start();
        aim.wait(&mut process);
        process.kill_9();
        println!("killed with a {moment:?} of {api:?} held");
        aim.cut();
    }
    for api in late {
        feed.send(chunks.next().unwrap().to_vec());
        let aim = way.gate.aim(api, Moment::Request, 1);
        let mut process = instance.start();
        aim.wait(&mut process);
        process.kill_9();
        println!("killed with a Request of {api:?} held, which arrives later");
        let n_before = watch.n_committed();
        let mut heir = instance.start();
        instance.wait_until_ready(&mut heir);
        aim.open();
        wait_for_commit(&watch, n_before);
        heir.kill_9();
    }
    instance.run_to_end(&deployment);
    for moment in [Moment::Request, Moment::Reply] {
        feed.send(chunks.next().unwrap().to_vec());
        kill_in_restore(&mut instance, &way, moment);
    }
    chunks.for_each(|chunk| feed.send(chunk.to_vec()));
    instance.run_to_end(&deployment);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_signals_of_replay();
    outcome.check_restore(&mut instance);
}

/// Goal: silence raises each signal once, though the processor is killed again and again while it
/// finds out. Its transactions hold timers and no record.
#[test]
fn kills_in_transactions_of_timers_alone_raise_each_signal_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let way = cluster.way();
    let mut instance = deployment.instance("aimed", 1).through(&way);
    deployment.feed().send(load.stream.clone());
    instance.run_to_end(&deployment);
    let input = deployment.topics.read_all(&deployment.topic("events"));
    let until_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let until_ms = i64::try_from(until_ms).unwrap();
    let n_signals = |until_ms: Option<i64>| -> usize {
        let (config, topic) = (deployment.config(), deployment.topic("events"));
        let n_partitions = deployment.topics.end_offsets(&topic).len();
        let mut recounter = Recounter::new(&config, &topic, n_partitions, Emit::Event);
        for record in &input {
            recounter.take(record);
        }
        if let Some(until_ms) = until_ms {
            recounter.fall_silent(until_ms);
        }
        recounter.finish().signals.into_values().map(|of_one| of_one.len()).sum()
    };
    let (n_before, n_after) = (n_signals(None), n_signals(Some(until_ms)));
    assert!(n_after > n_before, "silence shows nothing in this load");
    let n_found = || deployment.topics.read_all(&deployment.topic("signals")).len();
    assert_eq!(n_found(), n_before);

    let mut instance = instance.with(&["processing.idle_lag_s=5"]);
    for (api, moment, n_free) in [
        (Api::Produce, Moment::Reply, 0),
        (Api::TxnOffsetCommit, Moment::Request, 0),
        (Api::EndTxn, Moment::Request, 0),
        (Api::EndTxn, Moment::Reply, 1),
    ] {
        let aim = way.gate.aim(api, moment, n_free);
        let mut process = instance.start();
        aim.wait(&mut process);
        process.kill_9();
        aim.cut();
    }
    let mut process = instance.start();
    wait_until("the last signal", DEADLINE, || {
        process.assert_runs();
        let n_found = n_found();
        (n_found >= n_after).then_some(()).ok_or_else(|| format!("{n_found} of {n_after}"))
    });
    Instance::stop(process);

    let outcome = Outcome::read(&deployment, &load).after_silence(until_ms);
    outcome.check();
    outcome.check_restore(&mut instance);
}

/// Nothing but the changelog is read before all is restored.
fn kill_in_restore(instance: &mut Instance, way: &Way, moment: Moment) {
    let (mut process, dam) = way.start_into_restore(instance, moment);
    process.wait_for_log("partitions assigned", 1);
    dam.wait(&mut process);
    assert!(!process.log().contains("restored partition"), "{}", process.log());
    process.kill_9();
    println!("killed with each {moment:?} of Fetch held, in a restore");
    dam.cut();
}

fn wait_for_commit(watch: &Watch, n_before: i64) {
    wait_until("the next commit", DEADLINE, || {
        let n_committed = watch.n_committed();
        let seen = || format!("{n_committed} committed, as before");
        (n_committed > n_before).then_some(()).ok_or_else(seen)
    });
}

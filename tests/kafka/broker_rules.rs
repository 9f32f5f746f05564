//! The broker that the tests start keeps Kafka's rules, and the helpers see it do so. If these
//! fail, no other result of this crate means anything.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::broker::{Broker, unique};
use crate::support::topics::{Outgoing, Topics, last_per_key};
use crate::support::wait_until;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Reads with `read_committed`.
#[test]
fn a_broker_keeps_order_keys_and_times_over_a_kill_and_a_stop() {
    let Some(mut broker) = Broker::start() else { return };
    let topics = Topics::of(broker.address());
    let topic = unique("kept");
    topics.create(&topic, 4, &[]);
    let sent: Vec<Outgoing> = (0..200)
        .map(|n: i64| Outgoing {
            key: Some(format!("customer {}", n % 20).into_bytes()),
            payload: (n % 7 != 0).then(|| n.to_string().into_bytes()),
            timestamp_ms: Some(850_000_000_000 + n),
        })
        .collect();
    topics.produce(&topic, sent.clone());

    broker.kill_9();
    broker.restart();
    let found = topics.read_all(&topic);
    assert!(broker.stop().code().is_some(), "the broker was killed by a signal");

    assert_eq!(found.len(), sent.len());
    for key in sent.iter().take(20).map(|record| &record.key) {
        let of_key = |other: &&Outgoing| other.key == *key;
        let mine: Vec<_> = found.iter().filter(|record| record.key == *key).collect();
        let sent_of_key: Vec<_> = sent.iter().filter(of_key).collect();
        assert!(mine.iter().all(|record| record.partition == mine[0].partition), "{mine:?}");
        assert!(
            mine.iter().map(|record| &record.payload).eq(sent_of_key.iter().map(|s| &s.payload))
        );
        assert!(
            mine.iter()
                .map(|record| record.timestamp_ms)
                .eq(sent_of_key.iter().map(|s| s.timestamp_ms))
        );
    }
    let last = last_per_key(&found);
    assert_eq!(last.len(), 20);
    assert_eq!(last[b"customer 19".as_slice()].payload.as_deref(), Some(b"199".as_slice()));
    assert_eq!(last[b"customer 9".as_slice()].payload, None, "189 was sent as a tombstone");
}

/// Reads with `read_committed`. Keys and hashes are those of Kafka's own tests of murmur2.
#[test]
fn records_lie_where_java_producers_put_them() {
    let Some(broker) = Broker::shared() else { return };
    let topics = Topics::of(broker.address());
    let topic = unique("placed");
    topics.create(&topic, 4, &[]);
    let hashes: [(&str, i32); 3] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
    ];
    let record = |key: &str| Outgoing { key: Some(key.into()), ..Outgoing::default() };
    topics.produce(&topic, hashes.map(|(key, _)| record(key)));

    let records = topics.read_all(&topic);
    let last = last_per_key(&records);
    for (key, hash) in hashes {
        assert_eq!(last[key.as_bytes()].partition, (hash & i32::MAX) % 4, "{key}");
    }
}

/// Reads with `read_committed`; takes the end with `read_uncommitted`.
#[test]
fn an_aborted_transaction_leaves_neither_records_nor_offsets() {
    let Some(broker) = Broker::shared() else { return };
    let topics = Topics::of(broker.address());
    let (topic, group) = (unique("aborted"), unique("group"));
    topics.create(&topic, 1, &[]);
    let producer = transactional(&topics, &unique("producer"));
    let send = |payload: &str, offset_next: i64| {
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to(&topic).key("key").payload(payload).partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(offset_next)).unwrap();
        let metadata = topics.group_consumer(&group).group_metadata().unwrap();
        producer.send_offsets_to_transaction(&offsets, &metadata, TIMEOUT).unwrap();
        producer.flush(TIMEOUT).unwrap();
    };

    send("aborted", 7);
    producer.abort_transaction(TIMEOUT).unwrap();
    assert_eq!(topics.committed(&group, &topic), [None]);
    send("committed", 4);
    producer.commit_transaction(TIMEOUT).unwrap();

    let payloads: Vec<_> =
        topics.read_all(&topic).into_iter().map(|record| record.payload.unwrap()).collect();
    assert_eq!(payloads, [b"committed"]);
    assert_eq!(topics.end_offsets(&topic), [4], "two records and a marker after each");
    assert_eq!(topics.committed(&group, &topic), [Some(4)]);
    topics.wait_for_group(&group, &topic, TIMEOUT);
}

/// Reads with `read_committed`.
#[test]
fn a_producer_is_fenced_by_the_next_one_of_its_name() {
    let Some(broker) = Broker::shared() else { return };
    let topics = Topics::of(broker.address());
    let (topic, name) = (unique("fenced"), unique("producer"));
    topics.create(&topic, 1, &[]);
    let begin = |payload: &str| {
        let producer = transactional(&topics, &name);
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to(&topic).key("key").payload(payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(TIMEOUT).unwrap();
        producer
    };

    let zombie = begin("of the zombie");
    let heir = begin("of the heir");
    let error = zombie.commit_transaction(TIMEOUT).unwrap_err();
    assert!(error.to_string().contains("fenced"), "{error}");
    heir.commit_transaction(TIMEOUT).unwrap();

    let payloads: Vec<_> =
        topics.read_all(&topic).into_iter().map(|record| record.payload.unwrap()).collect();
    assert_eq!(payloads, [b"of the heir"]);
}

/// Goal: why a command that moves a group's state joins the group, and keeps its first generation.
#[test]
fn a_transaction_takes_offsets_of_nobody_but_none_of_a_generation_that_has_ended() {
    let Some(broker) = Broker::shared() else { return };
    let topics = Topics::of(broker.address());
    let (topic, group) = (unique("shared"), unique("group"));
    topics.create(&topic, 2, &[]);
    let join = || {
        let member = topics.group_consumer(&group);
        member.subscribe(&[&topic]).unwrap();
        member
    };
    let first = join();
    wait_until("the first member", TIMEOUT, || {
        first.poll(Duration::from_millis(50));
        let n_owned = first.assignment().unwrap().count();
        (n_owned == 2).then_some(()).ok_or_else(|| n_owned.to_string())
    });
    let ended = first.group_metadata().unwrap();
    let second = join();
    wait_until("the second member", TIMEOUT, || {
        let members = [&first, &second];
        for member in members {
            member.poll(Duration::from_millis(50));
        }
        let n_owned = members.map(|member| member.assignment().unwrap().count());
        (n_owned == [1, 1]).then_some(()).ok_or_else(|| format!("{n_owned:?}"))
    });

    let producer = transactional(&topics, &unique("producer"));
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(1)).unwrap();
    producer.begin_transaction().unwrap();
    let refused = producer.send_offsets_to_transaction(&offsets, &ended, TIMEOUT).unwrap_err();
    assert!(refused.to_string().contains("generation id is not valid"), "{refused}");
    producer.abort_transaction(TIMEOUT).unwrap();
    producer.begin_transaction().unwrap();
    let nobody = topics.group_consumer(&group).group_metadata().unwrap();
    producer.send_offsets_to_transaction(&offsets, &nobody, TIMEOUT).unwrap();
    producer.abort_transaction(TIMEOUT).unwrap();
}

fn transactional(topics: &Topics, name: &str) -> BaseProducer {
    let producer: BaseProducer = topics.client(&[("transactional.id", name)]).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer
}

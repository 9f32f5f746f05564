//! A broker's topics and groups as a test wants them: made, filled, read to their end.
//! It must not hide what was read: records come back with all that Kafka keeps of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Headers, Message};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::wait_until;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const READ_DEADLINE: Duration = Duration::from_mins(1);

/// What a test sends. The key chooses the partition, by murmur2 as Java producers do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    /// Kafka's own timestamp; the time of sending if there is none.
    pub(crate) timestamp_ms: Option<i64>,
}

/// What a topic holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// The way to one broker.
#[derive(Debug)]
pub(crate) struct Topics {
    address: String,
}

impl Topics {
    pub(crate) fn of(address: String) -> Topics {
        Topics { address }
    }

    /// Settings of a client of this broker, for what these helpers do not do.
    pub(crate) fn client(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config.extend(settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
        config
    }

    /// Replicated as the cluster does by itself.
    pub(crate) fn create(&self, topic: &str, n_partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client(&[]).create().unwrap();
        let mut new = NewTopic::new(topic, n_partitions, TopicReplication::Fixed(-1));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let created = runtime.block_on(admin.create_topics([&new], &options)).unwrap();
        assert!(created.iter().all(Result::is_ok), "failed to create a topic: {created:?}");
        // Each node hears of it in its own time.
        for address in self.address.split(',') {
            let node = Topics::of(address.to_owned());
            watermarks(&node.client(&[]).create().unwrap(), topic);
        }
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow(&self, topic: &str, n_partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client(&[]).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let more = NewPartitions::new(topic, n_partitions);
        let grown = runtime.block_on(admin.create_partitions([&more], &AdminOptions::new()));
        assert!(grown.unwrap().iter().all(Result::is_ok), "failed to grow `{topic}`");
        wait_until(format!("`{topic}` to grow"), READ_DEADLINE, || {
            let n_found = self.end_offsets(topic).len();
            (n_found == n_partitions).then_some(()).ok_or_else(|| n_found.to_string())
        });
    }

    /// Deletes what lies before an offset, as retention does; a topic that is only compacted lets
    /// nobody do so.
    pub(crate) fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client(&[]).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let deleted = runtime.block_on(admin.delete_records(&before, &AdminOptions::new()));
        assert!(deleted.unwrap().elements().iter().all(|it| it.error().is_ok()));
    }

    /// The oldest offset of each partition.
    pub(crate) fn oldest_offsets(&self, topic: &str) -> Vec<i64> {
        let consumer: BaseConsumer = self.client(&[]).create().unwrap();
        let n_partitions = i32::try_from(watermarks(&consumer, topic).len()).unwrap();
        let low = |partition| consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        (0..n_partitions).map(|partition| low(partition).unwrap().0).collect()
    }

    /// Changes one setting of a topic that has no other.
    pub(crate) fn configure(&self, topic: &str, key: &str, value: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client(&[]).create().unwrap();
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let options = AdminOptions::new();
        let changed = runtime.block_on(admin.alter_configs([&change], &options)).unwrap();
        assert!(changed.iter().all(Result::is_ok), "failed to change a topic: {changed:?}");
    }

    /// Deletes what a topic holds, as retention does.
    pub(crate) fn delete_all(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client(&[]).create().unwrap();
        let mut offsets = TopicPartitionList::new();
        for (partition, end) in (0..).zip(self.end_offsets(topic)) {
            offsets.add_partition_offset(topic, partition, Offset::Offset(end)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        let deleted = runtime.block_on(admin.delete_records(&offsets, &options)).unwrap();
        assert!(deleted.elements().iter().all(|it| it.error().is_ok()), "{deleted:?}");
    }

    pub(crate) fn add_partitions(&self, topic: &str, n_partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client(&[]).create().unwrap();
        let (more, options) = (NewPartitions::new(topic, n_partitions), AdminOptions::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let added = runtime.block_on(admin.create_partitions([&more], &options)).unwrap();
        assert!(added.iter().all(Result::is_ok), "failed to add partitions: {added:?}");
    }

    /// How many members a group has.
    pub(crate) fn n_members(&self, group: &str) -> usize {
        let found = self.group_consumer(group).fetch_group_list(Some(group), REQUEST_TIMEOUT);
        found.unwrap().groups().iter().map(|group| group.members().len()).sum()
    }

    /// Sends in order and returns when the broker has them all.
    pub(crate) fn produce(&self, topic: &str, records: impl IntoIterator<Item = Outgoing>) {
        self.feed(topic).send(records);
    }

    /// A producer of one topic, for a test that sends in pieces.
    pub(crate) fn feed(&self, topic: &str) -> Feed {
        let settings = [
            ("partitioner", "murmur2_random"),
            ("enable.idempotence", "true"),
            ("linger.ms", "5"),
            ("message.max.bytes", "4000000"),
        ];
        let producer = self.client(&settings).create_with_context(Deliveries::default()).unwrap();
        Feed { topic: topic.to_owned(), producer }
    }

    /// All that is committed in a topic, in order of partition and offset. It waits for
    /// transactions that are still open, so that nothing is missed which counts in the end.
    pub(crate) fn read_all(&self, topic: &str) -> Vec<Record> {
        self.read(topic, "read_committed")
    }

    /// What was ever written to a topic, aborted transactions too (`read_uncommitted`).
    pub(crate) fn read_all_uncommitted(&self, topic: &str) -> Vec<Record> {
        self.read(topic, "read_uncommitted")
    }

    fn read(&self, topic: &str, isolation: &str) -> Vec<Record> {
        let mut records = Vec::new();
        self.scan(topic, isolation, |record| records.push(record));
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Hands on all that is in a topic up to its present end, by partition in order of offset.
    pub(crate) fn scan(&self, topic: &str, isolation: &str, mut take: impl FnMut(Record)) {
        let ends = self.end_offsets(topic);
        let settings = [
            ("group.id", "lifetide-test-reader"),
            ("isolation.level", isolation),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
        ];
        let consumer: BaseConsumer = self.client(&settings).create().unwrap();
        wait_until(format!("the transactions in `{topic}` to end"), READ_DEADLINE, || {
            let stable = watermarks(&consumer, topic);
            let all = stable.iter().zip(&ends).all(|(stable, end)| stable >= end);
            all.then_some(()).ok_or_else(|| format!("stable up to {stable:?} of {ends:?}"))
        });
        let mut partitions = TopicPartitionList::new();
        for partition in 0..i32::try_from(ends.len()).unwrap() {
            partitions.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let (mut n_records, mut n_open) = (0_u64, ends.len());
        while n_open > 0 {
            let before = n_records;
            wait_until(format!("the end of `{topic}`"), READ_DEADLINE, || {
                match consumer.poll(Duration::from_millis(500)) {
                    Some(Ok(message)) => take(Record::from(&message)),
                    Some(Err(KafkaError::PartitionEOF(_))) => n_open -= 1,
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Err(format!("{n_records} records")),
                }
                Ok(())
            });
            n_records = before + 1;
        }
    }

    /// The next offset of each partition as `read_uncommitted` sees it: open transactions count.
    pub(crate) fn end_offsets(&self, topic: &str) -> Vec<i64> {
        let settings = [("isolation.level", "read_uncommitted")];
        watermarks(&self.client(&settings).create().unwrap(), topic)
    }

    /// The next offset of each partition as `read_committed` sees it.
    pub(crate) fn stable_offsets(&self, topic: &str) -> Vec<i64> {
        let settings = [("isolation.level", "read_committed")];
        watermarks(&self.client(&settings).create().unwrap(), topic)
    }

    /// The offsets that a group has committed, by partition; pending ones are waited for.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        self.watch(group, topic).committed()
    }

    /// Waits until a group has committed all that a topic holds.
    pub(crate) fn wait_for_group(&self, group: &str, topic: &str, deadline: Duration) {
        let (ends, watch) = (self.end_offsets(topic), self.watch(group, topic));
        let what = format!("`{group}` to reach the end of `{topic}`");
        wait_until(what, deadline, || watch.has_reached(&ends));
    }

    /// The way to a group's offsets, for a test that looks more than once.
    pub(crate) fn watch(&self, group: &str, topic: &str) -> Watch {
        self.watch_as(group, topic, "read_committed")
    }

    /// The same without waiting for offsets that are pending.
    pub(crate) fn glance(&self, group: &str, topic: &str) -> Watch {
        self.watch_as(group, topic, "read_uncommitted")
    }

    fn watch_as(&self, group: &str, topic: &str, isolation: &str) -> Watch {
        let settings =
            [("group.id", group), ("isolation.level", isolation), ("enable.auto.commit", "false")];
        let consumer: BaseConsumer = self.client(&settings).create().unwrap();
        let n_partitions = watermarks(&consumer, topic).len();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(topic, 0, i32::try_from(n_partitions).unwrap() - 1);
        Watch { consumer, group: group.to_owned(), partitions }
    }

    /// A consumer that can speak for a group without joining it; `read_committed`.
    pub(crate) fn group_consumer(&self, group: &str) -> BaseConsumer {
        let settings = [
            ("group.id", group),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
        ];
        self.client(&settings).create().unwrap()
    }
}

/// A producer of one topic.
pub(crate) struct Feed {
    topic: String,
    producer: BaseProducer<Deliveries>,
}

impl Feed {
    /// Sends in order and returns when the broker has them all.
    pub(crate) fn send(&self, records: impl IntoIterator<Item = Outgoing>) {
        let Self { topic, producer } = self;
        for record in records {
            let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            outgoing.key = record.key.as_deref();
            outgoing.payload = record.payload.as_deref();
            outgoing.timestamp = record.timestamp_ms;
            while let Err((error, back)) = producer.send(outgoing) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full, "failed to send to `{topic}`");
                outgoing = back;
                producer.poll(Duration::from_millis(10));
            }
        }
        // `flush` would wait in slices of 100 ms.
        wait_until(format!("`{topic}` to take what was sent"), READ_DEADLINE, || {
            for _ in 0..10 {
                producer.poll(Duration::from_millis(2));
                if producer.in_flight_count() == 0 {
                    return Ok(());
                }
            }
            Err(format!("{} records under way", producer.in_flight_count()))
        });
        let failed = producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(failed.is_empty(), "failed to deliver to `{topic}`: {failed:?}");
    }
}

/// The way to a group's committed offsets.
pub(crate) struct Watch {
    consumer: BaseConsumer,
    group: String,
    partitions: TopicPartitionList,
}

impl Watch {
    /// By partition.
    pub(crate) fn committed(&self) -> Vec<Option<i64>> {
        let offset = |offset| if let Offset::Offset(next) = offset { Some(next) } else { None };
        wait_until(format!("the offsets of `{}`", self.group), READ_DEADLINE, || {
            let found = self.consumer.committed_offsets(self.partitions.clone(), REQUEST_TIMEOUT);
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.elements().iter().map(|element| offset(element.offset())).collect())
        })
    }

    /// How many records the group has behind it.
    pub(crate) fn n_committed(&self) -> i64 {
        self.committed().into_iter().flatten().sum()
    }

    /// Whether the group has come so far; else how far it is.
    pub(crate) fn has_reached(&self, ends: &[i64]) -> Result<(), String> {
        let committed = self.committed();
        let reached = |(next, end): (&Option<i64>, &i64)| next.unwrap_or(0) >= *end;
        let all = committed.iter().zip(ends).all(reached);
        all.then_some(()).ok_or_else(|| format!("committed {committed:?} of {ends:?}"))
    }
}

/// The last record of each key, tombstones included.
pub(crate) fn last_per_key(records: &[Record]) -> BTreeMap<&[u8], &Record> {
    records.iter().filter_map(|record| Some((record.key.as_deref()?, record))).collect()
}

impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Record {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let value = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
        Record {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|header| (header.key.to_owned(), value(header.value))).collect(),
        }
    }
}

/// The end of each partition at the consumer's isolation level. A broker that has just started may
/// not lead its partitions yet: its errors are waited out.
fn watermarks(consumer: &BaseConsumer, topic: &str) -> Vec<i64> {
    wait_until(format!("the ends of `{topic}`"), READ_DEADLINE, || {
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| error.to_string())?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.map_or(&[][..], MetadataTopic::partitions);
        if partitions.is_empty() {
            return Err("no such topic".to_owned());
        }
        let end = |partition: i32| consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        let ends = (0..i32::try_from(partitions.len()).unwrap()).map(|p| Ok(end(p)?.1));
        ends.collect::<Result<_, KafkaError>>().map_err(|error| error.to_string())
    })
}

/// Remembers what the broker did not take.
#[derive(Debug, Default)]
struct Deliveries {
    failed: Mutex<Vec<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.push(error.clone());
        }
    }
}

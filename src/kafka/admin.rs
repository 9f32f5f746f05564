//! Questions to the brokers, and the creation of topics: one call, one answer, no judgement. What
//! the answers mean is decided in `commands::check`; the other commands call `check_setting` only.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataPartition};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::runtime::{Builder, Runtime};

pub use super::refusal::Refusal;
use super::refusal::{Remark, Remarked};
use crate::config::Kafka;

/// How long one question may wait for its answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest wait while polling for an answer.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How many waiting errors of connections are read after a failed answer.
const EVENTS_READ_MAX: usize = 10;

/// Whether librdkafka knows the setting and takes the value.
///
/// # Errors
/// What librdkafka says instead.
pub fn check_setting(name: &str, value: &str) -> Result<(), String> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, reason, _, _)) => {
            Err(format!("librdkafka refuses it: {reason}"))
        }
        Err(error) => Err(format!("librdkafka refuses it: {error}")),
    }
}

/// A topic as the brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// How many partitions it has.
    pub n_partitions: usize,
    /// The fewest replicas of any partition.
    pub n_replicas_min: usize,
    /// Partitions that nobody leads at the moment.
    pub leaderless: Vec<i32>,
}

/// One client that asks what there is.
pub struct Asker {
    pub(super) consumer: BaseConsumer<Remark>,
    remark: Remark,
    brokers: String,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

/// Clients of one cluster for asking and for trying.
pub struct Cluster {
    asker: Asker,
    /// Of a transactional producer: each try has one of its own, for after a refusal the brokers
    /// take no more of the same.
    writing: ClientConfig,
    admin: AdminClient<DefaultClientContext>,
    runtime: Runtime,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Asker {
    /// Makes the client; does not reach for the brokers yet.
    ///
    /// # Errors
    /// librdkafka refuses the settings, or a file that they name.
    pub(super) fn new(kafka: &Kafka, settings: &ClientConfig) -> Result<Self, Refusal> {
        let remark = Remark::default();
        let consumer = settings
            .create_with_context(remark.clone())
            .map_err(|error| Refusal::new(error.to_string()))?;
        Ok(Self { consumer, remark, brokers: kafka.brokers.clone() })
    }

    /// How many brokers the cluster has.
    ///
    /// # Errors
    /// No broker answers.
    pub fn n_brokers(&self, topic: &str) -> Result<usize, Refusal> {
        Ok(self.metadata(Some(topic))?.brokers().len())
    }

    /// The topic if it exists. Creates nothing.
    ///
    /// # Errors
    /// No broker answers, or the topic may not be described.
    pub fn topic(&self, name: &str) -> Result<Option<Topic>, Refusal> {
        self.find(name)?.map_err(|code| Refusal::new(code.to_string()))
    }

    /// The topic if it exists, or what the broker answers instead.
    pub(super) fn find(
        &self,
        name: &str,
    ) -> Result<Result<Option<Topic>, RDKafkaErrorCode>, Refusal> {
        let metadata = self.metadata(Some(name))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(Ok(None));
        };
        match topic.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                return Ok(Ok(None));
            }
            Some(code) => return Ok(Err(code)),
        }
        let partitions = topic.partitions();
        let leaderless = partitions.iter().filter(|partition| partition.leader() < 0);
        Ok(Ok(Some(Topic {
            n_partitions: partitions.len(),
            n_replicas_min: partitions.iter().map(|one| one.replicas().len()).min().unwrap_or(0),
            leaderless: leaderless.map(MetadataPartition::id).collect(),
        })))
    }

    /// Every topic that may be described, with its partition count.
    ///
    /// # Errors
    /// No broker answers.
    pub fn topics(&self) -> Result<Vec<(String, usize)>, Refusal> {
        let metadata = self.metadata(None)?;
        let described = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(described.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Refusal> {
        self.consumer.fetch_metadata(topic, ANSWER_TIMEOUT).map_err(|error| {
            let refusal = self.refusal(&error);
            if refusal.remedy.is_some() {
                return refusal;
            }
            let remedy = "correct the address, or `security.protocol` in `[kafka.client]`, or \
                          open the network";
            Refusal {
                what: format!("no broker of `kafka.brokers` `{}` answers: {refusal}", self.brokers),
                remedy: Some(remedy.to_owned()),
            }
        })
    }

    pub(super) fn refusal(&self, error: &KafkaError) -> Refusal {
        // Errors of connections wait in the consumer's queue; they say more than a time-out does.
        for _ in 0..EVENTS_READ_MAX {
            self.consumer.poll(Duration::ZERO);
        }
        Refusal::of(error, self.remark.take())
    }
}

impl Cluster {
    /// The client that asks for brokers and topics.
    pub fn asker(&self) -> &Asker {
        &self.asker
    }

    /// Makes the clients; does not reach for the brokers yet.
    ///
    /// # Errors
    /// librdkafka refuses the settings, or a file that they name.
    pub fn new(kafka: &Kafka) -> Result<Self, Refusal> {
        let refused = |error: KafkaError| Refusal::new(error.to_string());
        let mut settings = ClientConfig::new();
        for (name, value) in kafka.connection() {
            settings.set(name, value);
        }
        let admin = settings.create().map_err(refused)?;
        let mut asking = settings.clone();
        asking
            .set("group.id", &kafka.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("allow.auto.create.topics", "false");
        let asker = Asker::new(kafka, &asking)?;
        let mut writing = settings;
        writing
            // Not a lane's own id: asking must not fence a process that runs.
            .set("transactional.id", format!("{}-{}-check", kafka.group_id, kafka.instance_id))
            .set("transaction.timeout.ms", kafka.transaction_timeout_ms.to_string());
        let runtime = Builder::new_current_thread()
            .build()
            .map_err(|error| Refusal::new(format!("no thread for the answers: {error}")))?;
        Ok(Self { asker, writing, admin, runtime })
    }

    /// The topic's settings, the brokers' defaults among them.
    ///
    /// # Errors
    /// The configuration of topics may not be described.
    pub fn settings(&self, topic: &str) -> Result<BTreeMap<String, String>, Refusal> {
        let resource = ResourceSpecifier::Topic(topic);
        let answer = self.admin.describe_configs([&resource], &admin_options());
        let resources = self.runtime.block_on(answer).map_err(|error| refusal(&error))?;
        let resource = resources.into_iter().next();
        let resource = resource.unwrap_or(Err(RDKafkaErrorCode::InvalidConfig));
        let resource = resource.map_err(|code| Refusal::new(code.to_string()))?;
        let named = resource.entries.into_iter().filter_map(|it| Some((it.name, it.value?)));
        let named: BTreeMap<String, String> = named.collect();
        // Who may not describe them gets none and no error. Each topic has this one.
        if named.contains_key("cleanup.policy") {
            Ok(named)
        } else {
            Err(Refusal::new("the broker names no `cleanup.policy`"))
        }
    }

    /// Creates a topic with the broker's default replication, and waits until it can be seen.
    ///
    /// # Errors
    /// The broker refuses, or does not show the topic in time.
    pub fn create(&self, name: &str, n_partitions: i32, is_compacted: bool) -> Result<(), Refusal> {
        // -1 leaves the replication to the broker.
        let mut topic = NewTopic::new(name, n_partitions, TopicReplication::Fixed(-1));
        if is_compacted {
            topic = topic.set("cleanup.policy", "compact");
        }
        let answer = self.admin.create_topics([&topic], &admin_options());
        let results = self.runtime.block_on(answer).map_err(|error| refusal(&error))?;
        if let Some(Err((_, code))) = results.into_iter().next() {
            return Err(Refusal::new(code.to_string()));
        }
        self.wait_for(name, 1)
    }

    /// Gives a topic more partitions, and waits until they can be seen.
    ///
    /// # Errors
    /// The broker refuses, or does not show them in time.
    pub fn grow(&self, name: &str, n_partitions: usize) -> Result<(), Refusal> {
        let more = NewPartitions::new(name, n_partitions);
        let answer = self.admin.create_partitions([&more], &admin_options());
        let results = self.runtime.block_on(answer).map_err(|error| refusal(&error))?;
        if let Some(Err((_, code))) = results.into_iter().next() {
            return Err(Refusal::new(code.to_string()));
        }
        self.wait_for(name, n_partitions)
    }

    fn wait_for(&self, name: &str, n_partitions: usize) -> Result<(), Refusal> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let is_there =
            |topic: &Topic| topic.n_partitions >= n_partitions && topic.leaderless.is_empty();
        while !self.asker.topic(name)?.as_ref().is_some_and(is_there) {
            if Instant::now() > deadline {
                return Err(Refusal::new("created, but no broker shows it yet"));
            }
            self.asker.consumer.poll(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Reads at the end of the topic's first partition.
    ///
    /// # Errors
    /// The topic may not be read, or nothing answers.
    pub fn read(&self, topic: &str) -> Result<(), Refusal> {
        let mut end = TopicPartitionList::new();
        end.add_partition_offset(topic, 0, Offset::End)
            .and_then(|()| self.asker.consumer.assign(&end))
            .map_err(|error| self.asker.refusal(&error))?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let answer = loop {
            if Instant::now() > deadline {
                break Err(no_answer(self.asker.remark.take()));
            }
            match self.asker.consumer.poll(POLL_INTERVAL) {
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => break Ok(()),
                // The group is asked on its own; it says nothing about the topic.
                Some(Err(error)) if !is_about_group(&error) => {
                    break Err(self.asker.refusal(&error));
                }
                Some(Err(_)) | None => {}
            }
        };
        self.asker.consumer.unassign().map_err(|error| self.asker.refusal(&error))?;
        answer
    }

    /// Asks for the group's committed offset of the topic's first partition.
    ///
    /// # Errors
    /// The group may not be used, or its coordinator does not answer.
    pub fn group(&self, topic: &str) -> Result<(), Refusal> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(topic, 0);
        let committed = self.asker.consumer.committed_offsets(partitions, ANSWER_TIMEOUT);
        let committed = committed.map_err(|error| self.asker.refusal(&error))?;
        committed
            .elements()
            .iter()
            .try_for_each(TopicPartitionListElem::error)
            .map_err(|error| self.asker.refusal(&error))
    }

    /// Takes a transactional id that begins as those of the lanes do.
    ///
    /// # Errors
    /// The id may not be used, the timeout is longer than the broker allows, or nothing answers.
    pub fn init_transactions(&self) -> Result<(), Refusal> {
        self.writer().map(drop)
    }

    fn writer(&self) -> Result<(BaseProducer<Remark>, Remark), Refusal> {
        let remark = Remark::default();
        let producer: BaseProducer<Remark> = self
            .writing
            .create_with_context(remark.clone())
            .map_err(|error| Refusal::new(error.to_string()))?;
        let answer = producer.init_transactions(ANSWER_TIMEOUT);
        answer.map_err(|error| Refusal::of(&error, remark.take()))?;
        Ok((producer, remark))
    }

    /// Writes to the topic's first partition in a transaction that is then aborted: readers of
    /// committed records never see it. Gives the broker's time of it, where the broker stamps the
    /// topic's records.
    ///
    /// # Errors
    /// The topic may not be written, or nothing answers.
    pub fn write_and_abort(&self, topic: &str) -> Result<Option<i64>, Refusal> {
        let (producer, remark) = self.writer()?;
        let refusal = |error: &KafkaError| Refusal::of(error, remark.take());
        producer.begin_transaction().map_err(|error| refusal(&error))?;
        let record: BaseRecord<'_, str, str> =
            BaseRecord::to(topic).partition(0).key("lifetide check");
        producer.send(record).map_err(|(error, _)| refusal(&error))?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        // A refused partition fails the transaction at once, but its records only much later.
        while producer.in_flight_count() > 0 && !remark.is_verdict() && Instant::now() < deadline {
            producer.poll(POLL_INTERVAL);
        }
        let is_answered = producer.in_flight_count() == 0;
        let (is_refused, remarked) = (remark.is_verdict(), remark.take());
        let aborted = producer.abort_transaction(ANSWER_TIMEOUT);
        match remarked {
            // To abort what the broker never began fails as well, and says nothing new.
            Some(verdict) if is_refused => Err(Refusal::new(verdict.text)),
            _ if is_answered => {
                aborted.map(|()| remark.appended_ms()).map_err(|error| refusal(&error))
            }
            hint => Err(no_answer(hint)),
        }
    }
}

fn is_about_group(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER_TIMEOUT))
        .operation_timeout(Some(ANSWER_TIMEOUT))
}

fn refusal(error: &KafkaError) -> Refusal {
    Refusal::of(error, None)
}

fn no_answer(remarked: Option<Remarked>) -> Refusal {
    Refusal::silence(ANSWER_TIMEOUT.as_secs(), remarked)
}

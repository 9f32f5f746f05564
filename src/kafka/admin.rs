//! Questions to the brokers, and the creation of topics: one call, one answer, no judgement. What
//! the answers mean is decided in `commands::check`; the other commands call `check_setting` only.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::runtime::{Builder, Runtime};

use crate::config::Kafka;

/// How long one question may wait for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
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

/// What a broker, or the client on its behalf, answered instead of doing what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

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

/// Clients of one cluster for asking.
pub struct Cluster {
    consumer: BaseConsumer<Remark>,
    producer: BaseProducer<Remark>,
    admin: AdminClient<DefaultClientContext>,
    runtime: Runtime,
    consumer_remark: Remark,
    producer_remark: Remark,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Makes the clients; does not reach for the brokers yet.
    ///
    /// # Errors
    /// librdkafka refuses the settings, or a file that they name.
    pub fn new(kafka: &Kafka) -> Result<Self, Refusal> {
        let refused = |error: KafkaError| Refusal(error.to_string());
        let mut settings = ClientConfig::new();
        for (name, value) in kafka.connection() {
            settings.set(name, value);
        }
        let admin = settings.create().map_err(refused)?;
        let (consumer_remark, producer_remark) = (Remark::default(), Remark::default());
        let consumer = settings
            .clone()
            .set("group.id", &kafka.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("allow.auto.create.topics", "false")
            .create_with_context(consumer_remark.clone())
            .map_err(refused)?;
        let producer = settings
            .clone()
            // Not a lane's own id: asking must not fence a process that runs.
            .set("transactional.id", format!("{}-{}-check", kafka.group_id, kafka.instance_id))
            .set("transaction.timeout.ms", kafka.transaction_timeout_ms.to_string())
            .create_with_context(producer_remark.clone())
            .map_err(refused)?;
        let runtime = Builder::new_current_thread()
            .build()
            .map_err(|error| Refusal(format!("no thread for the answers: {error}")))?;
        Ok(Self { consumer, producer, admin, runtime, consumer_remark, producer_remark })
    }

    /// How many brokers answer, and the topic if it exists. Creates nothing.
    ///
    /// # Errors
    /// No broker answers, or the topic may not be described.
    pub fn topic(&self, name: &str) -> Result<(usize, Option<Topic>), Refusal> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(name), ANSWER_TIMEOUT)
            .map_err(|error| self.consumer_refusal(&error))?;
        let n_brokers = metadata.brokers().len();
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok((n_brokers, None));
        };
        match topic.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                return Ok((n_brokers, None));
            }
            Some(code) => return Err(Refusal(code.to_string())),
        }
        let partitions = topic.partitions();
        let leaderless = partitions.iter().filter(|partition| partition.leader() < 0);
        let topic = Topic {
            n_partitions: partitions.len(),
            n_replicas_min: partitions.iter().map(|one| one.replicas().len()).min().unwrap_or(0),
            leaderless: leaderless.map(MetadataPartition::id).collect(),
        };
        Ok((n_brokers, Some(topic)))
    }

    /// The topic's `cleanup.policy`.
    ///
    /// # Errors
    /// The configuration of topics may not be described.
    pub fn cleanup_policy(&self, topic: &str) -> Result<String, Refusal> {
        let resource = ResourceSpecifier::Topic(topic);
        let answer = self.admin.describe_configs([&resource], &admin_options());
        let resources = self.runtime.block_on(answer).map_err(|error| refusal(&error))?;
        let resource = resources.into_iter().next();
        let resource = resource.unwrap_or(Err(RDKafkaErrorCode::InvalidConfig));
        let resource = resource.map_err(|code| Refusal(code.to_string()))?;
        let policy = resource.get("cleanup.policy").and_then(|entry| entry.value.clone());
        policy.ok_or_else(|| Refusal("the broker names no `cleanup.policy`".to_owned()))
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
            return Err(Refusal(code.to_string()));
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
            return Err(Refusal(code.to_string()));
        }
        self.wait_for(name, n_partitions)
    }

    fn wait_for(&self, name: &str, n_partitions: usize) -> Result<(), Refusal> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let is_there =
            |topic: &Topic| topic.n_partitions >= n_partitions && topic.leaderless.is_empty();
        while !self.topic(name)?.1.as_ref().is_some_and(is_there) {
            if Instant::now() > deadline {
                return Err(Refusal("created, but no broker shows it yet".to_owned()));
            }
            self.consumer.poll(POLL_INTERVAL);
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
            .and_then(|()| self.consumer.assign(&end))
            .map_err(|error| self.consumer_refusal(&error))?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let answer = loop {
            if Instant::now() > deadline {
                break Err(no_answer(self.consumer_remark.take()));
            }
            match self.consumer.poll(POLL_INTERVAL) {
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => break Ok(()),
                // The group is asked on its own; it says nothing about the topic.
                Some(Err(error)) if !is_about_group(&error) => {
                    break Err(self.consumer_refusal(&error));
                }
                Some(Err(_)) | None => {}
            }
        };
        self.consumer.unassign().map_err(|error| self.consumer_refusal(&error))?;
        answer
    }

    /// Asks for the group's committed offset of the topic's first partition.
    ///
    /// # Errors
    /// The group may not be used, or its coordinator does not answer.
    pub fn group(&self, topic: &str) -> Result<(), Refusal> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(topic, 0);
        let committed = self.consumer.committed_offsets(partitions, ANSWER_TIMEOUT);
        let committed = committed.map_err(|error| self.consumer_refusal(&error))?;
        committed
            .elements()
            .iter()
            .try_for_each(TopicPartitionListElem::error)
            .map_err(|error| self.consumer_refusal(&error))
    }

    /// Takes a transactional id that begins as those of the lanes do.
    ///
    /// # Errors
    /// The id may not be used, the timeout is longer than the broker allows, or nothing answers.
    pub fn init_transactions(&self) -> Result<(), Refusal> {
        let answer = self.producer.init_transactions(ANSWER_TIMEOUT);
        answer.map_err(|error| self.producer_refusal(&error))
    }

    /// Writes to the topic's first partition in a transaction that is then aborted: readers of
    /// committed records never see it. To be called after [`Cluster::init_transactions`].
    ///
    /// # Errors
    /// The topic may not be written, or nothing answers.
    pub fn write_and_abort(&self, topic: &str) -> Result<(), Refusal> {
        let refusal = |error: &KafkaError| self.producer_refusal(error);
        self.producer.begin_transaction().map_err(|error| refusal(&error))?;
        let record: BaseRecord<'_, str, str> =
            BaseRecord::to(topic).partition(0).key("lifetide check");
        self.producer.send(record).map_err(|(error, _)| refusal(&error))?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        // A refused partition fails the transaction at once, but its records only much later.
        while self.producer.in_flight_count() > 0
            && !self.producer_remark.is_verdict()
            && Instant::now() < deadline
        {
            self.producer.poll(POLL_INTERVAL);
        }
        let is_answered = self.producer.in_flight_count() == 0;
        let is_refused = self.producer_remark.is_verdict();
        let remark = self.producer_remark.take();
        self.producer.abort_transaction(ANSWER_TIMEOUT).map_err(|error| refusal(&error))?;
        match remark {
            Some(verdict) if is_refused => Err(Refusal(verdict)),
            _ if is_answered => Ok(()),
            hint => Err(no_answer(hint)),
        }
    }

    fn consumer_refusal(&self, error: &KafkaError) -> Refusal {
        // Errors of connections wait in the consumer's queue; they say more than a time-out does.
        for _ in 0..EVENTS_READ_MAX {
            self.consumer.poll(Duration::ZERO);
        }
        refusal_with(error, self.consumer_remark.take())
    }

    fn producer_refusal(&self, error: &KafkaError) -> Refusal {
        refusal_with(error, self.producer_remark.take())
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
    refusal_with(error, None)
}

fn refusal_with(error: &KafkaError, remark: Option<String>) -> Refusal {
    let answer = match error.rdkafka_error_code() {
        Some(code) => code.to_string(),
        None => error.to_string(),
    };
    Refusal(remark.map_or(answer.clone(), |remark| format!("{answer}: {remark}")))
}

fn no_answer(remark: Option<String>) -> Refusal {
    let remark = remark.map(|remark| format!(": {remark}")).unwrap_or_default();
    Refusal(format!("no answer within {} s{remark}", ANSWER_TIMEOUT.as_secs()))
}

/// The last thing a client said beside its answers.
#[derive(Clone, Default)]
struct Remark(Arc<Mutex<Option<(Weight, String)>>>);

/// What a remark may say, by ascending weight: a lighter one does not replace a heavier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A connection or a login failed; there may be others.
    Hint,
    /// The transaction or its record is refused.
    Verdict,
}

impl Remark {
    fn put(&self, weight: Weight, text: &str) {
        // The name of librdkafka's thread comes first, as in `[thrd:main]: `.
        let text = text.split_once("]: ").map_or(text, |(_, text)| text);
        if let Ok(mut remark) = self.0.lock()
            && remark.as_ref().is_none_or(|(known, _)| weight >= *known)
        {
            *remark = Some((weight, text.to_owned()));
        }
    }

    fn is_verdict(&self) -> bool {
        let remark = self.0.lock();
        remark.is_ok_and(|remark| remark.as_ref().is_some_and(|(w, _)| *w == Weight::Verdict))
    }

    fn take(&self) -> Option<String> {
        self.0.lock().ok()?.take().map(|(_, text)| text)
    }
}

impl ClientContext for Remark {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // librdkafka tells only its log why a transaction must be aborted.
        if facility == "TXNERR" {
            self.put(Weight::Verdict, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Neither is a reason: one is the answer hoped for, the other follows from each failure.
        let is_noise = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::PartitionEOF | RDKafkaErrorCode::AllBrokersDown)
        );
        if !is_noise {
            self.put(Weight::Hint, reason);
        }
    }
}

impl ConsumerContext for Remark {}

impl ProducerContext for Remark {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        // The record of an aborted transaction that never left is purged: no answer at all.
        if let Err((error, _)) = result
            && !matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
            )
        {
            self.put(Weight::Verdict, &refusal(error).0);
        }
    }
}

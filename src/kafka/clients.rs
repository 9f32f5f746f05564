//! Client settings for librdkafka, its log lines, and the classing of its errors. Everything that
//! exactness hangs on is set here and cannot be changed by `[kafka.client]`. Called by the rest of
//! `kafka` alone.

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, error, info, warn};

use super::group;
use crate::config::Kafka;
use crate::engine::Failure;
use crate::metrics::AbortCause;

/// How often a member hears from its group: a rebalance takes two to three of these.
const HEARTBEAT_MS: &str = "1000";
/// Messages that librdkafka may hold for one partition and lane before it stops fetching.
const FETCH_MESSAGES: &str = "10000";
/// … and their bytes: with the queues between the threads this bounds a lane's memory at any lag.
const FETCH_KBYTES: &str = "16384";
/// Messages that may wait on their way out; a transaction is bounded well below.
const SEND_MESSAGES: &str = "200000";
/// … and their bytes.
const SEND_KBYTES: &str = "131072";
/// How often librdkafka reports its positions, from which the end of a partition is known.
const STATISTICS_MS: &str = "1000";

/// What to do when another process has taken a lane's identity.
pub(super) const LANE_REMEDY: &str = "give each process its own `kafka.instance_id`";

/// The identity towards the brokers of one lane, or of a command that moves records.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `kafka.instance_id` with the lane's number.
    pub member: String,
    /// Fences an earlier run of the same lane or command.
    pub transactional_id: String,
    /// What to do when another process has taken it.
    pub remedy: &'static str,
}

impl Identity {
    /// The identity of lane number `lane`.
    pub fn new(kafka: &Kafka, lane: u32) -> Self {
        let member = format!("{}-{lane}", kafka.instance_id);
        let transactional_id = format!("{}-{member}", kafka.group_id);
        Self { member, transactional_id, remedy: LANE_REMEDY }
    }

    /// The identity of a command: one run of it at a time for a group. No lane's ends as it does,
    /// for those end with a number.
    pub fn of_command(kafka: &Kafka, command: &str) -> Self {
        let member = format!("{}-{command}", kafka.group_id);
        let transactional_id = member.clone();
        Self { member, transactional_id, remedy: "let one such command run at a time" }
    }
}

/// The way to the brokers and whatever else `[kafka.client]` says, stronger than the tuning before
/// it. What exactness hangs on cannot be said there: the configuration refuses those names.
fn finish(mut config: ClientConfig, kafka: &Kafka) -> ClientConfig {
    for (key, value) in kafka.connection() {
        config.set(key, value);
    }
    config
}

fn tuning() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("socket.keepalive.enable", "true").set("log.connection.close", "false");
    config
}

/// A client with nothing set but the way to the brokers.
pub fn bare(kafka: &Kafka) -> ClientConfig {
    finish(tuning(), kafka)
}

/// The consumer of the input topic: one group member, whose process answers at `address`.
pub fn source(kafka: &Kafka, identity: &Identity, address: Option<&str>) -> ClientConfig {
    let mut config = reading("read_committed", kafka);
    if kafka.static_membership {
        config.set("group.instance.id", &identity.member);
    }
    config
        .set("session.timeout.ms", kafka.session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", HEARTBEAT_MS)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("statistics.interval.ms", STATISTICS_MS);
    let mut config = finish(config, kafka);
    // By this the members of the group know each other, whatever other clients are to be called.
    config.set("client.id", group::client_id(&identity.member, address));
    config
}

/// A consumer that is never a group member: it restores, and asks for offsets.
pub fn reader(kafka: &Kafka, isolation: &str) -> ClientConfig {
    finish(reading(isolation, kafka), kafka)
}

fn reading(isolation: &str, kafka: &Kafka) -> ClientConfig {
    let mut config = tuning();
    config
        .set("group.id", &kafka.group_id)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // Where to start is always said; a position that is gone must not be jumped over.
        .set("auto.offset.reset", "error")
        .set("queued.min.messages", FETCH_MESSAGES)
        .set("queued.max.messages.kbytes", FETCH_KBYTES)
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.wait.max.ms", "100");
    config
}

/// The transactional producer of one lane or command.
pub fn sink(kafka: &Kafka, identity: &Identity) -> ClientConfig {
    let mut config = tuning();
    config
        .set("client.id", &identity.member)
        .set("transactional.id", &identity.transactional_id)
        .set("transaction.timeout.ms", kafka.transaction_timeout_ms.to_string())
        .set("message.timeout.ms", kafka.transaction_timeout_ms.to_string())
        // What was not delivered fails the transaction; nobody asks for the rest one by one.
        .set("delivery.report.only.error", "true")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("batch.size", "500000")
        .set("message.max.bytes", "4000000")
        .set("compression.type", "lz4")
        // As Java producers spread keys; librdkafka's own default differs.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", SEND_MESSAGES)
        .set("queue.buffering.max.kbytes", SEND_KBYTES);
    finish(config, kafka)
}

/// What to do about an error: try the same call again, or what remains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The same call again.
    Retry,
    /// Drop the transaction, or exit.
    Fail(Failure),
}

/// Classes an error of a transactional call. An error that librdkafka says nothing of is fatal: the
/// restart restores, and guessing could double.
pub fn class(error: &KafkaError, doing: &str, cause: AbortCause, remedy: &str) -> Verb {
    use RDKafkaErrorCode as Code;
    let message = format!("failed to {doing}: {error}");
    let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
    let (is_fatal, is_abort, is_retry) = if let KafkaError::Transaction(inner) = error {
        (inner.is_fatal(), inner.txn_requires_abort(), inner.is_retriable())
    } else {
        // Refused: the record itself, or any record since an earlier one failed the transaction.
        let is_refused =
            matches!(error, KafkaError::MessageProduction(_)) && code != Code::QueueFull;
        let is_full = code == Code::QueueFull || matches!(error, KafkaError::Flush(_));
        (false, is_refused, is_full)
    };
    if is_fatal || is_fenced(code) || is_forbidden(code) {
        Verb::Fail(Failure::Fatal(explain(code, message, remedy)))
    } else if is_abort {
        let is_stale = matches!(
            code,
            Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress
        );
        let cause = if is_stale { AbortCause::StaleGeneration } else { cause };
        Verb::Fail(Failure::Abort(cause, message))
    } else if is_retry {
        Verb::Retry
    } else {
        Verb::Fail(Failure::Fatal(message))
    }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId
    )
}

/// Whether trying to read again mends nothing: the topic, the right or the position is not there.
pub fn is_hopeless(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::AutoOffsetReset
    ) || is_forbidden(code)
}

/// Whether a right is missing: only a person can grant it.
pub fn is_forbidden(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
    )
}

/// Adds what a person should do where another process has taken the identity.
pub fn explain(code: RDKafkaErrorCode, message: String, remedy: &str) -> String {
    if is_fenced(code) {
        format!(
            "{message}: another process runs with this identity and has taken over, or the brokers \
             gave up a transaction older than `kafka.transaction_timeout_ms`; {remedy}"
        )
    } else {
        message
    }
}

/// Logs an error after which the client goes on by itself. Of failed connections there are many at
/// a time, and the steward says once that the brokers do not answer.
pub fn log_passing(error: &KafkaError, what: &str) {
    let is_of_connection = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
        )
    );
    if is_of_connection {
        debug!(%error, "{what}");
    } else {
        warn!(%error, "{what}");
    }
}

/// Sends librdkafka's log lines where ours go.
#[derive(Clone, Debug, Default)]
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka reports an error");
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

/// What librdkafka calls the failures of connections in its log.
const CONNECTION: [&str; 6] = [
    "Connect to ",
    "Connection setup timed out",
    "Disconnected",
    "Failed to resolve",
    "Receive failed",
    "Send failed",
];

/// One line of librdkafka's log. Each client tells each connection that fails, some of them late:
/// the steward says once that the brokers do not answer.
pub fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let is_of_connection = CONNECTION.iter().any(|words| message.contains(words));
    let level = if is_of_connection { RDKafkaLogLevel::Debug } else { level };
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            error!(facility, "{message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => warn!(facility, "{message}"),
        RDKafkaLogLevel::Notice => info!(facility, "{message}"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => debug!(facility, "{message}"),
    }
}

//! Keeps the group to this process while its state moves: waits until nobody is in it, joins it as
//! the only member, and keeps the proof of that. A broker takes offsets in a transaction from
//! anybody who names no member, but none with a generation that another member has ended since.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, groups::GroupMemberInfo};
use tracing::{info, warn};

use crate::config::Kafka;
use crate::kafka::clients;

/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long one look at the group is from the next.
const LOOK: Duration = Duration::from_millis(500);
/// What a broker may take beyond the session timeout to forget a member.
const FORGET_MARGIN: Duration = Duration::from_secs(5);
/// How long joining an empty group may take.
const JOIN_MAX: Duration = Duration::from_mins(2);
/// How long the member may be at work without hearing of its group: longer than any transaction.
const POLL_INTERVAL_MS: &str = "3600000";

/// The group's only member.
pub(super) struct Fence {
    // Its heartbeats are the membership.
    _consumer: BaseConsumer<Member>,
    metadata: ConsumerGroupMetadata,
}

/// Takes what the group gives and reads nothing of it.
#[derive(Debug, Default)]
struct Member {
    n_assigned: AtomicUsize,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        clients::log_line(level, facility, message);
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let outcome = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.n_assigned.fetch_add(partitions.count(), Ordering::Relaxed);
            consumer.incremental_assign(partitions).and_then(|()| consumer.pause(partitions))
        } else {
            consumer.incremental_unassign(partitions)
        };
        if let Err(error) = outcome {
            warn!(%error, "failed to follow a rebalance");
        }
    }
}

impl Fence {
    /// Joins the group of `kafka`, whose input has `n_partitions`.
    ///
    /// # Errors
    /// Somebody is in the group or joins it meanwhile, or the brokers do not answer.
    pub(super) fn join(kafka: &Kafka, n_partitions: i32) -> Result<Self, String> {
        let group_id = &kafka.group_id;
        let consumer: BaseConsumer<Member> = clients::reader(kafka, "read_committed")
            .set("client.id", format!("{group_id}-repartition"))
            .set("session.timeout.ms", kafka.session_timeout_ms.to_string())
            .set("max.poll.interval.ms", POLL_INTERVAL_MS)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .create_with_context(Member::default())
            .map_err(|error| format!("failed to create a consumer: {error}"))?;
        wait_until_empty(&consumer, kafka)?;
        consumer
            .subscribe(&[&kafka.input_topic])
            .map_err(|error| format!("failed to join the group `{group_id}`: {error}"))?;
        let all = usize::try_from(n_partitions).unwrap_or(0);
        let began = Instant::now();
        while consumer.context().n_assigned.load(Ordering::Relaxed) < all {
            if let Some(Err(error)) = consumer.poll(LOOK)
                && error.rdkafka_error_code().is_some_and(clients::is_hopeless)
            {
                return Err(format!("failed to join the group `{group_id}`: {error}"));
            }
            if began.elapsed() > JOIN_MAX {
                return Err(format!(
                    "the group `{group_id}` has not given all `{n_partitions}` partitions to this \
                     command: does somebody else join it? stop the whole group first"
                ));
            }
        }
        let metadata = consumer.group_metadata();
        let metadata = metadata.ok_or("the group has no member, though this process joined it")?;
        Ok(Self { _consumer: consumer, metadata })
    }

    /// The membership as it was when the group was joined: never taken anew, for a later one could
    /// be of a generation in which another member has processed.
    pub(super) fn metadata(&self) -> &ConsumerGroupMetadata {
        &self.metadata
    }
}

/// A stopped static member stays in its group until its session is over.
fn wait_until_empty(consumer: &BaseConsumer<Member>, kafka: &Kafka) -> Result<(), String> {
    let session = Duration::from_millis(u64::from(kafka.session_timeout_ms));
    let began = Instant::now();
    let mut is_told = false;
    loop {
        let members = members(consumer, &kafka.group_id)?;
        if members.is_empty() {
            return Ok(());
        }
        if began.elapsed() > session + FORGET_MARGIN {
            return Err(format!(
                "the group `{}` still has the members `{}`: stop every `lifetide run` of it first",
                kafka.group_id,
                members.join("`, `")
            ));
        }
        if !is_told {
            info!(?members, "waiting until the group has forgotten members that were stopped");
            is_told = true;
        }
        // Nothing is assigned: this only waits.
        consumer.poll(LOOK);
    }
}

fn members(consumer: &BaseConsumer<Member>, group_id: &str) -> Result<Vec<String>, String> {
    let list = consumer
        .fetch_group_list(Some(group_id), ANSWER)
        .map_err(|error| format!("failed to look at the group `{group_id}`: {error}"))?;
    let group = list.groups().iter().find(|group| group.name() == group_id);
    let member = |member: &GroupMemberInfo| member.client_id().to_owned();
    Ok(group.map(|group| group.members().iter().map(member).collect()).unwrap_or_default())
}

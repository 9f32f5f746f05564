//! The thread that polls: reads and decodes input records in bounded batches, answers Kafka's
//! rebalance callbacks through the engine, and obeys the engine's rewinds. It changes no state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tracing::debug;

use super::callbacks::Callbacks;
use super::clients;
use super::ends::Ends;
use super::ownership::Ownership;
use super::refusal::{Use, missing_right};
use super::writer::Deadline;
use crate::engine::{Batch, Command, Input, Record, Rejected};
use crate::event::{Envelope, Intake, decode};
use crate::lifecycle::Shutdown;
use crate::record::dead_letter::Headers as KeptHeaders;

/// Records of one partition that travel to the engine together.
const BATCH_RECORDS: usize = 256;
/// … and their bytes: with the queue's length this bounds what waits, also of huge records.
const BATCH_BYTES: usize = 256 * 1024;
/// How long a poll waits when nothing is pending.
const POLL: Duration = Duration::from_millis(20);
/// How long a seek may take; librdkafka answers it locally.
const SEEK: Duration = Duration::from_secs(10);
/// How long to wait before a seek is tried again.
const SEEK_AGAIN: Duration = Duration::from_millis(20);
/// How long leaving the group may take: a revoke, which has a budget of its own, and some polls.
const LEAVE_MS: u64 = 10_000;
/// How long librdkafka may take to leave once it owns nothing: it tells nobody when it has.
const LEFT_MS: u64 = 500;
/// How often partitions that are read to their end hear of the time.
const TICK: Duration = Duration::from_secs(1);

/// The reading side of a lane.
pub(super) struct Source {
    pub(super) consumer: Arc<BaseConsumer<Callbacks>>,
    pub(super) ownership: Arc<Ownership>,
    pub(super) inputs: Sender<Input>,
    pub(super) commands: Receiver<Command>,
    pub(super) intake: Intake,
    pub(super) topic: String,
    pub(super) group_id: String,
    pub(super) ends: Arc<Ends>,
    /// So long a partition must be quiet before it follows the wall clock, and so far behind;
    /// absent to follow event time only.
    pub(super) idle_lag: Option<Duration>,
    pub(super) pending: BTreeMap<i32, Pending>,
    pub(super) ticked_at: Instant,
    /// Carries nothing; a wait on it is a pause.
    pub(super) never: Receiver<()>,
}

/// What was read of one partition and not handed over yet.
#[derive(Debug)]
pub(super) struct Pending {
    epoch: u64,
    records: Vec<Record>,
    n_bytes: usize,
    /// The next offset to read in this epoch; what lies before it is not wanted.
    offset_next: Option<i64>,
    /// Whether everything up to the end, as the client last saw it, was handed over.
    is_at_end: bool,
    /// When the last record came, or the epoch began.
    heard_at: Instant,
}

impl Pending {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            records: Vec::new(),
            n_bytes: 0,
            offset_next: None,
            is_at_end: false,
            heard_at: Instant::now(),
        }
    }

    /// Whether nothing came for so long, and nothing lies there.
    fn is_quiet_for(&self, quiet: Duration) -> bool {
        self.is_at_end && self.heard_at.elapsed() >= quiet
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// The engine is gone: nobody reads what this thread could still send.
struct Gone;

impl Source {
    /// Reads until shutdown or until the engine is gone, then tells the engine to stop.
    pub(super) fn run(&mut self, shutdown: &Shutdown) {
        while !shutdown.is_requested() {
            if self.turn().is_err() {
                return;
            }
        }
        if shutdown.is_for_good() {
            self.leave();
        }
        self.flush().ok();
        self.inputs.send(Input::Shutdown).ok();
    }

    /// Gives everything back and leaves the group. A static member that only closes keeps its share
    /// until the session times out.
    fn leave(&self) {
        self.consumer.unsubscribe();
        let deadline = Deadline::after(LEAVE_MS);
        while !self.ownership.owned().is_empty() && !deadline.is_over() {
            // What is still read belongs to whoever is next; the poll serves the revoke.
            self.consumer.poll(POLL);
        }
    }

    fn turn(&mut self) -> Result<(), Gone> {
        for input in self.consumer.context().take_backlog() {
            self.send(input)?;
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command)?;
        }
        let is_pending = self.pending.values().any(|pending| !pending.records.is_empty());
        let consumer = Arc::clone(&self.consumer);
        match consumer.poll(if is_pending { Duration::ZERO } else { POLL }) {
            Some(Ok(message)) => self.take(&message)?,
            Some(Err(error)) => self.hear(&error)?,
            None => self.flush()?,
        }
        if self.ticked_at.elapsed() >= TICK {
            self.ticked_at = Instant::now();
            self.flush()?;
            self.tick()?;
            if self.ownership.must_rejoin() {
                self.rejoin()?;
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Gone> {
        let partition = message.partition();
        let Some(epoch) = self.ownership.epoch(partition) else { return Ok(()) };
        let expected = self.pending_of(partition, epoch).offset_next;
        if let Some(expected) = expected.filter(|expected| message.offset() < *expected) {
            // A late answer to "where does the partition begin" has moved the client's position.
            return self.position(partition, expected);
        }
        let timestamp_ms = message.timestamp().to_millis();
        let envelope = Envelope { payload: message.payload(), key: message.key(), timestamp_ms };
        let decoded = decode(envelope, &self.intake).map_err(|rejection| {
            Box::new(Rejected {
                rejection,
                key: message.key().map(<[u8]>::to_vec),
                payload: message.payload().map(<[u8]>::to_vec),
                headers: message.headers().map(headers).unwrap_or_default(),
            })
        });
        let pending = self.pending_of(partition, epoch);
        (pending.is_at_end, pending.heard_at) = (false, Instant::now());
        pending.n_bytes += message.payload_len() + message.key_len();
        pending.records.push(Record { offset: message.offset(), timestamp_ms, decoded });
        pending.offset_next = Some(message.offset() + 1);
        if pending.records.len() >= BATCH_RECORDS || pending.n_bytes >= BATCH_BYTES {
            self.hand_over(partition)
        } else {
            Ok(())
        }
    }

    fn hear(&mut self, error: &KafkaError) -> Result<(), Gone> {
        if let KafkaError::PartitionEOF(partition) = error {
            self.flush()?;
            if let Some(epoch) = self.ownership.epoch(*partition) {
                self.pending_of(*partition, epoch).is_at_end = true;
            }
            return Ok(());
        }
        let code = error.rdkafka_error_code();
        let input = (&*self.topic, Use::Read);
        if let Some(refusal) = code.and_then(|code| missing_right(code, &self.group_id, input)) {
            return self.send(Input::Failed(refusal.sentence()));
        }
        if let KafkaError::MessageConsumptionFatal(code) = error {
            let message = format!("the group will not have this member: {error}");
            return self.send(Input::Failed(clients::explain(
                *code,
                message,
                clients::LANE_REMEDY,
            )));
        }
        if code.is_some_and(clients::is_hopeless) {
            return self.send(Input::Failed(format!(
                "failed to read `{}`: {error}; `lifetide check` says what is missing, and a \
                 restart says which records were deleted before they were read",
                self.topic
            )));
        }
        // librdkafka reconnects and rejoins by itself.
        clients::log_passing(error, "failed to poll; the client tries again");
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let partitions: Vec<i32> = self.pending.keys().copied().collect();
        partitions.into_iter().try_for_each(|partition| self.hand_over(partition))
    }

    fn hand_over(&mut self, partition: i32) -> Result<(), Gone> {
        let Some(pending) = self.pending.get_mut(&partition) else { return Ok(()) };
        if pending.records.is_empty() {
            return Ok(());
        }
        let records = std::mem::replace(&mut pending.records, Vec::with_capacity(BATCH_RECORDS));
        pending.n_bytes = 0;
        let batch = Batch { partition, epoch: pending.epoch, records };
        if let Some(offset_next) = pending.offset_next {
            self.ends.handed_over(partition, offset_next);
        }
        self.send(Input::Records(batch))
    }

    /// Waits while the engine is behind: its bounded queue is what stops the reading.
    fn send(&self, input: Input) -> Result<(), Gone> {
        self.inputs.send(input).map_err(|_| Gone)
    }

    /// What is pending of a partition in this epoch; an older epoch's is dropped.
    fn pending_of(&mut self, partition: i32, epoch: u64) -> &mut Pending {
        let pending = self.pending.entry(partition).or_insert_with(|| Pending::new(epoch));
        if pending.epoch != epoch {
            *pending = Pending::new(epoch);
        }
        pending
    }

    fn obey(&mut self, command: Command) -> Result<(), Gone> {
        match command {
            Command::Resume { partition, epoch, offset_next } => {
                if self.ownership.epoch(partition) != Some(epoch) {
                    return Ok(());
                }
                self.pending_of(partition, epoch).offset_next = offset_next;
                if let Some(offset_next) = offset_next {
                    self.position(partition, offset_next)?;
                }
                self.resume(partition)
            }
            Command::Rewind { partition, epoch, offset_next } => {
                let Some(epoch) = self.ownership.rewind(partition, epoch) else { return Ok(()) };
                self.pending_of(partition, epoch).offset_next = Some(offset_next);
                debug!(partition, offset_next, "rewound");
                self.position(partition, offset_next)?;
                // It is not paused, unless that is what holds it up.
                self.resume(partition)
            }
        }
    }

    fn resume(&self, partition: i32) -> Result<(), Gone> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&self.topic, partition);
        self.consumer.resume(&partitions).or_else(|error| self.lost(partition, &error))
    }

    /// Reads on from `offset_next`. Right after an assignment the client may not be able to yet.
    fn position(&self, partition: i32, offset_next: i64) -> Result<(), Gone> {
        let began = Instant::now();
        loop {
            let offset = Offset::Offset(offset_next);
            match self.consumer.seek(&self.topic, partition, offset, SEEK) {
                Ok(()) => return Ok(()),
                Err(_) if began.elapsed() < SEEK => {
                    // Nobody sends here: this only waits.
                    self.never.recv_timeout(SEEK_AGAIN).ok();
                }
                Err(error) => return self.lost(partition, &error),
            }
        }
    }

    fn lost(&self, partition: i32, error: &KafkaError) -> Result<(), Gone> {
        let topic = &self.topic;
        let sentence = format!("failed to position partition `{partition}` of `{topic}`: {error}");
        self.send(Input::Failed(sentence))
    }

    /// Leaves the group and joins it again: what this lane owns is revoked as ever, and the group
    /// shares out anew. Who subscribes again before librdkafka has left stays the member it was.
    fn rejoin(&self) -> Result<(), Gone> {
        self.leave();
        let deadline = Deadline::after(LEFT_MS);
        while !deadline.is_over() {
            self.consumer.poll(POLL);
        }
        match self.consumer.subscribe(&[&self.topic]) {
            Ok(()) => Ok(()),
            Err(error) => {
                let message = format!("failed to subscribe to `{}` again: {error}", self.topic);
                self.send(Input::Failed(message))
            }
        }
    }

    /// Lets time pass for partitions in which it is quiet: a history that comes more slowly than it
    /// is read has its end in sight between any two of its records, and time that has passed does
    /// not go back for the next one.
    fn tick(&self) -> Result<(), Gone> {
        let Some(idle_lag) = self.idle_lag else { return Ok(()) };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until_ms = wall.saturating_sub(idle_lag).as_millis();
        let until_ms = i64::try_from(until_ms).unwrap_or(i64::MAX);
        for (partition, epoch) in self.ownership.owned() {
            let Some(pending) = self
                .pending
                .get(&partition)
                .filter(|pending| pending.epoch == epoch && pending.is_quiet_for(idle_lag))
            else {
                continue;
            };
            if self.ends.is_reached(partition, pending.offset_next, idle_lag) {
                self.send(Input::Tick { partition, epoch, until_ms })?;
            }
        }
        Ok(())
    }
}

/// A record's headers, as they are kept.
pub(super) fn headers(headers: &rdkafka::message::BorrowedHeaders) -> KeptHeaders {
    headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
}

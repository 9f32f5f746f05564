//! What goes into the engine and what it asks of the world. The engine knows no Kafka client: these
//! types are all that stands between, in production, in `replay` and in tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::remodel::Remodel;
use super::timers::Timers;
use crate::event::{Event, Rejection};
use crate::metrics::{AbortCause, PartitionGauges, Phase};
use crate::pipeline::Plan;
use crate::population::Census;
use crate::record::dead_letter::Headers;
use crate::record::erased::ErasedHash;
use crate::record::marker::Marker;
use crate::store::Customers;

/// Everything that an engine can be told, in the order in which it happened.
#[derive(Debug)]
pub enum Input {
    /// Records of one partition, in offset order.
    Records(Batch),
    /// A partition was given to this member; nothing of it may be processed before `Restored`.
    Assigned {
        /// The input partition.
        partition: i32,
        /// The first epoch of this ownership.
        epoch: u64,
        /// Where its figures are shown while it is owned.
        gauges: Arc<PartitionGauges>,
    },
    /// A partition's state has been read back.
    Restored(Box<Restored>),
    /// Another member waits for these partitions: commit or abort, then acknowledge.
    Revoked {
        /// The input partitions.
        partitions: Vec<i32>,
        /// Kafka waits for this.
        acknowledge: Sender<()>,
    },
    /// Another member may own these partitions already: abort, then acknowledge.
    Lost {
        /// The input partitions.
        partitions: Vec<i32>,
        /// Kafka waits for this.
        acknowledge: Sender<()>,
    },
    /// All of the partition has been read and this much time has passed without an event.
    Tick {
        /// The input partition.
        partition: i32,
        /// The epoch in which the end was reached.
        epoch: u64,
        /// Stream time may move up to here, milliseconds since 1970.
        until_ms: i64,
    },
    /// Records of the partition wait and none arrives: read it again from where it stands, or from
    /// its oldest record if nothing of it was ever processed.
    Stalled {
        /// The input partition.
        partition: i32,
        /// Its oldest record.
        offset_low: i64,
    },
    /// Another model's timers for one partition: to be taken between two transactions.
    Model(Box<Remodel>),
    /// The lane cannot go on; the sentence says why and what to do.
    Failed(String),
    /// Commit what is open and stop.
    Shutdown,
}

/// Records of one partition that were read in one epoch.
#[derive(Debug)]
pub struct Batch {
    /// The input partition.
    pub partition: i32,
    /// Raised by assignment and by each rewind: older ones are dropped.
    pub epoch: u64,
    /// In offset order.
    pub records: Vec<Record>,
}

/// One input record.
#[derive(Debug)]
pub struct Record {
    /// Where it lies.
    pub offset: i64,
    /// Its Kafka timestamp, milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// What it says, or why it cannot be accepted.
    pub decoded: Result<Event, Box<Rejected>>,
}

/// A record that cannot be accepted, whole, so that nothing is lost.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub rejection: Rejection,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub payload: Option<Vec<u8>>,
    /// The record's headers.
    pub headers: Headers,
}

/// A partition's state as it was committed.
#[derive(Debug)]
pub struct Restored {
    /// The input partition.
    pub partition: i32,
    /// How many partitions the input has.
    pub n_partitions: i32,
    /// The epoch of the assignment that asked for it.
    pub epoch: u64,
    /// The customers.
    pub customers: Arc<Customers>,
    /// Their timers, set by `plan`.
    pub timers: Timers,
    /// The rules and the model to go on with.
    pub plan: Plan,
    /// Erased customers: hash of the id → time of the erasure in milliseconds.
    pub erased: BTreeMap<ErasedHash, i64>,
    /// How far the state has come; absent for a partition that was never processed.
    pub marker: Option<Marker>,
    /// The next input offset to read; absent to start where `auto.offset.reset` says.
    pub offset_next: Option<i64>,
    /// Where the changelog begins, once a person has accepted that what lay before is gone.
    pub changelog_low: Option<i64>,
    /// Present if something was given up: to be committed at once, so that it is not asked again.
    pub mending: Option<Mending>,
    /// The sum over the customers, by `plan`.
    pub population: Census,
}

/// What was given up knowingly.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mending {
    /// Changelog keys whose values cannot be read.
    pub discard: Vec<Vec<u8>>,
    /// One sentence for each loss.
    pub losses: Vec<String>,
}

/// What the engine asks of the thread that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The partition is restored: read on from here.
    Resume {
        /// The input partition.
        partition: i32,
        /// The epoch of the assignment; an older one is ignored.
        epoch: u64,
        /// Where to start; absent to start where `auto.offset.reset` says.
        offset_next: Option<i64>,
    },
    /// What was read since the last commit is dropped: read it again, in a new epoch.
    Rewind {
        /// The input partition.
        partition: i32,
        /// The epoch that is abandoned; if the reader has left it already, this is ignored.
        epoch: u64,
        /// Where to start.
        offset_next: i64,
    },
}

/// A record's header: name and value.
type Header = (String, Option<Vec<u8>>);

/// The topics that the engine writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// `kafka.scores_topic`.
    Scores,
    /// `kafka.signals_topic`.
    Signals,
    /// `kafka.dlq_topic`.
    DeadLetters,
    /// `kafka.changelog_topic`.
    Changelog,
}

/// A record on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: Topic,
    /// The changelog's partition is the input's; the others follow their key.
    pub partition: Option<i32>,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value; absent for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: &'a [Header],
}

impl Outgoing<'_> {
    /// Bytes of key, value and headers.
    pub fn n_bytes(&self) -> u64 {
        let body = self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len);
        let size = |(name, value): &Header| name.len() + value.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(size).sum();
        (body + headers) as u64
    }
}

/// How far one partition has come when a transaction commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The input partition.
    pub partition: i32,
    /// The epoch in which its records were read.
    pub epoch: u64,
    /// The next offset to read.
    pub offset_next: i64,
}

/// Transactions, one at a time.
pub trait Transactions {
    /// Opens one.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when this producer can open no more.
    fn begin(&mut self) -> Result<(), Failure>;

    /// Adds a record to the open transaction, waiting while the way out is full.
    ///
    /// # Errors
    /// The verb that remains after retries.
    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure>;

    /// Commits the open transaction with these offsets, in at most `budget_ms` of waiting.
    ///
    /// # Errors
    /// The verb that remains after retries. After [`Failure::Abort`] nothing of the transaction
    /// will ever be visible, once [`Self::abort`] has been called.
    fn commit(&mut self, progress: &[Progress], budget_ms: u64) -> Result<(), Failure>;

    /// Takes the time since the last call; if a phase has ended here, it took that long.
    fn mark(&mut self, ended: Option<Phase>);

    /// Drops the open transaction.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when that cannot be done.
    fn abort(&mut self) -> Result<(), Failure>;
}

/// What remains of an error after retries: one of two verbs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Drop the transaction and go on.
    #[error("{1}")]
    Abort(AbortCause, String),
    /// Exit; the restart restores.
    #[error("{0}")]
    Fatal(String),
}

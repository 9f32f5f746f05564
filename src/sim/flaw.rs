//! Deliberate breaks of the protocol. Each one loses, doubles or stalls something in some run, and
//! a test shows that a run says so. They lie in the simulation's own reader and producer, which
//! keep the order of those over rdkafka, never in the engine.

/// A deliberate break of the protocol, to show that a run would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Offsets are committed beside the transaction, not in it.
    OffsetsOutside,
    /// Offsets are sent without the member's generation, as clients once did.
    StaleGeneration,
    /// An aborted transaction's records are not read again.
    NoSeekBack,
    /// Records that were read before a rewind are processed after it.
    OldEpoch,
    /// A restore ends where committed readers see the end.
    RestoreEndCommitted,
    /// A restore reads what was aborted or is still open.
    RestoreUncommitted,
    /// A restore is over when it has seen a record just before the end, where a marker may be.
    RestoreEndByRecord,
    /// A restore gives up when whoever took the partition over has committed meanwhile.
    RestoreGivesUp,
    /// A restore passes over tombstones.
    TombstonesIgnored,
    /// A restore does not wait for pending offsets, nor compares them with the marker.
    MarkerNotChecked,
    /// A restore does not rebuild the timers.
    TimersNotRebuilt,
    /// State is applied whether the broker takes the commit or not.
    ApplyBeforeCommit,
    /// Records that were never acknowledged count as sent.
    NoDrain,
    /// What is open is committed when partitions were lost, as when they are revoked.
    CommitOnLost,
    /// A commit does not ask whether its partitions were taken away meanwhile.
    OwnershipNotChecked,
    /// Transactions that only fired timers send no offsets.
    TimersWithoutOffsets,
    /// A start does not fence whoever had the identity before.
    NoFencing,
    /// A commit without an answer is taken for an abort, and read again.
    UnknownIsAborted,
}

impl Flaw {
    /// Every one.
    pub const ALL: [Self; 18] = [
        Self::OffsetsOutside,
        Self::StaleGeneration,
        Self::NoSeekBack,
        Self::OldEpoch,
        Self::RestoreEndCommitted,
        Self::RestoreUncommitted,
        Self::RestoreEndByRecord,
        Self::RestoreGivesUp,
        Self::TombstonesIgnored,
        Self::MarkerNotChecked,
        Self::TimersNotRebuilt,
        Self::ApplyBeforeCommit,
        Self::NoDrain,
        Self::CommitOnLost,
        Self::OwnershipNotChecked,
        Self::TimersWithoutOffsets,
        Self::NoFencing,
        Self::UnknownIsAborted,
    ];
}

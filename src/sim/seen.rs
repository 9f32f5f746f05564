//! What was seen in runs that found nothing: how often each thing went wrong.

/// Counts over one run, or over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Input records.
    pub records: u64,
    /// Signals.
    pub signals: u64,
    /// Processes that were killed between two calls.
    pub kills: u64,
    /// Processes that did not move, and came back.
    pub pauses: u64,
    /// Processes that were started under an identity that was in use.
    pub twins: u64,
    /// Generations of the group.
    pub rebalances: u64,
    /// Restores that were given up because the partition was taken away.
    pub restores_given_up: u64,
    /// Times that a member waited no longer for its engine.
    pub budgets_spent: u64,
    /// Transactions that were aborted because acknowledgements took too long.
    pub late_acknowledgements: u64,
    /// Records that were not delivered, so that their transaction was aborted.
    pub undelivered: u64,
    /// Commits whose request or answer went missing.
    pub unanswered: u64,
    /// Times in which the broker answered nobody.
    pub outages: u64,
    /// Runs of the cleaner over a changelog partition.
    pub cleanings: u64,
}

impl Seen {
    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.signals += other.signals;
        self.kills += other.kills;
        self.pauses += other.pauses;
        self.twins += other.twins;
        self.rebalances += other.rebalances;
        self.restores_given_up += other.restores_given_up;
        self.budgets_spent += other.budgets_spent;
        self.late_acknowledgements += other.late_acknowledgements;
        self.undelivered += other.undelivered;
        self.unanswered += other.unanswered;
        self.outages += other.outages;
        self.cleanings += other.cleanings;
    }
}

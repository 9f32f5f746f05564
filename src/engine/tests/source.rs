//! A reader in memory: keeps the log of each partition and obeys the engine as the thread that
//! polls does, one epoch for each assignment and each rewind.

use std::collections::BTreeMap;

use super::broker::Epochs;
use crate::engine::{Batch, Command, Record, Rejected};
use crate::event::{Envelope, Event, Intake, decode};

/// A record of the input topic.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

/// The logs of the partitions.
pub(super) type Logs = BTreeMap<i32, Vec<Stored>>;

#[derive(Debug)]
pub(super) struct Source {
    logs: Logs,
    intake: Intake,
    epochs: Epochs,
    last_epoch: u64,
    /// The next offset to read of the partitions that are not paused.
    running: BTreeMap<i32, i64>,
}

impl Stored {
    /// The event as its producer would send it.
    pub(super) fn of(event: &Event, offset: i64, timestamp_ms: i64) -> Self {
        let key = event.customer_id.as_bytes().to_vec();
        Self { offset, timestamp_ms, key, payload: event.encode() }
    }

    pub(super) fn read(&self, intake: &Intake) -> Record {
        let (payload, key) = (Some(&*self.payload), Some(&*self.key));
        let timestamp_ms = Some(self.timestamp_ms);
        let decoded = decode(Envelope { payload, key, timestamp_ms }, intake);
        let decoded = decoded.map_err(|rejection| {
            let (key, payload) = (Some(self.key.clone()), Some(self.payload.clone()));
            let headers = vec![("from".to_owned(), Some(b"shop".to_vec()))];
            Box::new(Rejected { rejection, key, payload, headers })
        });
        Record { offset: self.offset, timestamp_ms, decoded }
    }
}

impl Source {
    pub(super) fn new(logs: Logs, intake: Intake, epochs: Epochs) -> Self {
        Self { logs, intake, epochs, last_epoch: 0, running: BTreeMap::new() }
    }

    pub(super) fn partitions(&self) -> Vec<i32> {
        self.logs.keys().copied().collect()
    }

    /// Takes a partition in, paused; its epoch.
    pub(super) fn assign(&mut self, partition: i32) -> u64 {
        self.last_epoch += 1;
        self.epochs.borrow_mut().insert(partition, self.last_epoch);
        self.last_epoch
    }

    /// Gives a partition up.
    pub(super) fn release(&mut self, partition: i32) {
        self.epochs.borrow_mut().remove(&partition);
        self.running.remove(&partition);
    }

    pub(super) fn epoch(&self, partition: i32) -> u64 {
        self.epochs.borrow()[&partition]
    }

    pub(super) fn obey(&mut self, command: Command) {
        let (Command::Resume { partition, epoch, .. } | Command::Rewind { partition, epoch, .. }) =
            command;
        if self.epochs.borrow().get(&partition) != Some(&epoch) {
            return;
        }
        let offset_next = match command {
            Command::Resume { offset_next, .. } => offset_next.unwrap_or(0),
            Command::Rewind { offset_next, .. } => {
                self.assign(partition);
                offset_next
            }
        };
        self.running.insert(partition, offset_next);
    }

    /// The next records of a partition, if there are any.
    pub(super) fn read(&mut self, partition: i32, n_records_max: usize) -> Option<Batch> {
        let offset_next = *self.running.get(&partition)?;
        let records: Vec<Record> = self.logs[&partition]
            .iter()
            .skip_while(|stored| stored.offset < offset_next)
            .take(n_records_max)
            .map(|stored| stored.read(&self.intake))
            .collect();
        self.running.insert(partition, records.last()?.offset + 1);
        Some(Batch { partition, epoch: self.epoch(partition), records })
    }
}

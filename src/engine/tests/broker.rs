//! A broker with transactions, in memory: what is committed shows together with its offsets, what
//! is aborted never. It checks what every transaction owes the protocol, and fails when told to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crossbeam_channel::Receiver;

use crate::engine::{Failure, Outgoing, Progress, Topic, Transactions};
use crate::metrics::{AbortCause, Phase};
use crate::record::changelog::Key;
use crate::record::dead_letter::Headers;
use crate::record::marker::Marker;

/// A record that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) topic: Topic,
    pub(super) partition: Option<i32>,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
}

/// A committed transaction.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) written: Vec<Written>,
    pub(super) offsets: BTreeMap<i32, i64>,
}

/// Owned partitions and their epochs, as reader and broker see them.
pub(super) type Epochs = Rc<RefCell<BTreeMap<i32, u64>>>;

#[derive(Debug, Default)]
pub(super) struct Broker {
    open: Option<Vec<Written>>,
    pub(super) committed: Vec<Transaction>,
    /// The group's committed offsets.
    pub(super) offsets: BTreeMap<i32, i64>,
    pub(super) epochs: Epochs,
    /// Calls of `begin`, `send` and `commit` so far.
    pub(super) n_calls: u64,
    pub(super) n_aborts: u64,
    /// What the next calls answer, by their number.
    pub(super) faults: BTreeMap<u64, Failure>,
    /// What the last commit was allowed to take.
    pub(super) budget_ms: u64,
    /// No commit may come after this was answered.
    pub(super) not_after: Option<Receiver<()>>,
}

/// The engine's end.
#[derive(Clone, Debug, Default)]
pub(super) struct Way(pub(super) Rc<RefCell<Broker>>);

pub(super) fn abort() -> Failure {
    Failure::Abort(AbortCause::Delivery, "told to abort".to_owned())
}

pub(super) fn fatal() -> Failure {
    Failure::Fatal("told to fail".to_owned())
}

impl Broker {
    fn call(&mut self) -> Result<(), Failure> {
        self.n_calls += 1;
        self.faults.remove(&self.n_calls).map_or(Ok(()), Err)
    }

    /// The producer's process is gone.
    pub(super) fn fence(&mut self) {
        self.open = None;
        self.faults.clear();
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// All that is committed, in the order in which it was sent.
    pub(super) fn visible(&self) -> impl Iterator<Item = &Written> {
        self.committed.iter().flat_map(|transaction| &transaction.written)
    }

    /// The values committed to a topic under a customer's id, in order.
    pub(super) fn values(&self, topic: Topic, id: &str) -> Vec<Option<Vec<u8>>> {
        self.visible()
            .filter(|written| written.topic == topic && written.key == id.as_bytes())
            .map(|written| written.value.clone())
            .collect()
    }

    /// The changelog as compaction leaves it: by partition and key.
    pub(super) fn state(&self) -> BTreeMap<(i32, Vec<u8>), Vec<u8>> {
        let mut state = BTreeMap::new();
        for Written { topic, partition, key, value, .. } in self.visible() {
            if *topic != Topic::Changelog {
                continue;
            }
            let place = (partition.unwrap(), key.clone());
            match value {
                Some(value) => state.insert(place, value.clone()),
                None => state.remove(&place),
            };
        }
        state
    }

    fn close(&mut self, progress: &[Progress]) -> Result<(), Failure> {
        for Progress { partition, epoch, .. } in progress {
            if self.epochs.borrow().get(partition) != Some(epoch) {
                let why = format!("partition `{partition}` was taken away meanwhile");
                return Err(Failure::Abort(AbortCause::RevokeBudget, why));
            }
        }
        let written = self.open.take().expect("a commit ends an open transaction");
        let offsets: BTreeMap<i32, i64> =
            progress.iter().map(|progress| (progress.partition, progress.offset_next)).collect();
        assert_eq!(offsets.len(), progress.len(), "one offset a partition");
        let markers: BTreeMap<i32, i64> = written
            .iter()
            .filter(|it| it.topic == Topic::Changelog && it.key == Key::Marker.write())
            .map(|it| (it.partition.unwrap(), Marker::read(it.value.as_ref().unwrap()).unwrap()))
            .map(|(partition, marker)| (partition, marker.offset_next))
            .collect();
        assert_eq!(markers, offsets, "a marker for each partition, at its offset");
        for it in written.iter().filter(|it| it.topic == Topic::Changelog) {
            assert!(offsets.contains_key(&it.partition.unwrap()), "no state without its offset");
        }
        for (partition, offset_next) in &offsets {
            let before = self.offsets.insert(*partition, *offset_next);
            assert!(before.is_none_or(|before| before <= *offset_next), "offsets go back");
        }
        self.committed.push(Transaction { written, offsets });
        Ok(())
    }
}

impl Transactions for Way {
    fn begin(&mut self) -> Result<(), Failure> {
        let mut broker = self.0.borrow_mut();
        broker.call()?;
        assert!(broker.open.replace(Vec::new()).is_none(), "one transaction at a time");
        Ok(())
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        let Outgoing { topic, partition, key, value, headers } = outgoing;
        assert_eq!(partition.is_some(), topic == Topic::Changelog);
        let mut broker = self.0.borrow_mut();
        broker.call()?;
        broker.open.as_mut().expect("a record is sent in a transaction").push(Written {
            topic,
            partition,
            key: key.unwrap_or_default().to_vec(),
            value: value.map(<[u8]>::to_vec),
            headers: headers.to_vec(),
        });
        Ok(())
    }

    fn commit(&mut self, progress: &[Progress], budget_ms: u64) -> Result<(), Failure> {
        let mut broker = self.0.borrow_mut();
        broker.budget_ms = budget_ms;
        let is_late = broker.not_after.as_ref().is_some_and(|answered| !answered.is_empty());
        assert!(!is_late, "the group has moved on");
        broker.call()?;
        broker.close(progress)
    }

    fn mark(&mut self, _ended: Option<Phase>) {}

    fn abort(&mut self) -> Result<(), Failure> {
        let mut broker = self.0.borrow_mut();
        broker.n_aborts += 1;
        broker.open.take().expect("an abort ends an open transaction");
        Ok(())
    }
}

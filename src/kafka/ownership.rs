//! Which partitions a lane owns, and in which epoch. The thread that polls writes it, inside
//! Kafka's callbacks; the thread that commits asks it, because the broker checks a member's
//! generation but not who owns a partition.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The epochs of the owned partitions.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    epochs: Mutex<Epochs>,
}

#[derive(Debug, Default)]
struct Epochs {
    owned: BTreeMap<i32, u64>,
    last: u64,
    has_joined: bool,
    must_rejoin: bool,
}

impl Ownership {
    /// Takes a partition in; returns the first epoch of this ownership.
    pub(super) fn assign(&self, partition: i32) -> u64 {
        let mut epochs = self.lock();
        epochs.last += 1;
        let epoch = epochs.last;
        epochs.owned.insert(partition, epoch);
        epoch
    }

    /// Leaves `epoch` for a new one; `None` if it was left already.
    pub(super) fn rewind(&self, partition: i32, epoch: u64) -> Option<u64> {
        let mut epochs = self.lock();
        epochs.owned.get(&partition).filter(|current| **current == epoch)?;
        epochs.last += 1;
        let new = epochs.last;
        epochs.owned.insert(partition, new);
        Some(new)
    }

    /// Gives partitions up: from now on nothing of them may be committed.
    pub(super) fn release(&self, partitions: &[i32]) {
        let mut epochs = self.lock();
        for partition in partitions {
            epochs.owned.remove(partition);
        }
    }

    /// The present epoch of a partition, if it is owned.
    pub(super) fn epoch(&self, partition: i32) -> Option<u64> {
        self.lock().owned.get(&partition).copied()
    }

    /// Takes note that the group has told this member what it owns, if only nothing.
    pub(super) fn join(&self) {
        self.lock().has_joined = true;
    }

    /// Whether the member is in the group and `n_running` are all the partitions that it owns.
    pub(super) fn is_settled(&self, n_running: usize) -> bool {
        let epochs = self.lock();
        epochs.has_joined && epochs.owned.len() == n_running
    }

    /// Asks the thread that polls to leave the group and join it again.
    pub(super) fn ask_to_rejoin(&self) {
        self.lock().must_rejoin = true;
    }

    /// Whether that was asked since the last call.
    pub(super) fn must_rejoin(&self) -> bool {
        std::mem::take(&mut self.lock().must_rejoin)
    }

    /// The owned partitions and their epochs.
    pub(super) fn owned(&self) -> BTreeMap<i32, u64> {
        self.lock().owned.clone()
    }

    /// Nothing under this lock can panic half way, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Epochs> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_was_left_cannot_be_left_again() {
        let ownership = Ownership::default();
        let first = ownership.assign(3);
        let second = ownership.rewind(3, first).unwrap();
        assert!(second > first);
        assert_eq!(ownership.rewind(3, first), None);
        ownership.release(&[3]);
        assert_eq!((ownership.epoch(3), ownership.rewind(3, second)), (None, None));
        assert!(!ownership.is_settled(0));
        ownership.join();
        assert!(ownership.is_settled(0));
        assert!(ownership.assign(3) > second);
        assert!(!ownership.is_settled(0) && ownership.is_settled(1));
    }
}

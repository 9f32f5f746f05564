//! What one partition has staged in the open transaction: changed customers over the committed
//! ones. Dropped whole on abort. Called by `partition` alone.

use std::collections::{BTreeMap, HashMap};

use crate::calendar::Day;
use crate::churn::Cause;
use crate::customer::Customer;
use crate::record::erased::ErasedHash;

/// A customer that was looked at or changed in the open transaction.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) id: Box<str>,
    pub(super) hash: u64,
    /// The timer as the store has it.
    pub(super) due_committed: Option<Day>,
    /// The timer as it stands now.
    pub(super) due: Option<Day>,
    /// Whether the store has the customer.
    pub(super) is_committed: bool,
    /// Absent when new or erased.
    pub(super) customer: Option<Customer>,
    /// What changed it last; absent while it was only looked at.
    pub(super) cause: Option<Cause>,
    /// The next of the customers that share the hash.
    next: Option<usize>,
}

/// The customers touched, in the order of their first touch, found by hash.
#[derive(Debug, Default)]
pub(super) struct Stage {
    touched: Vec<Touched>,
    /// Looked up only, never iterated: its order is nobody's.
    by_hash: HashMap<u64, usize>,
    /// Erasures added (`Some`) and forgotten (`None`).
    pub(super) erased: BTreeMap<ErasedHash, Option<i64>>,
    /// The first offset read in this transaction.
    pub(super) offset_first: Option<i64>,
}

impl Stage {
    /// Whether nothing was read or written.
    pub(super) fn is_empty(&self) -> bool {
        self.offset_first.is_none() && self.touched.is_empty() && self.erased.is_empty()
    }

    pub(super) fn touched(&self) -> &[Touched] {
        &self.touched
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Touched {
        &mut self.touched[index]
    }

    /// The places of the customers that share `hash`.
    pub(super) fn with_hash(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.by_hash.get(&hash).copied();
        std::iter::successors(first, |index| self.touched[*index].next)
    }

    pub(super) fn find(&self, id: &str, hash: u64) -> Option<usize> {
        self.with_hash(hash).find(|index| *self.touched[*index].id == *id)
    }

    /// Adds a customer that is not there yet.
    pub(super) fn add(
        &mut self,
        id: &str,
        hash: u64,
        committed: Option<(Option<Day>, Customer)>,
    ) -> usize {
        let index = self.touched.len();
        let next = self.by_hash.insert(hash, index);
        let is_committed = committed.is_some();
        let (due, customer) = committed.map_or((None, None), |(due, found)| (due, Some(found)));
        self.touched.push(Touched {
            id: id.into(),
            hash,
            due_committed: due,
            due,
            is_committed,
            customer,
            cause: None,
            next,
        });
        index
    }
}

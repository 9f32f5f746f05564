//! What one partition has staged in the open transaction: changed customers over the committed
//! ones. Dropped whole on abort. Called by `partition` alone.
//!
//! Between two of its events a customer is bytes here as in the store. Only the one at hand is
//! decoded, and so stays in the processor's cache; a transaction's thousands would not.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use compact_str::CompactString;
use rustc_hash::FxBuildHasher;

use crate::calendar::Day;
use crate::churn::Cause;
use crate::customer::Customer;
use crate::population::Census;
use crate::record::changelog;
use crate::record::erased::ErasedHash;
use crate::store::{Customers, hash_of};

/// A customer that was looked at or changed in the open transaction.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) id: CompactString,
    pub(super) hash: u64,
    /// The timer as the store has it.
    pub(super) due_committed: Option<Day>,
    /// The timer as it stands now.
    pub(super) due: Option<Day>,
    /// Whether the store has the customer.
    pub(super) is_committed: bool,
    /// What changed it last; absent while it was only looked at.
    pub(super) cause: Option<Cause>,
    /// Where in the stage's bytes the changed customer lies; absent when erased.
    value: Option<Range<usize>>,
    /// The next of the customers that share the hash.
    next: Option<usize>,
}

/// Customers for which room is kept from one transaction to the next.
const ROOM_CUSTOMERS_MAX: usize = 8192;
/// … and bytes of values.
const ROOM_BYTES_MAX: usize = 4 << 20;

/// The customers touched, in the order of their first touch, found by hash.
#[derive(Debug, Default)]
pub(super) struct Stage {
    touched: Vec<Touched>,
    /// Looked up only, never iterated: its order is nobody's.
    by_hash: HashMap<u64, usize, FxBuildHasher>,
    /// Values of changed customers, some of them replaced by a later change.
    bytes: Vec<u8>,
    /// How many of them are replaced: never more than the others and [`ROOM_BYTES_MAX`].
    n_bytes_replaced: usize,
    /// The customer at hand: place, and state; none when new or erased.
    at_hand: Option<(usize, Option<Customer>)>,
    /// Erasures added (`Some`) and forgotten (`None`).
    pub(super) erased: BTreeMap<ErasedHash, Option<i64>>,
    /// The first offset read in this transaction.
    pub(super) offset_first: Option<i64>,
    /// What the transaction adds to the sum over the customers, and takes from it.
    pub(super) population: Census,
}

impl Stage {
    /// Whether nothing was read or written.
    pub(super) fn is_empty(&self) -> bool {
        self.offset_first.is_none() && self.touched.is_empty() && self.erased.is_empty()
    }

    /// Drops everything but the room that an ordinary transaction needs again.
    pub(super) fn clear(&mut self) {
        self.touched.clear();
        self.touched.shrink_to(ROOM_CUSTOMERS_MAX);
        self.by_hash.clear();
        self.by_hash.shrink_to(ROOM_CUSTOMERS_MAX);
        self.bytes.clear();
        self.bytes.shrink_to(ROOM_BYTES_MAX);
        self.n_bytes_replaced = 0;
        self.at_hand = None;
        self.erased.clear();
        self.offset_first = None;
        self.population.clear();
    }

    pub(super) fn touched(&self) -> &[Touched] {
        &self.touched
    }

    /// The places of the customers that share `hash`.
    pub(super) fn with_hash(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.by_hash.get(&hash).copied();
        std::iter::successors(first, |index| self.touched[*index].next)
    }

    /// The place of a customer, with what the store has of it.
    pub(super) fn touch(&mut self, id: &str, committed: &Customers) -> usize {
        let hash = hash_of(id);
        if let Some(index) = self.with_hash(hash).find(|index| self.touched[*index].id == *id) {
            return index;
        }
        let index = self.touched.len();
        let found = committed.get(id, |entry| (entry.due, decode(entry.value)));
        let is_committed = found.is_some();
        let (due, customer) = found.map_or((None, None), |(due, found)| (due, Some(found)));
        self.at_hand = Some((index, customer));
        self.touched.push(Touched {
            id: id.into(),
            hash,
            due_committed: due,
            due,
            is_committed,
            cause: None,
            value: None,
            next: self.by_hash.insert(hash, index),
        });
        index
    }

    /// Whether the customer was there before the change that is not kept yet.
    pub(super) fn is_known(&self, index: usize) -> bool {
        let touched = &self.touched[index];
        match touched.cause {
            Some(_) => touched.value.is_some(),
            None => touched.is_committed,
        }
    }

    /// Takes a customer in hand; none when new or erased.
    pub(super) fn take(
        &mut self,
        index: usize,
        committed: &Customers,
    ) -> (&mut Touched, &mut Option<Customer>) {
        let touched = &mut self.touched[index];
        let at_hand = self.at_hand.take().filter(|(at_hand, _)| *at_hand == index);
        let at_hand = at_hand.unwrap_or_else(|| {
            let customer = match (&touched.value, touched.cause) {
                (Some(value), _) => Some(decode(&self.bytes[value.clone()])),
                (None, None) => committed.get(&touched.id, |entry| decode(entry.value)),
                (None, Some(_)) => None,
            };
            (index, customer)
        });
        (touched, &mut self.at_hand.insert(at_hand).1)
    }

    /// Keeps the customer at hand as it is now.
    ///
    /// # Panics
    /// If another one was taken in hand since: a change would be lost.
    pub(super) fn keep(&mut self, index: usize, cause: Cause) {
        let (at_hand, customer) = self.at_hand.as_ref().expect("who is kept was taken");
        assert_eq!(*at_hand, index, "another customer was taken before this one was kept");
        let touched = &mut self.touched[index];
        touched.cause = Some(cause);
        self.n_bytes_replaced += touched.value.take().map_or(0, |value| value.len());
        if let Some(customer) = customer {
            let start = self.bytes.len();
            changelog::append(&mut self.bytes, customer);
            touched.value = Some(start..self.bytes.len());
        }
        if self.n_bytes_replaced > self.bytes.len() / 2 + ROOM_BYTES_MAX / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.n_bytes_replaced);
        for value in self.touched.iter_mut().filter_map(|touched| touched.value.as_mut()) {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[value.clone()]);
            *value = start..bytes.len();
        }
        self.bytes = bytes;
        self.n_bytes_replaced = 0;
    }

    /// The changed customers, whether they are still there or not.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&Touched, Option<&[u8]>)> {
        self.touched.iter().filter(|touched| touched.cause.is_some()).map(|touched| {
            (touched, touched.value.as_ref().map(|value| &self.bytes[value.clone()]))
        })
    }
}

fn decode(value: &[u8]) -> Customer {
    changelog::decode(value).expect("restore checked every value, and the stage wrote the others")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_carts(n_carts: u64) -> Customer {
        let mut customer = Customer::default();
        customer.counters.n_carts_abandoned = n_carts;
        customer
    }

    fn n_carts(stage: &mut Stage, index: usize, committed: &Customers) -> Option<u64> {
        let (_, customer) = stage.take(index, committed);
        customer.as_ref().map(|customer| customer.counters.n_carts_abandoned)
    }

    #[test]
    fn what_is_kept_stands_over_what_is_committed_until_it_is_dropped() {
        let committed = Customers::default();
        committed.put("ada", Some(Day(7)), &changelog::encode(&with_carts(1)));
        let mut stage = Stage::default();
        let [ada, bob] = ["ada", "bob"].map(|id| stage.touch(id, &committed));
        assert_eq!(stage.touched()[ada].due, Some(Day(7)));
        assert_eq!([ada, bob].map(|who| n_carts(&mut stage, who, &committed)), [Some(1), None]);
        *stage.take(ada, &committed).1 = Some(with_carts(2));
        stage.keep(ada, Cause::Event);
        *stage.take(bob, &committed).1 = Some(with_carts(3));
        stage.keep(bob, Cause::Event);
        assert_eq!([ada, bob].map(|who| n_carts(&mut stage, who, &committed)), [2, 3].map(Some));
        *stage.take(ada, &committed).1 = None;
        stage.keep(ada, Cause::Event);
        assert_eq!([bob, ada].map(|who| n_carts(&mut stage, who, &committed)), [Some(3), None]);
        *stage.take(ada, &committed).1 = Some(with_carts(4));
        stage.keep(ada, Cause::Event);
        assert_eq!(stage.touch("ada", &committed), ada);
        assert_eq!([bob, ada].map(|who| n_carts(&mut stage, who, &committed)), [3, 4].map(Some));
        let changed: Vec<_> =
            stage.changed().map(|(touched, value)| (&*touched.id, value.map(decode))).collect();
        assert_eq!(changed, [("ada", Some(with_carts(4))), ("bob", Some(with_carts(3)))]);
        stage.clear();
        assert!(stage.is_empty());
        let ada = stage.touch("ada", &committed);
        assert_eq!(n_carts(&mut stage, ada, &committed), Some(1));
    }

    /// Two customers of a megabyte in turn: what they replace is given back.
    #[test]
    fn a_customer_of_many_events_takes_the_room_of_a_few() {
        let committed = Customers::default();
        let mut stage = Stage::default();
        for n in 0..200_u64 {
            let index = stage.touch(["ada", "bob"][usize::from(n % 2 == 1)], &committed);
            let mut customer = with_carts(n + 1);
            customer.path.recent = vec![n; 1 << 17];
            *stage.take(index, &committed).1 = Some(customer);
            stage.keep(index, Cause::Event);
            assert!(stage.bytes.len() < 2 * (2 << 20) + ROOM_BYTES_MAX + (2 << 20), "{n}");
        }
        assert_eq!([0, 1].map(|who| n_carts(&mut stage, who, &committed)), [199, 200].map(Some));
    }
}

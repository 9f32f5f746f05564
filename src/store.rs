//! The committed customers of this process: what HTTP reads and the engine builds on. One engine
//! thread writes a partition, and only after its transaction; any number of readers read. A
//! customer is kept as the bytes of its changelog value, in one allocation with its id. Whoever
//! goes over all of them holds up nobody for longer than one customer's bytes take to copy.

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;
use xxhash_rust::xxh3::xxh3_64;

use crate::calendar::Day;
use crate::pipeline::Plan;

/// The owned partitions of this process; shared by its lanes and HTTP.
#[derive(Debug, Default)]
pub struct Store {
    partitions: DashMap<i32, Arc<Customers>>,
}

impl Store {
    /// Shows a restored partition to readers.
    pub fn insert(&self, partition: i32, customers: Arc<Customers>) {
        self.partitions.insert(partition, customers);
    }

    /// The customers of a partition, if it is shown.
    pub fn customers(&self, partition: i32) -> Option<Arc<Customers>> {
        self.partitions.get(&partition).map(|customers| Arc::clone(&customers))
    }

    /// Takes a partition away when another member may own it. A lane that hears late that it lost a
    /// partition does not take away what another lane of this process has restored since.
    pub fn remove(&self, partition: i32, customers: &Arc<Customers>) {
        self.partitions.remove_if(&partition, |_, shown| Arc::ptr_eq(shown, customers));
    }

    /// The owned partitions, ascending.
    pub fn owned(&self) -> Vec<i32> {
        let mut owned: Vec<i32> = self.partitions.iter().map(|entry| *entry.key()).collect();
        owned.sort_unstable();
        owned
    }

    /// Looks for a customer in every owned partition: only the producer knows how it spreads keys.
    pub fn find(&self, id: &str) -> Option<Found> {
        self.owned().into_iter().find_map(|partition| {
            let customers = self.customers(partition)?;
            let value = customers.get(id, |entry| entry.value.to_vec())?;
            Some(Found { partition, customers, value })
        })
    }
}

/// A customer and the partition it was found in, which another process may own by now.
#[derive(Debug)]
pub struct Found {
    /// The input partition.
    pub partition: i32,
    /// Its customers.
    pub customers: Arc<Customers>,
    /// The changelog value.
    pub value: Vec<u8>,
}

/// The hash under which a customer lies in the store and in the timer index. Two ids may share one:
/// whoever looks by hash compares ids.
pub fn hash_of(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// The committed customers of one partition: hash of the id → the customers with that hash.
#[derive(Debug, Default)]
pub struct Customers {
    buckets: DashMap<u64, Bucket, FxBuildHasher>,
    count: AtomicI64,
    bytes: AtomicI64,
    plan: Mutex<Option<Plan>>,
    newest_event_ms: Mutex<Option<i64>>,
}

/// Memory of a map slot: hash, pointer, length and control byte at hashbrown's mean load.
const SLOT_BYTES: i64 = (8 + 16 + 1) * 10 / 7;

impl Customers {
    /// Reads the customer, if it is here, through `read`.
    pub fn get<T>(&self, id: &str, read: impl FnOnce(Entry<'_>) -> T) -> Option<T> {
        let bucket = self.buckets.get(&hash_of(id))?;
        bucket.entries().find(|entry| entry.id == id).map(read)
    }

    /// Calls `visit` with every customer that lies under `hash`.
    pub fn visit(&self, hash: u64, visit: impl FnMut(Entry<'_>)) {
        if let Some(bucket) = self.buckets.get(&hash) {
            bucket.entries().for_each(visit);
        }
    }

    /// Puts the customer's value in place of the former one, with the day of its timer.
    pub fn put(&self, id: &str, due: Option<Day>, value: &[u8]) {
        self.change(id, Some(Entry { id, due, value }));
    }

    /// Takes the customer out.
    pub fn remove(&self, id: &str) {
        self.change(id, None);
    }

    fn change(&self, id: &str, new: Option<Entry<'_>>) {
        let hash = hash_of(id);
        let mut bucket = self.buckets.entry(hash).or_default();
        let before = bucket.measure();
        *bucket = bucket.with(id, new);
        let after = bucket.measure();
        let is_empty = bucket.0.is_empty();
        drop(bucket);
        if is_empty {
            self.buckets.remove(&hash);
        }
        self.count.fetch_add(after.0 - before.0, Ordering::Relaxed);
        self.bytes.fetch_add(after.1 - before.1, Ordering::Relaxed);
    }

    /// By which rules and model the timers are set; none before they are.
    pub fn plan(&self) -> Option<Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says by which rules and model the timers are set.
    pub fn set_plan(&self, plan: Plan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }

    /// When their newest event occurred, in milliseconds since 1970; none before one has come since
    /// the partition was assigned.
    pub fn newest_event_ms(&self) -> Option<i64> {
        *self.newest_event_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says when their newest event occurred.
    pub fn set_newest_event(&self, at_ms: Option<i64>) {
        *self.newest_event_ms.lock().unwrap_or_else(PoisonError::into_inner) = at_ms;
    }

    /// Sets the day of every customer's timer to what `judge` says. Readers go on meanwhile; it is
    /// for the one who writes, so that nobody else changes a customer.
    pub fn set_due_days(&self, mut judge: impl FnMut(Entry<'_>) -> Option<Day>) {
        let mut copy = Vec::new();
        for hash in self.hashes() {
            self.copy(hash, &mut copy);
            set_due_days(&mut copy, &mut judge);
            if let Some(mut bucket) = self.buckets.get_mut(&hash) {
                bucket.0.copy_from_slice(&copy);
            }
        }
    }

    /// Calls `visit` with a copy of every customer, in no order, until it breaks off. Others change
    /// customers meanwhile: each is as it was at some moment since the call.
    pub fn visit_copies(&self, mut visit: impl FnMut(Entry<'_>) -> ControlFlow<()>) {
        let mut copy = Vec::new();
        for hash in self.hashes() {
            self.copy(hash, &mut copy);
            if Entries(&copy).try_for_each(&mut visit).is_break() {
                return;
            }
        }
    }

    /// Calls `visit` with every customer, in no order. Whoever changes one would wait long: it is
    /// for customers that are not in a [`Store`].
    pub fn visit_all(&self, mut visit: impl FnMut(Entry<'_>)) {
        for bucket in &self.buckets {
            bucket.entries().for_each(&mut visit);
        }
    }

    /// The hashes under which customers lie.
    fn hashes(&self) -> Vec<u64> {
        let mut hashes = Vec::with_capacity(usize::try_from(self.n_customers()).unwrap_or(0));
        hashes.extend(self.buckets.iter().map(|bucket| *bucket.key()));
        hashes
    }

    /// Puts the bucket of `hash` in place of what is in `copy`: nothing, if it is gone.
    fn copy(&self, hash: u64, copy: &mut Vec<u8>) {
        copy.clear();
        if let Some(bucket) = self.buckets.get(&hash) {
            copy.extend_from_slice(&bucket.0);
        }
    }

    /// How many there are.
    pub fn n_customers(&self) -> i64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Their memory in bytes: ids, values, map slots and the allocator's share.
    pub fn n_bytes(&self) -> i64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A customer as it lies in the store.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The customer's id.
    pub id: &'a str,
    /// The day of the customer's timer: kept beside the value so that the index can be changed
    /// without judging the customer anew.
    pub due: Option<Day>,
    /// The changelog value.
    pub value: &'a [u8],
}

/// The customers of one hash, one after the other: id length, due day (4 bytes), value length
/// (4 bytes), id, value. More than one is a collision of 64-bit hashes.
#[derive(Debug, Default)]
struct Bucket(Box<[u8]>);

/// Stands for "no timer" in a bucket.
const NEVER: Day = Day(i32::MAX);

/// What is left of a bucket.
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (header, tail) = self.0.split_first_chunk::<{ Bucket::HEADER_BYTES }>()?;
        let [id_len, d0, d1, d2, d3, value_len @ ..] = *header;
        let (id, tail) = tail.split_at(usize::from(id_len));
        let (value, tail) = tail.split_at(u32::from_le_bytes(value_len) as usize);
        self.0 = tail;
        let id = std::str::from_utf8(id).expect("an id went in as text");
        let due = Some(Day(i32::from_le_bytes([d0, d1, d2, d3]))).filter(|due| *due != NEVER);
        Some(Entry { id, due, value })
    }
}

impl Bucket {
    const HEADER_BYTES: usize = 9;

    fn entries(&self) -> Entries<'_> {
        Entries(&self.0)
    }

    fn with(&self, id: &str, new: Option<Entry<'_>>) -> Self {
        let added = new.map_or(0, |new| Self::HEADER_BYTES + new.id.len() + new.value.len());
        let mut bytes = Vec::with_capacity(added);
        for entry in self.entries().filter(|entry| entry.id != id).chain(new) {
            bytes.push(u8::try_from(entry.id.len()).expect("an id has at most 128 bytes"));
            bytes.extend_from_slice(&entry.due.unwrap_or(NEVER).0.to_le_bytes());
            let value_len = u32::try_from(entry.value.len()).expect("a value is bounded");
            bytes.extend_from_slice(&value_len.to_le_bytes());
            bytes.extend_from_slice(entry.id.as_bytes());
            bytes.extend_from_slice(entry.value);
        }
        Self(bytes.into_boxed_slice())
    }

    /// Customers and bytes.
    fn measure(&self) -> (i64, i64) {
        if self.0.is_empty() {
            return (0, 0);
        }
        let n_customers = self.entries().fold(0, |count, _| count + 1);
        (n_customers, n_bytes_allocated(self.0.len()) + SLOT_BYTES)
    }
}

/// Sets the days in the bytes of a bucket to what `judge` says.
fn set_due_days(bucket: &mut [u8], mut judge: impl FnMut(Entry<'_>) -> Option<Day>) {
    let mut at = 0;
    while let Some(entry) = Entries(&bucket[at..]).next() {
        let n_bytes = Bucket::HEADER_BYTES + entry.id.len() + entry.value.len();
        let due = judge(entry).unwrap_or(NEVER);
        bucket[at + 1..at + 5].copy_from_slice(&due.0.to_le_bytes());
        at += n_bytes;
    }
}

/// What mimalloc takes for so many bytes: a power of two has four steps to the next.
fn n_bytes_allocated(n_bytes: usize) -> i64 {
    let n_words = n_bytes.div_ceil(8).max(1);
    let step = (n_words.next_power_of_two() / 8).max(1);
    i64::try_from(n_words.next_multiple_of(step) * 8).unwrap_or(i64::MAX)
}

//! One partition's state on its way back from its changelog, record by record, and where to go on
//! from it. Asks no broker: `kafka::restore` reads and hands over what it read, and tests do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::port::Restored;
use super::timers::Timers;
use crate::pipeline::Pipeline;
use crate::record::changelog::{self, Key};
use crate::record::erased::{self, ErasedHash};
use crate::record::marker::{Ground, Marker};
use crate::store::{Customers, hash_of};

/// What was read of a partition so far.
#[derive(Debug, Default)]
pub struct Rebuild {
    customers: Arc<Customers>,
    timers: Timers,
    erased: BTreeMap<ErasedHash, i64>,
    marker: Option<Marker>,
}

/// What the broker says of the input partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The offset that the group has committed.
    pub committed: Option<i64>,
    /// The oldest record.
    pub low: i64,
}

impl Rebuild {
    /// Takes in the next record of the changelog.
    ///
    /// # Errors
    /// What is wrong with a record that this program does not write.
    pub fn take(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        pipeline: &Pipeline,
    ) -> Result<(), String> {
        let key = Key::read(key.unwrap_or_default()).map_err(|error| error.to_string())?;
        match (key, value) {
            (Key::Customer(id), Some(value)) => {
                let customer = changelog::decode(value).map_err(|error| error.to_string())?;
                let due = pipeline.due_day(&customer);
                let before = self.customers.get(id, |entry| entry.due).flatten();
                self.timers.change(hash_of(id), before, due);
                self.customers.put(id, due, value);
            }
            (Key::Customer(id), None) => {
                let before = self.customers.get(id, |entry| entry.due).flatten();
                self.timers.change(hash_of(id), before, None);
                self.customers.remove(id);
            }
            (Key::Erased(hash), Some(value)) => {
                let at_ms = erased::decode(value)?;
                self.erased.insert(hash, at_ms);
            }
            (Key::Erased(hash), None) => {
                self.erased.remove(&hash);
            }
            (Key::Marker, value) => self.marker = value.map(Marker::read).transpose()?,
        }
        Ok(())
    }

    /// How many customers there are.
    pub fn n_customers(&self) -> i64 {
        self.customers.n_customers()
    }

    /// The partition, once all of its changelog was taken in.
    ///
    /// # Errors
    /// Why the state cannot be trusted, and the remedy.
    pub fn finish(
        self,
        partition: i32,
        epoch: u64,
        bounds: Bounds,
        ground: &Ground,
    ) -> Result<Restored, String> {
        let Self { customers, timers, erased, marker } = self;
        if marker.is_none() && (customers.n_customers() > 0 || !erased.is_empty()) {
            return Err("it holds customers but no marker, so how far they have come is unknown: \
                        start with a new group and changelog topic"
                .to_owned());
        }
        let offset_next = start(marker.as_ref(), bounds.committed, ground)
            .and_then(|offset_next| not_deleted(offset_next, bounds.low))?;
        Ok(Restored { partition, epoch, customers, timers, erased, marker, offset_next })
    }
}

/// Where to go on, or why that cannot be known.
fn start(
    marker: Option<&Marker>,
    committed: Option<i64>,
    ground: &Ground,
) -> Result<Option<i64>, String> {
    if let Some(marker) = marker {
        marker.stands_on(ground)?;
    }
    match (marker.map(|marker| marker.offset_next), committed) {
        (None, None) => Ok(None),
        // Group offsets expire; the marker does not.
        (Some(next), None) => Ok(Some(next)),
        (Some(next), Some(committed)) if next == committed => Ok(Some(committed)),
        (Some(next), Some(committed)) => Err(format!(
            "its marker says that offset `{next}` is next and the group says `{committed}`: \
             someone moved the group's offsets or replaced the changelog; set the group's offset \
             to `{next}` with kafka-consumer-groups.sh, or start with a new group and changelog \
             topic"
        )),
        (None, Some(committed)) => Err(format!(
            "the group has committed offset `{committed}` but the changelog has no marker: the \
             state up to there is gone; start with a new group and changelog topic to read \
             everything again"
        )),
    }
}

/// Hands `offset_next` on if nothing between it and the oldest record has been deleted.
fn not_deleted(offset_next: Option<i64>, low: i64) -> Result<Option<i64>, String> {
    match offset_next {
        Some(next) if next < low => Err(format!(
            "offset `{next}` is next and the oldest record of the input is `{low}`: events were \
             deleted before they were read; start with a new group and changelog topic to read \
             what is left"
        )),
        _ => Ok(offset_next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use crate::record::marker::CODEC_VERSION;

    fn check(next: Option<i64>, committed: Option<i64>, expect: Result<Option<i64>, &str>) {
        let ground = Ground {
            currency: Currency::parse("EUR").unwrap(),
            time_zone: "UTC".to_owned(),
            n_partitions: 4,
        };
        let marker = next.map(|offset_next| Marker {
            codec: CODEC_VERSION,
            offset_next,
            stream_time_ms: None,
            model: "none".to_owned(),
            currency: "EUR".to_owned(),
            time_zone: "UTC".to_owned(),
            n_partitions: 4,
        });
        match (start(marker.as_ref(), committed, &ground), expect) {
            (Err(fault), Err(part)) => assert!(fault.contains(part), "{fault}"),
            (got, expect) => assert_eq!(got, expect.map_err(str::to_owned)),
        }
    }

    #[test]
    fn state_and_offset_must_agree_or_the_start_is_refused() {
        check(None, None, Ok(None));
        check(Some(7), None, Ok(Some(7)));
        check(Some(7), Some(7), Ok(Some(7)));
        check(Some(7), Some(8), Err("`7` is next and the group says `8`"));
        check(Some(8), Some(7), Err("`8` is next and the group says `7`"));
        check(None, Some(7), Err("has no marker"));
    }
    #[test]
    fn a_place_whose_records_are_deleted_is_refused() {
        assert_eq!(not_deleted(None, 7), Ok(None));
        assert_eq!(not_deleted(Some(7), 7), Ok(Some(7)));
        assert!(not_deleted(Some(6), 7).unwrap_err().contains("`6` is next and the oldest"));
    }
}

//! One partition's state on its way back from its changelog, record by record, and where to go on
//! from it. Asks no broker: `kafka::restore` reads and hands over what it read, and tests do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::port::{Mending, Restored};
use super::remodel::rest;
use super::timers;
use crate::customer::Customer;
use crate::pipeline::Pipeline;
use crate::population::Census;
use crate::record::changelog::{self, Key};
use crate::record::erased::{self, ErasedHash};
use crate::record::marker::{Ground, Marker, OTHER_GROUP};
use crate::store::Customers;

/// What to do about state or events that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// Say so and stop.
    #[default]
    Refuse,
    /// Say so and go on with what is left: a person has asked for that.
    Accept,
}

/// What was read of a partition so far.
#[derive(Debug, Default)]
pub struct Rebuild {
    on_loss: OnLoss,
    customers: Arc<Customers>,
    erased: BTreeMap<ErasedHash, i64>,
    marker: Option<Marker>,
    /// Keys whose last value cannot be read, and why.
    broken: BTreeMap<Vec<u8>, String>,
    losses: Vec<String>,
}

/// What the broker says of the input partition and of its changelog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The offset that the group has committed.
    pub committed: Option<i64>,
    /// The oldest record of the input.
    pub low: i64,
    /// The oldest offset of the changelog. Compaction leaves it at 0; deletion does not.
    pub changelog_low: i64,
}

impl Rebuild {
    /// Nothing read yet.
    pub fn new(on_loss: OnLoss) -> Self {
        Self { on_loss, ..Self::default() }
    }

    /// Takes in the next record of the changelog, which lies at `offset`. One that cannot be read
    /// does no harm if a later one of its key can be.
    pub fn take(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let bytes = key.unwrap_or_default();
        let key = Key::read(bytes);
        let outcome = match &key {
            Ok(key) => self.take_known(key, value),
            Err(error) if value.is_some() => Err(error.to_string()),
            Err(_) => Ok(()),
        };
        match outcome {
            Ok(()) if self.broken.is_empty() => {}
            Ok(()) => {
                self.broken.remove(bytes);
            }
            Err(fault) => {
                if let Ok(key) = &key {
                    // What lay there before is replaced as by a tombstone, which is never wrong.
                    self.take_known(key, None).ok();
                }
                let fault = format!("offset `{offset}` of the changelog: {fault}");
                self.broken.insert(bytes.to_vec(), fault);
            }
        }
    }

    fn take_known(&mut self, key: &Key<'_>, value: Option<&[u8]>) -> Result<(), String> {
        match (key, value) {
            (Key::Customer(id), Some(value)) => {
                changelog::decode(value).map_err(|error| error.to_string())?;
                self.customers.put(id, None, value);
            }
            (Key::Customer(id), None) => self.customers.remove(id),
            (Key::Erased(hash), Some(value)) => {
                let at_ms = erased::decode(value)?;
                self.erased.insert(*hash, at_ms);
            }
            (Key::Erased(hash), None) => {
                self.erased.remove(hash);
            }
            (Key::Marker, value) => self.marker = value.map(Marker::read).transpose()?,
        }
        Ok(())
    }

    /// `name/version` of the model under which the state was made last; absent without a marker.
    pub fn model_label(&self) -> Option<&str> {
        self.marker.as_ref().map(|marker| &*marker.model)
    }

    /// How far stream time has come; absent without a marker, and before the first event.
    pub fn stream_time_ms(&self) -> Option<i64> {
        self.marker.as_ref().and_then(|marker| marker.stream_time_ms)
    }

    /// Calls `visit` with every customer, in no order.
    pub fn visit(&self, mut visit: impl FnMut(&Customer)) {
        self.customers.visit_all(|entry| {
            if let Ok(customer) = changelog::decode(entry.value) {
                visit(&customer);
            }
        });
    }

    /// How many customers there are.
    pub fn n_customers(&self) -> i64 {
        self.customers.n_customers()
    }

    /// The partition, once all of its changelog was taken in, with the timers that `pipeline` sets.
    ///
    /// # Errors
    /// Why the state cannot be trusted, and the remedy.
    pub fn finish(
        mut self,
        partition: i32,
        epoch: u64,
        bounds: Bounds,
        ground: &Ground,
        pipeline: &Pipeline,
    ) -> Result<Restored, String> {
        // Nobody can tell on which ground a state stands whose marker cannot be read.
        if let Some(fault) = self.broken.get(MARKER) {
            return Err(fault.clone());
        }
        if let Some(marker) = &self.marker {
            marker.stands_on(ground)?;
            if let Some(what) = marker.other_group(ground) {
                self.lose(&what, OTHER_GROUP, "take the state over for good")?;
            }
        }
        self.check_readable()?;
        self.check_whole(bounds.changelog_low)?;
        let offset_next = self.start(bounds)?;
        let offset_next = self.not_deleted(offset_next, bounds.low)?;
        let Self { customers, erased, marker, broken, losses, .. } = self;
        let mut population = Census::default();
        let timers = timers::set(&customers, |entry| {
            let rest = rest(entry, pipeline)?;
            population.add(&rest.share.place);
            rest.due
        });
        let mending =
            (!losses.is_empty()).then(|| Mending { discard: broken.into_keys().collect(), losses });
        // Whatever was given up is written down with a place to go on from.
        let offset_next = offset_next.or_else(|| mending.is_some().then_some(bounds.low));
        let changelog_low = (bounds.changelog_low > 0).then_some(bounds.changelog_low);
        Ok(Restored {
            partition,
            n_partitions: ground.n_partitions,
            epoch,
            customers,
            timers,
            plan: pipeline.plan(),
            erased,
            marker,
            offset_next,
            changelog_low,
            mending,
            population,
        })
    }

    /// Stops with `what` and its remedy, or goes on as `accepted` says.
    fn lose(&mut self, what: &str, remedy: &str, accepted: &str) -> Result<(), String> {
        match self.on_loss {
            OnLoss::Refuse => Err(or_accept(&format!("{what}; {remedy}"), accepted)),
            OnLoss::Accept => {
                self.losses.push(format!("{what}; accepted: {accepted}"));
                Ok(())
            }
        }
    }

    fn check_readable(&mut self) -> Result<(), String> {
        let Some(fault) = self.broken.values().next() else { return Ok(()) };
        let what =
            format!("`{}` keys have a value that cannot be read: {fault}", self.broken.len());
        self.lose(&what, RESTORE_IT, "go on without those customers")
    }

    /// Whether the changelog still holds all that was written.
    fn check_whole(&mut self, changelog_low: i64) -> Result<(), String> {
        let accepted_low = self.marker.as_ref().and_then(|marker| marker.changelog_low);
        if changelog_low > accepted_low.unwrap_or(0) {
            let what = format!(
                "the changelog begins at offset `{changelog_low}`: what lay before was deleted, \
                 which compaction does not do, and `{}` customers are left",
                self.n_customers()
            );
            let remedy = "set `cleanup.policy=compact` on it, and restore it from a backup or \
                          start with a new group and changelog topic";
            return self.lose(&what, remedy, "go on with the customers that are left");
        }
        let Some(marker) = &self.marker else { return Ok(()) };
        let is_broken =
            |tag: u8| self.broken.keys().filter(|key| key.first() == Some(&tag)).count();
        let counts = [
            ("customers", marker.n_customers, self.customers.n_customers(), is_broken(b'c')),
            ("erasures", marker.n_erased, count(self.erased.len()), is_broken(b'e')),
        ];
        for (what, marked, found, n_broken) in counts {
            if let Some(marked) = marked.filter(|marked| *marked != found + count(n_broken)) {
                let what = format!(
                    "its marker counts `{marked}` {what} and `{found}` were found: records are \
                     missing from the changelog"
                );
                self.lose(&what, RESTORE_IT, "go on with what was found")?;
            }
        }
        Ok(())
    }

    /// Where to go on, or why that cannot be known.
    fn start(&mut self, bounds: Bounds) -> Result<Option<i64>, String> {
        let (marked, committed) = (self.marker.as_ref().map(|it| it.offset_next), bounds.committed);
        let is_empty = self.customers.n_customers() == 0 && self.erased.is_empty();
        match (marked, committed) {
            (None, None) if is_empty => return Ok(None),
            // Group offsets expire; the marker does not.
            (Some(next), None) => return Ok(Some(next)),
            (Some(next), Some(committed)) if next == committed => return Ok(Some(committed)),
            (Some(next), Some(committed)) => {
                let what = format!(
                    "its marker says that offset `{next}` is next and the group says \
                     `{committed}`: someone moved the group's offsets or replaced the changelog"
                );
                let remedy = format!(
                    "set the group's offset to `{next}` with kafka-consumer-groups.sh, or start \
                     with a new group and changelog topic"
                );
                let accepted = format!("go on at `{next}`, where the state stands");
                self.lose(&what, &remedy, &accepted)?;
            }
            (None, Some(committed)) if is_empty => {
                let what = format!(
                    "the group has committed offset `{committed}` but the changelog has no \
                     marker: the state up to there is gone"
                );
                let remedy = "start with a new group and changelog topic to read everything again";
                let accepted = format!("go on at `{committed}` with no customer known");
                self.lose(&what, remedy, &accepted)?;
            }
            (None, committed) => {
                let what = format!(
                    "it holds `{}` customers but no marker, so how far they have come is unknown",
                    self.n_customers()
                );
                let from = committed.map_or_else(
                    || "at the oldest record".to_owned(),
                    |committed| format!("at the committed offset `{committed}`"),
                );
                let accepted = format!("keep them and go on {from}; events may count twice");
                self.lose(&what, "start with a new group and changelog topic", &accepted)?;
            }
        }
        Ok(marked.or(committed))
    }

    /// Hands `offset_next` on if nothing between it and the oldest record has been deleted.
    fn not_deleted(&mut self, offset_next: Option<i64>, low: i64) -> Result<Option<i64>, String> {
        let Some(next) = offset_next.filter(|next| *next < low) else { return Ok(offset_next) };
        let what = format!(
            "offset `{next}` is next and the oldest record of the input is `{low}`: events were \
             deleted before they were read"
        );
        let remedy = "start with a new group and changelog topic to read what is left";
        let accepted = format!("go on at `{low}` without the `{}` offsets between", low - next);
        self.lose(&what, remedy, &accepted)?;
        Ok(Some(low))
    }
}

/// The key of the marker.
const MARKER: &[u8] = b"m";

const RESTORE_IT: &str = "restore the topic from a backup, or start with a new group and changelog \
                          topic";

fn or_accept(fault: &str, accepted: &str) -> String {
    format!("{fault}; or start once with `--accept-loss`, to {accepted}")
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

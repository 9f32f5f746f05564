//! One partition of a simulated process on its way back, in the order of `kafka::restore`: the
//! group's offset first, then the end as uncommitted readers see it, no record before everything up
//! to that end is stable, and then all that committed readers see.

use super::broker::{Broker, Place};
use super::log::Entry;
use super::{Flaw, Shop};
use crate::engine::rebuild::{Bounds, Rebuild};
use crate::engine::timers::Timers;
use crate::engine::{Restored, Topic};
use crate::pipeline::Pipeline;

/// A partition whose state is read back.
#[derive(Debug)]
pub(super) struct Restore {
    partition: i32,
    pub(super) epoch: u64,
    /// Present once everything up to the end is stable.
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    began_at: u64,
    committed: Option<i64>,
    next: usize,
    end: usize,
    rebuild: Rebuild,
}

impl Restore {
    pub(super) fn new(partition: i32, epoch: u64) -> Self {
        Self { partition, epoch, reading: None }
    }

    /// When it began to read, if it has.
    pub(super) fn began_at(&self) -> Option<u64> {
        self.reading.as_ref().map(|reading| reading.began_at)
    }

    /// Does a piece of work. Says whether all is read.
    pub(super) fn read(&mut self, broker: &Broker, shop: &Shop, n_records_max: usize) -> bool {
        let place = (Topic::Changelog, self.partition);
        if broker.is_down() {
            return false;
        }
        let Some(reading) = &mut self.reading else {
            self.reading = begin(place, broker, shop);
            return false;
        };
        let is_uncommitted = shop.has(Flaw::RestoreUncommitted);
        let end = if is_uncommitted { reading.end } else { broker.stable_of(place) };
        let is_before_end = |entry: &&Entry| entry.offset < end;
        let entries = broker.from(place, reading.next).iter().take_while(is_before_end);
        for entry in entries.take(n_records_max) {
            reading.next = entry.offset + 1;
            let is_dropped = entry.value.is_none() && shop.has(Flaw::TombstonesIgnored);
            if (is_uncommitted || broker.is_committed(entry)) && !is_dropped {
                let offset = i64::try_from(entry.offset).unwrap_or(i64::MAX);
                let (key, value) = (Some(&*entry.key), entry.value.as_deref());
                reading.rebuild.take(offset, key, value);
            }
        }
        if shop.has(Flaw::RestoreEndByRecord) {
            return reading.next >= reading.end;
        }
        !broker.from(place, reading.next).iter().any(|entry| entry.offset < end)
    }

    /// The state, once all is read; none if it has to be read again, because whoever took the
    /// partition over has committed meanwhile.
    pub(super) fn finish(
        &mut self,
        broker: &Broker,
        shop: &Shop,
        pipeline: &Pipeline,
    ) -> Result<Option<Restored>, String> {
        let reading = self.reading.take().ok_or("a restore ends that never began")?;
        let is_unchecked = shop.has(Flaw::MarkerNotChecked);
        let committed = reading.committed.filter(|_| !is_unchecked);
        let bounds = Bounds { committed, ..Bounds::default() };
        let (partition, epoch) = (self.partition, self.epoch);
        let rebuilt = reading.rebuild.finish(partition, epoch, bounds, &shop.ground, pipeline);
        let mut restored = match rebuilt {
            Ok(restored) => restored,
            Err(fault) => {
                let is_moved = broker.offset_of(self.partition) != Ok(committed);
                let is_final = !is_moved || shop.has(Flaw::RestoreGivesUp);
                return if is_final { Err(fault) } else { Ok(None) };
            }
        };
        if is_unchecked {
            restored.offset_next = reading.committed;
        }
        if shop.has(Flaw::TimersNotRebuilt) {
            restored.timers = Timers::default();
        }
        Ok(Some(restored))
    }
}

fn begin(place: Place, broker: &Broker, shop: &Shop) -> Option<Reading> {
    let (_, partition) = place;
    let committed = match broker.offset_of(partition) {
        Ok(committed) => committed,
        Err(_) if shop.has(Flaw::MarkerNotChecked) => broker.offset_marked(partition),
        Err(_) => return None,
    };
    let stable = broker.stable_of(place);
    let is_early = shop.has(Flaw::RestoreEndCommitted);
    let end = if is_early { stable } else { broker.end_of(place) };
    let is_stable = stable >= end || shop.has(Flaw::RestoreUncommitted);
    is_stable.then(|| Reading {
        began_at: broker.now,
        committed,
        next: 0,
        end,
        rebuild: Rebuild::default(),
    })
}

//! Sums over customers, by tier and lifecycle, and over changes, by tier and effect. Whole numbers,
//! so that taking out what was put in leaves exactly what was there before. Holds no customer.

use super::{Effect, Place, Share, attribute};
use crate::churn::Lifecycle;

/// The customers of one tier and lifecycle; as a difference also below 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// How many there are.
    pub n_customers: i64,
    /// What they are worth, in minor units.
    pub value_minor: i128,
}

impl Cell {
    /// Adds another one `sign` times.
    pub fn add(&mut self, other: &Self, sign: i8) {
        self.n_customers += i64::from(sign) * other.n_customers;
        self.value_minor += i128::from(sign) * other.value_minor;
    }
}

/// Customers by tier and lifecycle, or the difference of two such sums.
#[derive(Clone, Debug, Default)]
pub struct Census(Vec<[Cell; Lifecycle::ALL.len()]>);

impl Census {
    /// Counts a customer.
    pub fn add(&mut self, place: &Place) {
        self.put(place, 1);
    }

    /// Puts a share in place of the former one of the same customer.
    pub fn replace(&mut self, before: Option<&Share>, after: Option<&Share>) {
        for (share, sign) in [(before, -1), (after, 1)] {
            if let Some(share) = share {
                self.put(&share.place, sign);
            }
        }
    }

    fn put(&mut self, place: &Place, sign: i8) {
        let one = Cell { n_customers: 1, value_minor: place.value_minor.into() };
        self.tier(place.tier)[place.lifecycle as usize].add(&one, sign);
    }

    fn tier(&mut self, tier: usize) -> &mut [Cell; Lifecycle::ALL.len()] {
        if self.0.len() <= tier {
            self.0.resize_with(tier + 1, Default::default);
        }
        &mut self.0[tier]
    }

    /// Adds all of another census.
    pub fn merge(&mut self, other: &Self) {
        for (tier, cells) in other.0.iter().enumerate() {
            for (cell, more) in self.tier(tier).iter_mut().zip(cells) {
                cell.add(more, 1);
            }
        }
    }

    /// Forgets everybody.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The customers of a tier and lifecycle.
    pub fn cell(&self, tier: usize, lifecycle: Lifecycle) -> Cell {
        self.0.get(tier).map_or_else(Cell::default, |cells| cells[lifecycle as usize])
    }

    /// All customers of a tier.
    pub fn of_tier(&self, tier: usize) -> Cell {
        let mut sum = Cell::default();
        self.0.get(tier).into_iter().flatten().for_each(|cell| sum.add(cell, 1));
        sum
    }

    /// All customers.
    pub fn total(&self) -> Cell {
        let mut sum = Cell::default();
        self.0.iter().flatten().for_each(|cell| sum.add(cell, 1));
        sum
    }

    /// The changes that another model has made of this census.
    pub fn remodelled(&self, after: &Self) -> Changes {
        let mut changes = Changes::default();
        for tier in 0..self.0.len().max(after.0.len()) {
            let change = after.of_tier(tier).value_minor - self.of_tier(tier).value_minor;
            changes.add(tier, Effect::Model, change);
        }
        changes
    }
}

/// What went up and what went down, in minor units; both are never below 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The sum of what was gained.
    pub up_minor: i128,
    /// The sum of what was lost.
    pub down_minor: i128,
}

impl Change {
    /// What was gained less what was lost.
    pub fn net_minor(&self) -> i128 {
        self.up_minor - self.down_minor
    }

    /// Counts a change.
    pub fn add(&mut self, minor: i128) {
        if minor > 0 {
            self.up_minor += minor;
        } else {
            self.down_minor -= minor;
        }
    }
}

/// Changes by tier and effect.
#[derive(Clone, Debug, Default)]
pub struct Changes(Vec<[Change; Effect::ALL.len()]>);

impl Changes {
    /// Counts the parts of one customer's change under the tier after it, of an erased customer
    /// under the last one.
    pub fn take(&mut self, before: Option<&Share>, after: Option<&Share>) {
        let tier = after.or(before).map_or(0, |share| share.place.tier);
        for (effect, minor) in attribute(before, after).iter() {
            self.add(tier, effect, minor.into());
        }
    }

    fn add(&mut self, tier: usize, effect: Effect, minor: i128) {
        if self.0.len() <= tier {
            self.0.resize_with(tier + 1, Default::default);
        }
        self.0[tier][effect as usize].add(minor);
    }

    /// Adds all of other changes.
    pub fn merge(&mut self, other: &Self) {
        for (tier, effect, change) in other.iter() {
            self.add(tier, effect, change.up_minor);
            self.add(tier, effect, -change.down_minor);
        }
    }

    /// What changed, by tier and effect.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Effect, Change)> {
        let of_tier = |(tier, changes): (usize, &[Change; Effect::ALL.len()])| {
            let changes = *changes;
            Effect::ALL.into_iter().map(move |effect| (tier, effect, changes[effect as usize]))
        };
        self.0.iter().enumerate().flat_map(of_tier)
    }

    /// What was gained less what was lost, in minor units.
    pub fn net_minor(&self) -> i128 {
        self.iter().map(|(_, _, change)| change.net_minor()).sum()
    }
}

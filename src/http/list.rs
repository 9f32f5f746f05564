//! A list of customers by the value at risk, and its pages. It keeps those of each tier and
//! lifecycle that stand first, and counts all. Reads no store: `lookup` offers it everybody.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::query::digit;
use crate::churn::Lifecycle;
use crate::metrics::now_ms;
use crate::pipeline::Stake;
use crate::record::wire::Estimate;

/// Customers of each tier and lifecycle that a list keeps, and of a selection that it shows.
pub(super) const LISTED_MAX: usize = 1_000;

const N_LIFECYCLES: usize = Lifecycle::ALL.len();

/// All customers of one moment.
#[derive(Debug)]
pub struct List {
    /// When its making began, in milliseconds since 1970.
    pub as_of_ms: i64,
    /// Whether customers were still being read back.
    pub is_partial: bool,
    /// By tier, then by lifecycle.
    cells: Vec<[Cell; N_LIFECYCLES]>,
}

#[derive(Debug, Default)]
struct Cell {
    n_customers: u64,
    first: BTreeMap<Place, Stake>,
}

/// A place in the order of a list: the greatest value comes first, of equal ones the smallest id.
/// A page begins behind one, which is there or not, so that it holds in every later list too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    rank: u64,
    pub(crate) customer_id: Box<str>,
}

/// The less, the greater the value is.
fn rank(value: f64) -> u64 {
    let bits = value.to_bits();
    if value.is_sign_negative() { bits } else { !bits & (u64::MAX >> 1) }
}

/// Whom a page is of; nothing named is everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Value tiers.
    pub(crate) tiers: Vec<usize>,
    /// Lifecycles.
    pub(crate) lifecycles: Vec<Lifecycle>,
}

/// Some of a list.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// All who match.
    pub(crate) total: u64,
    pub(crate) customers: Vec<(&'a Place, &'a Stake)>,
    /// Behind whom the next page begins, if there is one.
    pub(crate) next: Option<&'a Place>,
}

impl List {
    /// Begins now, without anybody.
    pub fn new(n_tiers: usize) -> Self {
        let cells = (0..n_tiers).map(|_| Default::default()).collect();
        Self { as_of_ms: now_ms(), is_partial: false, cells }
    }

    /// Counts a customer, and keeps them while they stand among the first.
    pub fn offer(&mut self, customer_id: &str, mut stake: Stake) {
        // Ordered by what is shown, so that a page can go on from it.
        stake.value_at_risk = Estimate::of(stake.value_at_risk).map_or(0.0, Estimate::value);
        let Some(cells) = self.cells.get_mut(stake.tier) else { return };
        let Cell { n_customers, first } = &mut cells[stake.lifecycle as usize];
        *n_customers += 1;
        let rank = rank(stake.value_at_risk);
        let is_last = |(last, _): (&Place, &Stake)| last.rank < rank;
        if first.len() == LISTED_MAX && first.last_key_value().is_some_and(is_last) {
            return;
        }
        first.insert(Place { rank, customer_id: customer_id.into() }, stake);
        if first.len() > LISTED_MAX {
            first.pop_last();
        }
    }

    /// Up to `n_max` of who match, behind a place.
    pub(crate) fn page(&self, of: &Selection, after: Option<&Place>, n_max: usize) -> Page<'_> {
        let is_chosen = |tier: usize, lifecycle: &Lifecycle| {
            (of.tiers.is_empty() || of.tiers.contains(&tier))
                && (of.lifecycles.is_empty() || of.lifecycles.contains(lifecycle))
        };
        let (mut total, mut n_before, mut customers) = (0, 0, Vec::new());
        for (tier, cells) in self.cells.iter().enumerate() {
            for (lifecycle, cell) in Lifecycle::ALL.iter().zip(cells) {
                if !is_chosen(tier, lifecycle) {
                    continue;
                }
                total += cell.n_customers;
                n_before += after.map_or(0, |after| cell.first.range::<Place, _>(..=after).count());
                let behind = (after.map_or(Unbounded, Excluded), Unbounded);
                customers.extend(cell.first.range::<Place, _>(behind).take(n_max + 1));
            }
        }
        // Behind so many of the selection some may be missing: a cell keeps no more.
        let n_max = n_max.min(LISTED_MAX.saturating_sub(n_before));
        customers.sort_unstable_by_key(|(place, _)| *place);
        let is_more = customers.len() > n_max && n_before + n_max < LISTED_MAX;
        customers.truncate(n_max);
        let next = customers.last().filter(|_| is_more).map(|(place, _)| *place);
        Page { total, customers, next }
    }
}

/// Hexadecimal digits of the rank in an answer.
const RANK_DIGITS: usize = 16;

impl Place {
    /// As in an answer.
    pub(super) fn text(&self) -> String {
        let id = self.customer_id.bytes().map(|byte| format!("{byte:02x}"));
        [format!("{:0RANK_DIGITS$x}", self.rank)].into_iter().chain(id).collect()
    }

    /// Reads a place; `None` for what is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (rank_digits, id) = text.as_bytes().split_at_checked(RANK_DIGITS)?;
        let mut rank = 0;
        for byte in rank_digits {
            rank = rank << 4 | u64::from(digit(*byte)?);
        }
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let id: Option<Vec<u8>> = id.chunks(2).map(byte).collect();
        Some(Self { rank, customer_id: String::from_utf8(id?).ok()?.into() })
    }
}

#[cfg(test)]
mod tests;

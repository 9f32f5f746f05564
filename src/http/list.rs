//! A list of customers by the value at risk, and its pages. It keeps those of each tier and
//! lifecycle that stand first, and counts all. Reads no store: `lookup` offers it everybody.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::query::digit;
use crate::churn::Lifecycle;
use crate::metrics::now_ms;
use crate::pipeline::Stake;
use crate::record::wire::Estimate;

/// Customers of each tier and lifecycle that a list keeps, and of a selection that it shows.
pub(super) const LISTED_MAX: usize = 1_000;

const N_LIFECYCLES: usize = Lifecycle::ALL.len();

/// One customer in a list.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) customer_id: Box<str>,
    pub(crate) stake: Stake,
}

/// A place in the order of a list: the greatest value comes first, of equal ones the smallest id.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    value_at_risk: f64,
    customer_id: &'a str,
}

impl Place<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = other.value_at_risk.total_cmp(&self.value_at_risk);
        by_value.then_with(|| self.customer_id.cmp(other.customer_id))
    }
}

impl Listed {
    fn place(&self) -> Place<'_> {
        Place { value_at_risk: self.stake.value_at_risk, customer_id: &self.customer_id }
    }
}

impl Ord for Listed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Listed {}

/// A list in the making.
#[derive(Debug)]
pub struct Listing {
    began_ms: i64,
    /// By tier, then by lifecycle.
    cells: Vec<[(u64, BinaryHeap<Listed>); N_LIFECYCLES]>,
}

impl Listing {
    /// Begins now, without anybody.
    pub fn new(n_tiers: usize) -> Self {
        let cells = (0..n_tiers).map(|_| Default::default()).collect();
        Self { began_ms: now_ms(), cells }
    }

    /// Counts a customer, and keeps them while they stand among the first.
    pub fn offer(&mut self, customer_id: String, mut stake: Stake) {
        // Ordered by what is shown, so that a page can go on from it.
        stake.value_at_risk = Estimate::of(stake.value_at_risk).map_or(0.0, Estimate::value);
        let Some(cells) = self.cells.get_mut(stake.tier) else { return };
        let (n_customers, first) = &mut cells[stake.lifecycle as usize];
        *n_customers += 1;
        let place = Place { value_at_risk: stake.value_at_risk, customer_id: &customer_id };
        if first.len() == LISTED_MAX {
            if first.peek().is_none_or(|last| place.cmp(&last.place()).is_gt()) {
                return;
            }
            first.pop();
        }
        first.push(Listed { customer_id: customer_id.into(), stake });
    }

    /// The list. It is partial where customers are still being read back.
    pub fn finish(self, is_partial: bool) -> List {
        let sorted = |(n_customers, first): (u64, BinaryHeap<Listed>)| Cell {
            n_customers,
            first: first.into_sorted_vec(),
        };
        let cells = self.cells.into_iter().map(|cells| cells.map(sorted)).collect();
        List { as_of_ms: self.began_ms, is_partial, cells }
    }
}

/// All customers of one moment.
#[derive(Debug)]
pub struct List {
    /// When its making began, in milliseconds since 1970.
    pub as_of_ms: i64,
    /// Whether customers were still being read back.
    pub is_partial: bool,
    cells: Vec<[Cell; N_LIFECYCLES]>,
}

#[derive(Debug)]
struct Cell {
    n_customers: u64,
    first: Vec<Listed>,
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
    pub(crate) customers: Vec<&'a Listed>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<Cursor>,
}

impl List {
    /// Up to `n_max` of who match, behind a cursor.
    pub(crate) fn page(&self, of: &Selection, after: Option<&Cursor>, n_max: usize) -> Page<'_> {
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
                let is_before = |listed: &Listed| {
                    after.is_some_and(|after| listed.place().cmp(&after.place()).is_le())
                };
                let begin = cell.first.partition_point(is_before);
                n_before += begin;
                customers.extend(cell.first[begin..].iter().take(n_max + 1));
            }
        }
        // Behind so many of the selection some may be missing: a cell keeps no more.
        let n_max = n_max.min(LISTED_MAX.saturating_sub(n_before));
        customers.sort_unstable();
        let is_more = customers.len() > n_max && n_before + n_max < LISTED_MAX;
        customers.truncate(n_max);
        let next = customers.last().filter(|_| is_more).map(|last| Cursor::at(last));
        Page { total, customers, next }
    }
}

/// Behind whom a page begins. It names the place itself, so that it holds in every later list too.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    value_at_risk: f64,
    customer_id: String,
}

/// Hexadecimal digits of the value in a cursor.
const VALUE_DIGITS: usize = 16;

impl Cursor {
    fn at(listed: &Listed) -> Self {
        let Place { value_at_risk, customer_id } = listed.place();
        Self { value_at_risk, customer_id: customer_id.to_owned() }
    }

    fn place(&self) -> Place<'_> {
        Place { value_at_risk: self.value_at_risk, customer_id: &self.customer_id }
    }

    /// As in an answer.
    pub(super) fn text(&self) -> String {
        let id = self.customer_id.bytes().map(|byte| format!("{byte:02x}"));
        let value = format!("{:0VALUE_DIGITS$x}", self.value_at_risk.to_bits());
        [value].into_iter().chain(id).collect()
    }

    /// Reads a cursor; `None` for what is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (value, id) = text.as_bytes().split_at_checked(VALUE_DIGITS)?;
        let mut bits = 0;
        for byte in value {
            bits = bits << 4 | u64::from(digit(*byte)?);
        }
        let value_at_risk = Some(f64::from_bits(bits)).filter(|value| value.is_finite())?;
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let id: Option<Vec<u8>> = id.chunks(2).map(byte).collect();
        Some(Self { value_at_risk, customer_id: String::from_utf8(id?).ok()? })
    }
}

#[cfg(test)]
mod tests;

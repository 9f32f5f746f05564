//! What the population's value did in the days before a date and in as many from it on. Customers
//! are valued at the edges of both windows too, so that a window holds all that happened in it and
//! nothing else. Filled by the recount, customer by customer; printed by `commands`.

use crate::calendar::Day;
use crate::customer::{Customer, Totals};
use crate::pipeline::Pipeline;
use crate::population::{Change, Effect, Parts, Presence, Share, attribute};

/// Two windows of as many days, one before the date and one from it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The first day of each window, and the day after the last one.
    pub edges: [Day; 3],
}

impl Windows {
    /// As long as the shorter side of `date` in a history from `first` to `last`.
    ///
    /// # Errors
    /// A sentence where a side has no day.
    pub fn around(date: Day, first: Day, last: Day) -> Result<Self, String> {
        let n_days = date.days_since(first).min(last.days_since(date) + 1);
        if n_days < 1 {
            return Err(format!(
                "`--compare` is `{date}` and the history goes from `{first}` to `{last}`: give a \
                 day after the first and not after the last"
            ));
        }
        Ok(Self { edges: [date.plus(-n_days), date, date.plus(n_days)] })
    }

    /// Days in each window.
    pub fn n_days(&self) -> i32 {
        self.edges[1].days_since(self.edges[0])
    }
}

/// What happened in one window.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// By place in [`Effect::ALL`].
    changes: [Change; Effect::ALL.len()],
    /// Customers who came by a first order, less those whose last standing order was taken back.
    pub n_new: i64,
    /// Customers who lapsed.
    pub n_lost: i64,
    /// Customers who came back after a lapse.
    pub n_recovered: i64,
    /// Customers who were forgotten.
    pub n_erased: i64,
    /// Orders completed.
    pub n_orders: i64,
    /// What they brought, in minor units.
    pub gross_minor: i128,
    /// Those of customers who were active when they ordered.
    pub n_orders_of_active: i64,
    /// Days of active customers: with a standing order, and not lapsed.
    pub active_days: i64,
}

impl Side {
    /// What an effect did to the population's value.
    pub fn change(&self, effect: Effect) -> Change {
        self.changes[effect as usize]
    }

    /// What all effects did, in minor units.
    pub fn net_minor(&self) -> i128 {
        self.changes.iter().map(Change::net_minor).sum()
    }

    /// Orders of active customers, a customer and week; absent without any.
    #[expect(clippy::cast_precision_loss, reason = "counts of a file stay far below 2^53")]
    pub fn orders_per_customer_week(&self) -> Option<f64> {
        let weeks = self.active_days as f64 / 7.0;
        (self.active_days > 0).then(|| self.n_orders_of_active as f64 / weeks)
    }

    /// What an order brought, in minor units; absent without any.
    #[expect(clippy::cast_precision_loss, reason = "sums of a file stay far below 2^53")]
    pub fn order_value_minor(&self) -> Option<f64> {
        (self.n_orders > 0).then(|| self.gross_minor as f64 / self.n_orders as f64)
    }

    fn take(&mut self, before: Presence, after: Presence, parts: &Parts) {
        use Presence::{Absent, Lapsed, Present};
        for (effect, minor) in parts.iter() {
            self.changes[effect as usize].add(minor.into());
        }
        match (before, after) {
            (Absent, Present) => self.n_new += 1,
            (Present, Absent) => self.n_new -= 1,
            (Present, Lapsed) => self.n_lost += 1,
            (Lapsed, Present) => self.n_recovered += 1,
            (Present, Present) | (Absent | Lapsed, Absent | Lapsed) => {}
        }
    }
}

/// Both windows.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Which days.
    pub windows: Windows,
    /// What happened in each.
    pub sides: [Side; 2],
    /// The population's value at each edge, before its day, in minor units.
    pub clv_minor: [i128; 3],
    /// Active customers at each edge.
    pub n_active: [i64; 3],
}

impl Comparison {
    /// Nothing counted yet.
    pub fn new(windows: Windows) -> Self {
        Self { windows, sides: Default::default(), clv_minor: [0; 3], n_active: [0; 3] }
    }
}

/// One customer on the way through the windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passage {
    /// As of the last step or edge; absent before the first event and after an erasure.
    share: Option<Share>,
    /// The day from which on time is not counted yet.
    from: Day,
    /// The next edge.
    n_edges: usize,
}

impl Passage {
    /// Values the customer at the edges up to `today`, before whatever happens on it. The caller
    /// has fired the timers that were due before each edge.
    pub(super) fn cross(
        &mut self,
        comparison: &mut Comparison,
        customer: Option<&Customer>,
        today: Day,
        pipeline: &Pipeline,
    ) {
        while let Some(edge) = comparison.windows.edges.get(self.n_edges).copied()
            && edge <= today
        {
            if let Some(customer) = customer.filter(|_| self.share.is_some()) {
                self.step(comparison, Some(pipeline.share_on(customer, edge.plus(-1))), edge);
            }
            let share = self.share.as_ref();
            let is_active = share.is_some_and(|share| share.presence == Presence::Present);
            comparison.clv_minor[self.n_edges] += i128::from(share.map_or(0, Share::value_minor));
            comparison.n_active[self.n_edges] += i64::from(is_active);
            self.n_edges += 1;
        }
    }

    /// The customer counts with another share from `day` on.
    pub(super) fn step(&mut self, comparison: &mut Comparison, share: Option<Share>, day: Day) {
        let before = self.share;
        if let Some(side) = self.side(comparison) {
            let presence = |share: &Option<Share>| share.map_or(Presence::Absent, |it| it.presence);
            let was = presence(&before);
            if was == Presence::Present {
                side.active_days += i64::from(day.days_since(self.from));
            }
            let parts = attribute(before.as_ref(), share.as_ref());
            if share.is_none() {
                side.n_erased += i64::from(was == Presence::Present);
                side.take(Presence::Absent, Presence::Absent, &parts);
            } else {
                side.take(was, presence(&share), &parts);
            }
        }
        (self.share, self.from) = (share, day);
    }

    /// An order was completed, if the totals say so: an edit is none.
    pub(super) fn order(&self, comparison: &mut Comparison, before: Totals, after: Totals) {
        let is_active = self.share.is_some_and(|share| share.presence == Presence::Present);
        if let Some(side) = self.side(comparison).filter(|_| after.n_orders > before.n_orders) {
            side.n_orders += 1;
            side.gross_minor += after.gross_minor - before.gross_minor;
            side.n_orders_of_active += i64::from(is_active);
        }
    }

    /// The window in which the customer is.
    fn side<'a>(&self, comparison: &'a mut Comparison) -> Option<&'a mut Side> {
        comparison.sides.get_mut(self.n_edges.checked_sub(1)?)
    }
}

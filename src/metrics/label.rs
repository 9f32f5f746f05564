//! The closed sets of label values: no metric can take a value that is not an enum's, so the number
//! of series is known before the first event. Counts nothing itself; used by `tally` and
//! `counters`.

use std::marker::PhantomData;

use crate::churn::{Cause, Lifecycle, SignalKind};
use crate::customer::Driver;
use crate::event::{Kind, Reason};
use crate::fit::succession::HeldBack;

/// A closed set of label values.
pub(super) trait Label: Copy + 'static {
    /// The names of the labels, as many as [`Label::texts`] has values.
    const NAMES: &'static [&'static str];

    /// Every member, each at the place that [`Label::index`] says.
    fn all() -> Vec<Self>;

    /// The values of the labels, in the order of [`Label::NAMES`].
    fn texts(self) -> Vec<&'static str>;

    /// The place in [`Label::all`].
    fn index(self) -> usize;
}

/// One value for every member of a closed set.
#[derive(Debug)]
pub(super) struct By<L, V> {
    values: Box<[V]>,
    members: PhantomData<L>,
}

impl<L: Label, V> By<L, V> {
    /// Makes the value of each member.
    pub(super) fn new(mut value: impl FnMut(L) -> V) -> Self {
        let all = L::all();
        for (place, member) in all.iter().enumerate() {
            assert!(member.index() == place, "label `{:?}` is out of place", member.texts());
        }
        Self { values: all.into_iter().map(&mut value).collect(), members: PhantomData }
    }

    pub(super) fn get(&self, member: L) -> &V {
        &self.values[member.index()]
    }

    pub(super) fn get_mut(&mut self, member: L) -> &mut V {
        &mut self.values[member.index()]
    }

    /// The values in the order of [`Label::all`].
    pub(super) fn values(&self) -> &[V] {
        &self.values
    }
}

macro_rules! label_of_enum {
    ($name:literal, $type:ty) => {
        impl Label for $type {
            const NAMES: &'static [&'static str] = &[$name];

            fn all() -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn texts(self) -> Vec<&'static str> {
                vec![self.as_str()]
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

macro_rules! label_enum {
    ($(#[$outer:meta])* $vis:vis enum $name:ident as $label:literal {
        $($(#[$inner:meta])* $member:ident = $text:literal,)+
    }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$inner])* $member,)+ }

        impl $name {
            /// Every member, in the order of the documentation.
            $vis const ALL: &'static [Self] = &[$(Self::$member,)+];

            /// The value of the label.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$member => $text,)+ }
            }
        }

        label_of_enum!($label, $name);
    };
}

label_enum! {
    /// The phases of a transaction, in order.
    pub enum Phase as "phase" {
        /// Turning staged customers, scores and signals into records and handing them over.
        Encode = "encode",
        /// Waiting until nothing is in flight.
        Drain = "drain",
        /// Sending the consumed offsets with the group's metadata.
        Offsets = "offsets",
        /// Ending the transaction.
        Commit = "commit",
        /// Letting the staged customers into the store.
        Apply = "apply",
    }
}

label_enum! {
    /// Why a transaction was aborted.
    pub enum AbortCause as "cause" {
        /// A partition was revoked and its budget ran out before the commit.
        RevokeBudget = "revoke_budget",
        /// A partition was lost: another member may own it already.
        AssignmentLost = "assignment_lost",
        /// The group's generation moved on under the transaction.
        StaleGeneration = "stale_generation",
        /// A record could not be delivered.
        Delivery = "delivery",
        /// The offsets could not be sent.
        Offsets = "offsets",
        /// The commit itself was refused.
        Commit = "commit",
        /// The process is stopping.
        Shutdown = "shutdown",
    }
}

label_enum! {
    /// What became of an attempt to fit a model.
    pub enum FitOutcome as "result" {
        /// It is the model to go on with.
        Published = "published",
        /// The model in use explains the customers better.
        Worse = "worse",
        /// The model in use tells death from rare buying, and this one does not.
        NotIdentifiable = "not_identifiable",
        /// The model in use knows what orders bring, and this one does not.
        NoSpend = "no_spend",
        /// It foresees much more or much less than the model in use.
        WildlyDifferent = "wildly_different",
        /// There are too few customers, or too short a history.
        TooLittle = "too_little",
        /// It could not be made, or not be published.
        Failed = "failed",
    }
}

impl From<HeldBack> for FitOutcome {
    fn from(held: HeldBack) -> Self {
        match held {
            HeldBack::Worse { .. } => Self::Worse,
            HeldBack::NotIdentifiable => Self::NotIdentifiable,
            HeldBack::NoSpend => Self::NoSpend,
            HeldBack::WildlyDifferent { .. } => Self::WildlyDifferent,
        }
    }
}

label_enum! {
    /// How a transaction ended.
    pub(super) enum Outcome as "outcome" {
        /// Its records, state and offsets are visible.
        Committed = "committed",
        /// It left no trace; its events are read again.
        Aborted = "aborted",
        /// The process cannot go on.
        Failed = "failed",
    }
}

label_of_enum!("type", Kind);
label_of_enum!("reason", Reason);
label_of_enum!("cause", Cause);

/// A kind of signal and what drove it; `none` for the kinds that have no driver.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignalLabel {
    pub(super) kind: SignalKind,
    pub(super) driver: Option<Driver>,
}

impl Label for SignalLabel {
    const NAMES: &'static [&'static str] = &["kind", "driver"];

    fn all() -> Vec<Self> {
        let drivers = || [None].into_iter().chain(Driver::ALL.iter().copied().map(Some));
        let of_kind = |kind: &SignalKind| {
            let kind = *kind;
            drivers().map(move |driver| Self { kind, driver })
        };
        SignalKind::ALL.iter().flat_map(of_kind).collect()
    }

    fn texts(self) -> Vec<&'static str> {
        vec![self.kind.as_str(), self.driver.map_or("none", Driver::as_str)]
    }

    fn index(self) -> usize {
        let n_drivers = 1 + Driver::ALL.len();
        self.kind as usize * n_drivers + self.driver.map_or(0, |driver| 1 + driver as usize)
    }
}

/// A customer's way from one lifecycle to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transition {
    from: Lifecycle,
    to: Lifecycle,
}

impl Transition {
    /// The way; `None` for a customer who stays.
    pub(super) fn new(from: Lifecycle, to: Lifecycle) -> Option<Self> {
        (from as usize != to as usize).then_some(Self { from, to })
    }
}

impl Label for Transition {
    const NAMES: &'static [&'static str] = &["from", "to"];

    fn all() -> Vec<Self> {
        let all = || Lifecycle::ALL.iter().copied();
        all().flat_map(|from| all().filter_map(move |to| Self::new(from, to))).collect()
    }

    fn texts(self) -> Vec<&'static str> {
        vec![self.from.as_str(), self.to.as_str()]
    }

    fn index(self) -> usize {
        let (from, to) = (self.from as usize, self.to as usize);
        from * (Lifecycle::ALL.len() - 1) + if to > from { to - 1 } else { to }
    }
}

/// Whether a partition is being read back or at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartitionState {
    Restoring,
    Running,
}

impl PartitionState {
    pub(super) const ALL: [Self; 2] = [Self::Restoring, Self::Running];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Restoring => "restoring",
            Self::Running => "running",
        }
    }
}

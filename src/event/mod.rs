//! Checkout events: bytes to [`Event`] or [`Rejection`], an event back to bytes, and its identity.
//! Pure: no I/O, no clock. It knows nothing of customers and judges an event by itself only.
//! Called by the lanes' source threads, `history` and the demo's shop.

mod decode;
mod encode;
mod fields;
mod fingerprint;
mod rejection;
mod values;

pub use decode::{EVENT_BYTES_MAX, Envelope, Intake, Subject, decode, subject};
pub use rejection::{DETAIL_BYTES_MAX, Reason, Rejection};
pub use values::{
    CHANNEL_BYTES_MAX, ID_BYTES_MAX, OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN,
    QUANTITY_THOUSANDTHS_MAX,
};

use compact_str::CompactString;

use crate::money::Amount;

/// One accepted checkout event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who it is about: 1 to [`ID_BYTES_MAX`] bytes, the record's key.
    pub customer_id: CompactString,
    /// When it happened, in epoch milliseconds.
    pub occurred_at_ms: i64,
    /// The producer's identity of the event, which makes redelivery harmless.
    pub event_id: Option<CompactString>,
    /// The order that it is about.
    pub order_id: Option<CompactString>,
    /// Where the customer was met, such as `web`.
    pub channel: Option<CompactString>,
    /// What happened.
    pub body: Body,
}

/// What happened, with the figures that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// An order was placed and paid, or edited; the amount may be 0.
    OrderCompleted(Amount),
    /// Money went back; the amount is above 0.
    OrderRefunded(Amount),
    /// The order of `order_id` was called off.
    OrderCancelled,
    /// A cart was left behind.
    CartAbandoned,
    /// The product was used.
    UsageRecorded {
        /// Thousandths of a unit of use.
        thousandths: u64,
    },
    /// The customer asked for help.
    SupportContacted,
    /// What it cost to win the customer.
    AcquisitionRecorded(Amount),
    /// The customer asked to be forgotten.
    CustomerErased,
}

/// The type of an event, without its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `order.completed`
    OrderCompleted,
    /// `order.refunded`
    OrderRefunded,
    /// `order.cancelled`
    OrderCancelled,
    /// `cart.abandoned`
    CartAbandoned,
    /// `usage.recorded`
    UsageRecorded,
    /// `support.contacted`
    SupportContacted,
    /// `acquisition.recorded`
    AcquisitionRecorded,
    /// `customer.erased`
    CustomerErased,
}

impl Kind {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::OrderCompleted,
        Self::OrderRefunded,
        Self::OrderCancelled,
        Self::CartAbandoned,
        Self::UsageRecorded,
        Self::SupportContacted,
        Self::AcquisitionRecorded,
        Self::CustomerErased,
    ];

    /// The value of the field `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderCompleted => "order.completed",
            Self::OrderRefunded => "order.refunded",
            Self::OrderCancelled => "order.cancelled",
            Self::CartAbandoned => "cart.abandoned",
            Self::UsageRecorded => "usage.recorded",
            Self::SupportContacted => "support.contacted",
            Self::AcquisitionRecorded => "acquisition.recorded",
            Self::CustomerErased => "customer.erased",
        }
    }

    /// Reads the field `type`; `None` for a name that is not in [`Kind::ALL`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl Event {
    /// The type of the event.
    pub fn kind(&self) -> Kind {
        match self.body {
            Body::OrderCompleted(_) => Kind::OrderCompleted,
            Body::OrderRefunded(_) => Kind::OrderRefunded,
            Body::OrderCancelled => Kind::OrderCancelled,
            Body::CartAbandoned => Kind::CartAbandoned,
            Body::UsageRecorded { .. } => Kind::UsageRecorded,
            Body::SupportContacted => Kind::SupportContacted,
            Body::AcquisitionRecorded(_) => Kind::AcquisitionRecorded,
            Body::CustomerErased => Kind::CustomerErased,
        }
    }
}

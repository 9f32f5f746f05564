//! What the tests of several modules share: rules, with days of UTC and dollars, and plans.

use std::sync::Arc;

use super::{Plan, Rules};
use crate::calendar::Calendar;
use crate::churn::testing::{model, settings, tiers, usd};
use crate::clv::Horizon;
use crate::customer::Windows;
use crate::event::Intake;
use crate::money::Rates;

pub(crate) fn rules() -> Rules {
    Rules {
        calendar: Calendar::utc(),
        intake: Intake { currency: usd(), rates: Rates::default(), future_skew_max_ms: None },
        windows: Windows {
            refund_days: 180,
            lateness_days: 30,
            dedup_events: 64,
            erasure_memory_days: 365,
        },
        churn: settings(),
        tiers: tiers(),
        horizon: Horizon { months: 12, discount_monthly: 0.01, orders_days: 365 },
        retention_months: 24,
    }
}

/// By these rules, with CDNOW's model of this name.
pub(crate) fn plan(name: Option<&str>) -> Plan {
    Plan { rules: Arc::new(rules()), model: name.map(|name| Arc::new(model(name, true))) }
}

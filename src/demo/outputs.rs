//! What a reader of the output topics learns: the signals in order, and the last score of everyone.
//! It reads bytes as any other program must, and knows nothing of the engine. Called by the `demo`
//! command.

use std::collections::BTreeMap;

use crate::calendar::Calendar;
use crate::customer::{Driver, SignalKind};
use crate::record::score::Score;
use crate::record::signal::Signal;
use crate::record::wire::Estimate;

use super::verdict::Seen;

/// What was read so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The signals in the order in which they were read.
    pub signals: Vec<Seen>,
    /// Net revenue in minor units by customer, of the last score read.
    net_minor: BTreeMap<String, i128>,
    /// Dead letters.
    pub n_rejected: u64,
}

impl Outputs {
    /// Takes a record of the scores topic; none is a tombstone.
    ///
    /// # Errors
    /// It is not a score.
    pub fn score(&mut self, json: Option<&[u8]>) -> Result<(), String> {
        // An erased customer's tombstone: the shop erases nobody.
        let Some(json) = json else { return Ok(()) };
        let score = Score::read(json).map_err(|error| format!("not a score: {error}"))?;
        let net_minor = score.history.net_revenue.minor();
        if let Some(known) = self.net_minor.get_mut(&*score.customer_id) {
            *known = net_minor;
        } else {
            self.net_minor.insert(score.customer_id.into_owned(), net_minor);
        }
        Ok(())
    }

    /// Takes a record of the signals topic.
    ///
    /// # Errors
    /// It is not a signal.
    pub fn signal(&mut self, json: &[u8]) -> Result<(), String> {
        let signal = Signal::read(json).map_err(|error| format!("not a signal: {error}"))?;
        let kind = SignalKind::ALL.into_iter().find(|kind| kind.as_str() == signal.kind);
        let driver = |name: &str| Driver::ALL.into_iter().find(|driver| driver.as_str() == name);
        self.signals.push(Seen {
            kind: kind.ok_or_else(|| format!("unknown kind of signal `{}`", signal.kind))?,
            driver: signal.driver.as_deref().and_then(driver),
            raised_on: Calendar::utc().day(signal.raised_at.0),
            value_at_risk: signal.value_at_risk.map(Estimate::value),
            sentence: signal.evidence.sentence.into_owned(),
            customer_id: signal.customer_id.into_owned(),
        });
        Ok(())
    }

    /// Customers with a score.
    pub fn n_customers(&self) -> u64 {
        self.net_minor.len() as u64
    }

    /// Net revenue of all customers, in minor units.
    pub fn net_minor(&self) -> i128 {
        self.net_minor.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Day;

    fn score(customer_id: &str, net: &str) -> Vec<u8> {
        let json = format!(
            r#"{{"schema":"lifetide.score/1","customer_id":"{customer_id}",
            "as_of":"2025-01-02T00:00:00.000Z","cause":"event","currency":"USD",
            "history":{{"orders":2,"purchase_days":2,"gross":"9.00","refunded":"1.00",
            "net_revenue":"{net}","carts_abandoned":0}},
            "clv":{{"historic":"{net}"}},"churn":{{}},
            "trend":{{"state":"unknown","confidence":"none"}},
            "segment":{{"value":"low","lifecycle":"new"}},"model":"none"}}"#
        );
        json.into_bytes()
    }

    fn signal(kind: &str) -> Vec<u8> {
        let json = format!(
            r#"{{"schema":"lifetide.signal/1","signal_id":"1","customer_id":"c1","kind":"{kind}",
            "raised_at":"2025-01-02T23:59:59.999Z","from":"active","to":"declining",
            "driver":"basket","severity":"low","value_at_risk":12.5,"currency":"USD",
            "evidence":{{"sentence":"less","h":3.0}},"clock":"event"}}"#
        );
        json.into_bytes()
    }

    #[test]
    fn the_last_score_of_each_customer_counts() {
        let mut outputs = Outputs::default();
        for (customer_id, net) in [("a", "8.00"), ("b", "-0.50"), ("a", "10.25")] {
            outputs.score(Some(&score(customer_id, net))).unwrap();
        }
        outputs.score(None).unwrap();
        assert_eq!((outputs.n_customers(), outputs.net_minor()), (2, 975));
        assert!(outputs.score(Some(b"{}")).is_err());
    }

    #[test]
    fn signals_are_kept_in_order_and_an_unknown_kind_is_refused() {
        let mut outputs = Outputs::default();
        outputs.signal(&signal("spend_decline")).unwrap();
        outputs.signal(&signal("lapse")).unwrap();
        let kinds = [SignalKind::SpendDecline, SignalKind::Lapse];
        assert_eq!(outputs.signals.iter().map(|seen| seen.kind).collect::<Vec<_>>(), kinds);
        let expect = Seen {
            customer_id: "c1".to_owned(),
            kind: SignalKind::SpendDecline,
            driver: Some(Driver::Basket),
            raised_on: Day(20_090),
            value_at_risk: Some(12.5),
            sentence: "less".to_owned(),
        };
        assert_eq!(outputs.signals[0], expect);
        assert!(outputs.signal(&signal("doom")).unwrap_err().contains("`doom`"));
    }
}

//! A signal about one customer as JSON, schema `lifetide.signal/1`, both directions. Filled by
//! `pipeline`, written to the signals topic and by `replay`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::{Estimate, Moment};

/// The schema name of this form.
pub const SCHEMA: &str = "lifetide.signal/1";

/// Something that a person or a system should act on; never coalesced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal<'a> {
    /// Always [`SCHEMA`].
    #[serde(borrow)]
    pub schema: Cow<'a, str>,
    /// Hash of customer, kind and `raised_at`: the same signal has the same id wherever it is made.
    #[serde(borrow)]
    pub signal_id: Cow<'a, str>,
    /// Whom it is about; the record's key.
    #[serde(borrow)]
    pub customer_id: Cow<'a, str>,
    /// `spend_decline`, `lapse`, `usage_decline`, `recovered` or `high_value_reached`.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The event's time, or the later of the timer's due time and stream time.
    pub raised_at: Moment,
    /// Lifecycle (or value tier) before.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// Lifecycle (or value tier) after.
    #[serde(borrow)]
    pub to: Cow<'a, str>,
    /// Why spending falls.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub driver: Option<Cow<'a, str>>,
    /// `high`, `medium` or `low`, by value tier.
    #[serde(borrow)]
    pub severity: Cow<'a, str>,
    /// What stands to be lost, major units of `currency`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value_at_risk: Option<Estimate>,
    /// The currency of `value_at_risk`.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
    /// The figures behind it and one plain sentence.
    #[serde(borrow)]
    pub evidence: Evidence<'a>,
    /// Whose clock raised it: `event` or `idle`.
    #[serde(borrow)]
    pub clock: Cow<'a, str>,
}

/// Why the signal was raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// For a person.
    #[serde(borrow)]
    pub sentence: Cow<'a, str>,
    /// By name; only those that are known.
    #[serde(borrow, flatten)]
    pub figures: BTreeMap<Cow<'a, str>, Estimate>,
}

impl<'a> Signal<'a> {
    /// The record's value.
    pub fn to_json(&self) -> Vec<u8> {
        super::wire::to_json(self, 512)
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// The JSON fault, or a schema that this program does not know.
    pub fn read(json: &'a [u8]) -> Result<Self, String> {
        let signal: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if signal.schema != SCHEMA {
            return Err(format!("unknown schema `{}`, expected `{SCHEMA}`", signal.schema));
        }
        Ok(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signal: &Signal<'_>, json: &str) {
        assert_eq!(String::from_utf8(signal.to_json()).unwrap(), json);
        assert_eq!(Signal::read(json.as_bytes()).as_ref(), Ok(signal));
    }

    fn full() -> Signal<'static> {
        let figures = [("silence_tail", 0.019_876_543_21), ("days_silent", 91.0)];
        let figures = figures.map(|(name, value)| (name.into(), Estimate::of(value).unwrap()));
        Signal {
            schema: SCHEMA.into(),
            signal_id: "00c0ffee00c0ffee".into(),
            customer_id: "c-17".into(),
            kind: "lapse".into(),
            raised_at: Moment(1_714_564_800_007),
            from: "at_risk".into(),
            to: "lapsed".into(),
            driver: Some("silence".into()),
            severity: "high".into(),
            value_at_risk: Estimate::of(456.789_012_34),
            currency: "EUR".into(),
            evidence: Evidence { sentence: "no order for 91 days".into(), figures: figures.into() },
            clock: "idle".into(),
        }
    }

    #[test]
    fn the_bytes_of_a_full_signal_are_pinned_and_read_back() {
        let json = concat!(
            r#"{"schema":"lifetide.signal/1","signal_id":"00c0ffee00c0ffee","#,
            r#""customer_id":"c-17","kind":"lapse","raised_at":"2024-05-01T12:00:00.007Z","#,
            r#""from":"at_risk","to":"lapsed","driver":"silence","severity":"high","#,
            r#""value_at_risk":456.78901,"currency":"EUR","#,
            r#""evidence":{"sentence":"no order for 91 days","days_silent":91.0,"#,
            r#""silence_tail":0.019876543},"clock":"idle"}"#,
        );
        check(&full(), json);
    }

    #[test]
    fn what_is_unknown_is_left_out_of_a_signal() {
        let signal = Signal {
            customer_id: "o'\"neil\u{e9}".into(),
            kind: "high_value_reached".into(),
            from: "silver".into(),
            to: "gold".into(),
            driver: None,
            value_at_risk: None,
            evidence: Evidence { sentence: "gold".into(), figures: BTreeMap::new() },
            clock: "event".into(),
            ..full()
        };
        let json = concat!(
            r#"{"schema":"lifetide.signal/1","signal_id":"00c0ffee00c0ffee","#,
            r#""customer_id":"o'\"neilé","kind":"high_value_reached","#,
            r#""raised_at":"2024-05-01T12:00:00.007Z","from":"silver","to":"gold","#,
            r#""severity":"high","currency":"EUR","evidence":{"sentence":"gold"},"#,
            r#""clock":"event"}"#,
        );
        check(&signal, json);
    }

    #[test]
    fn another_schema_is_not_read() {
        let json = String::from_utf8(full().to_json()).unwrap().replace("signal/1", "signal/2");
        assert_eq!(
            Signal::read(json.as_bytes()),
            Err("unknown schema `lifetide.signal/2`, expected `lifetide.signal/1`".to_owned())
        );
    }
}

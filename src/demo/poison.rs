//! Records that must be refused, one for each way in which producers spoil them. Called by `life`.

use serde_json::{Map, Value, json};

use crate::event::Event;

use crate::dice::Dice;

/// Ten years: further ahead than a clock can be wrong.
const FUTURE_MS: i64 = 315_360_000_000;

/// A record's key and payload.
type KeyAndPayload = (Vec<u8>, Vec<u8>);

/// What is done to a good order.
const POISONS: [fn(&Event) -> KeyAndPayload; 8] = [
    |event| {
        let (key, mut payload) = spoilt(event, |_| ());
        payload.truncate(payload.len() / 2);
        (key, payload)
    },
    |event| (b"somebody-else".to_vec(), event.encode()),
    |event| {
        spoilt(event, |object| {
            object.remove("amount");
        })
    },
    |event| replaced(event, "type", json!("order.shipped")),
    |event| replaced(event, "amount", json!("-25.00")),
    |event| replaced(event, "occurred_at", json!("yesterday")),
    |event| replaced(event, "currency", json!("XTS")),
    |event| replaced(event, "occurred_at", json!(event.occurred_at_ms.saturating_add(FUTURE_MS))),
];

/// The order as a record that is refused, spoilt in a way that is drawn.
pub(super) fn poisoned(event: &Event, dice: &mut Dice) -> KeyAndPayload {
    dice.pick(&POISONS)(event)
}

fn replaced(event: &Event, field: &str, value: Value) -> KeyAndPayload {
    spoilt(event, |object| {
        object.insert(field.to_owned(), value);
    })
}

fn spoilt(event: &Event, change: impl FnOnce(&mut Map<String, Value>)) -> KeyAndPayload {
    let mut object = serde_json::from_slice(&event.encode()).expect("an event is a JSON object");
    change(&mut object);
    let payload = serde_json::to_vec(&object).expect("an object is JSON");
    (event.customer_id.as_bytes().to_vec(), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Envelope, Intake, Reason, decode};
    use crate::money::{Amount, Currency, Rates};

    #[test]
    fn each_poison_is_refused_for_its_own_reason() {
        let currency = Currency::parse("USD").unwrap();
        let at_ms = 1_714_545_000_000;
        let event = Event {
            customer_id: "c1".into(),
            occurred_at_ms: at_ms,
            event_id: Some("e1".into()),
            order_id: Some("o1".into()),
            channel: None,
            body: Body::OrderCompleted(Amount { minor: 2_500, currency }),
        };
        let skew_ms = Some(300_000);
        let intake = Intake { currency, rates: Rates::default(), future_skew_max_ms: skew_ms };
        let reasons = POISONS.map(|poison| {
            let (key, payload) = poison(&event);
            let timestamp_ms = Some(at_ms);
            let envelope = Envelope { payload: Some(&payload), key: Some(&key), timestamp_ms };
            decode(envelope, &intake).unwrap_err().reason
        });
        let expect = [
            Reason::NotJson,
            Reason::KeyMismatch,
            Reason::MissingField,
            Reason::UnknownType,
            Reason::BadValue,
            Reason::BadValue,
            Reason::UnknownCurrency,
            Reason::Future,
        ];
        assert_eq!(reasons, expect);
    }
}

//! The identity of an event as 64 bits, by which a redelivered event is recognised. The bytes that
//! are hashed are a stored format: they must not change. Called by `pipeline` for accepted events.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::{Body, Event};

impl Event {
    /// The identity: `event_id`; else type, order id, time and figure; without an order id either,
    /// the record's place in the input topic.
    pub fn fingerprint(&self, partition: i32, offset: i64) -> u64 {
        let mut bytes = Parts::new();
        if let Some(event_id) = &self.event_id {
            part(&mut bytes, b'e', event_id.as_bytes());
        } else if let Some(order_id) = &self.order_id {
            part(&mut bytes, b'k', self.kind().as_str().as_bytes());
            part(&mut bytes, b'o', order_id.as_bytes());
            part(&mut bytes, b't', &self.occurred_at_ms.to_le_bytes());
            self.figure_part(&mut bytes);
        } else {
            part(&mut bytes, b'p', &partition.to_le_bytes());
            part(&mut bytes, b'n', &offset.to_le_bytes());
        }
        xxh3_64(&bytes)
    }

    /// The identity of the order that the event is about.
    pub fn order_fingerprint(&self) -> Option<u64> {
        self.order_id.as_ref().map(|order_id| xxh3_64(order_id.as_bytes()))
    }

    fn figure_part(&self, bytes: &mut Parts) {
        match self.body {
            Body::OrderCompleted(amount)
            | Body::OrderRefunded(amount)
            | Body::AcquisitionRecorded(amount) => {
                part(bytes, b'm', &amount.minor.to_le_bytes());
                part(bytes, b'c', amount.currency.code().as_bytes());
            }
            Body::UsageRecorded { thousandths } => part(bytes, b'q', &thousandths.to_le_bytes()),
            Body::OrderCancelled
            | Body::CartAbandoned
            | Body::SupportContacted
            | Body::CustomerErased => {}
        }
    }
}

/// Room for the longest identity in all but strange cases.
type Parts = SmallVec<[u8; 192]>;

/// Appends a part with its tag and its length, so that no two lists of parts give the same bytes.
fn part(bytes: &mut Parts, tag: u8, content: &[u8]) {
    bytes.push(tag);
    bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
    bytes.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Amount, Currency};

    fn event() -> Event {
        let currency = Currency::parse("EUR").unwrap();
        Event {
            customer_id: "c1".into(),
            occurred_at_ms: 1_704_067_200_000,
            event_id: None,
            order_id: Some("o1".into()),
            channel: None,
            body: Body::OrderCompleted(Amount { minor: 1234, currency }),
        }
    }

    /// Goal: fingerprints in a stored state are found again by later releases. The numbers come
    /// from the reference implementation (`xxhash` for Python) over the parts put together by hand.
    #[test]
    fn fingerprints_are_stable_across_releases() {
        let named = Event { event_id: Some("e1".into()), ..event() };
        let bare = Event { order_id: None, ..event() };
        assert_eq!(named.fingerprint(3, 7), 11_264_209_462_970_473_854);
        assert_eq!(event().fingerprint(3, 7), 8_443_605_193_669_256_009);
        assert_eq!(bare.fingerprint(3, 7), 856_745_673_504_603_696);
        assert_eq!(event().order_fingerprint(), Some(4_309_528_396_637_968_591));
    }

    #[test]
    fn an_event_id_is_the_whole_identity() {
        let named = Event { event_id: Some("e1".into()), ..event() };
        let moved = Event { occurred_at_ms: 0, order_id: None, ..named.clone() };
        assert_eq!(named.fingerprint(0, 1), moved.fingerprint(5, 2));
    }

    #[test]
    fn without_an_event_id_each_figure_of_the_order_counts_and_the_place_does_not() {
        let base = event();
        assert_eq!(base.fingerprint(0, 1), base.fingerprint(5, 2));
        let currency = Currency::parse("USD").unwrap();
        let mut seen = vec![base.fingerprint(0, 1)];
        for other in [
            Event { occurred_at_ms: 0, ..base.clone() },
            Event { order_id: Some("o2".into()), ..base.clone() },
            Event { body: Body::OrderCompleted(Amount { minor: 1234, currency }), ..base.clone() },
            Event { body: Body::OrderRefunded(Amount { minor: 1234, currency }), ..base.clone() },
            Event { body: Body::OrderCompleted(Amount { minor: 1235, currency }), ..base.clone() },
            Event { body: Body::OrderCancelled, ..base.clone() },
            Event { body: Body::UsageRecorded { thousandths: 1 }, ..base.clone() },
            Event { body: Body::UsageRecorded { thousandths: 2 }, ..base.clone() },
        ] {
            let fingerprint = other.fingerprint(0, 1);
            assert!(!seen.contains(&fingerprint), "{other:?}");
            seen.push(fingerprint);
        }
    }

    #[test]
    fn without_any_id_the_place_is_the_identity() {
        let bare = Event { order_id: None, ..event() };
        assert_eq!(bare.fingerprint(3, 7), bare.fingerprint(3, 7));
        assert_ne!(bare.fingerprint(3, 7), bare.fingerprint(3, 8));
        assert_ne!(bare.fingerprint(3, 7), bare.fingerprint(4, 7));
        assert_eq!(bare.order_fingerprint(), None);
    }
}

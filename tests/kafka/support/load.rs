//! What a shop sends: the purchases of the CDNOW sample as events, some of them twice, and records
//! that nobody can use. The same seed makes the same load. It knows nothing of who processes it.

use std::collections::BTreeMap;

use super::topics::Outgoing;

/// One event in so many is sent a second time.
const EVENTS_PER_DUPLICATE: u64 = 20;
/// Records of each kind of poison.
const N_POISON_OF_A_KIND: usize = 6;

/// So many that each of four partitions has some.
const N_OVERSIZE: usize = 24;

/// The order in which the events are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By `occurred_at`.
    Time,
    /// Any: the whole history shuffled.
    Shuffled,
}

/// A record's key and value.
pub(crate) type Content = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Everything that is sent, and what should become of it.
#[derive(Debug)]
pub(crate) struct Load {
    /// In the order of sending.
    pub(crate) stream: Vec<Outgoing>,
    /// Each event once, in order of time.
    pub(crate) events: Vec<Vec<u8>>,
    /// The reason for which each record that is no event must be refused. No two are alike.
    pub(crate) poison: BTreeMap<Content, &'static str>,
}

impl Load {
    pub(crate) fn new(order: Order, seed: u64) -> Load {
        let mut dice = Dice::new(seed);
        let mut events = events();
        events.sort_by(|a, b| a.0.cmp(&b.0));
        let sorted: Vec<Vec<u8>> =
            events.iter().map(|(_, record)| record.payload.clone().unwrap()).collect();
        let mut sent: Vec<Outgoing> = events.into_iter().map(|(_, record)| record).collect();
        if order == Order::Shuffled {
            for i in (1..sent.len()).rev() {
                sent.swap(i, dice.index(i + 1));
            }
        }
        let n_sent = sent.len();
        let mut placed: Vec<(usize, Outgoing)> = Vec::new();
        for (place, record) in sent.into_iter().enumerate() {
            if dice.below(EVENTS_PER_DUPLICATE) == 0 {
                placed.push((place + 1 + dice.index(n_sent - place), record.clone()));
            }
            placed.push((place, record));
        }
        let mut reasons = BTreeMap::new();
        for (record, reason) in poison() {
            reasons.insert((record.key.clone(), record.payload.clone()), reason);
            placed.push((dice.index(n_sent), record));
        }
        placed.sort_by_key(|(place, _)| *place);
        let stream = placed.into_iter().map(|(_, record)| record).collect();
        Load { stream, events: sorted, poison: reasons }
    }
}

impl Load {
    /// Has these come before all else, with the reasons for which they must be refused.
    pub(crate) fn put_before(&mut self, poison: Vec<(Outgoing, &'static str)>) {
        let contents =
            poison.iter().map(|(it, reason)| ((it.key.clone(), it.payload.clone()), *reason));
        self.poison.extend(contents);
        self.stream.splice(0..0, poison.into_iter().map(|(record, _)| record));
    }

    /// Records that no compression makes smaller, for many keys, which are long too.
    pub(crate) fn oversize(
        seed: u64,
        payload_bytes: usize,
        key_bytes: usize,
    ) -> Vec<(Outgoing, &'static str)> {
        let mut dice = Dice::new(seed);
        let mut text = |n_bytes: usize| -> String {
            (0..n_bytes).map(|_| char::from(b'!' + u8::try_from(dice.below(94)).unwrap())).collect()
        };
        let mut poison: Vec<_> = (0..N_OVERSIZE)
            .map(|_| (record(Some(&text(128)), Some(text(payload_bytes))), "not_json"))
            .collect();
        poison.push((
            record(Some(&text(key_bytes)), Some(text(payload_bytes - key_bytes))),
            "not_json",
        ));
        poison
    }
}

/// The events with their times, as a string that sorts like the time.
fn events() -> Vec<(String, Outgoing)> {
    let rows = include_str!("../../data/cdnow_sample.csv").lines().skip(1);
    let event = |(row, line): (usize, &str)| {
        let [customer, _, date, _, amount] =
            line.split(',').collect::<Vec<_>>().try_into().expect("a row has five columns");
        // Any time of the day will do, as long as it is the same every time.
        let (hour, minute) = (row * 7 % 24, row * 11 % 60);
        let at = format!("{date}T{hour:02}:{minute:02}:00Z");
        let payload = format!(
            r#"{{"type":"order.completed","event_id":"e{row}","order_id":"o{row}","customer_id":"{customer}","occurred_at":"{at}","amount":"{amount}"}}"#
        );
        (at, record(Some(customer), Some(payload)))
    };
    rows.enumerate().map(event).collect()
}

/// Records that must be refused, and why. All but one name a customer who exists.
fn poison() -> Vec<(Outgoing, &'static str)> {
    let order = |n: usize, fields: &str| {
        format!(
            r#"{{"type":"order.completed","event_id":"p{n}","customer_id":"00004","occurred_at":"1998-01-01T00:00:00Z",{fields}}}"#
        )
    };
    let kinds = |n: usize| {
        let of_customer = |payload: String| record(Some("00004"), Some(payload));
        let amount = r#""amount":"1.00""#;
        [
            (of_customer(format!("{{\"n\":{n},")), "not_json"),
            (record(Some(&format!("erase {n}")), None), "not_json"),
            (of_customer(order(n, r#""currency":"USD""#)), "missing_field"),
            (of_customer(order(n, amount).replace("completed", "imagined")), "unknown_type"),
            (of_customer(order(n, r#""amount":"1.999""#)), "bad_value"),
            (of_customer(order(n, r#""amount":"1.00","currency":"EUR""#)), "unknown_currency"),
            (record(Some("00018"), Some(order(n, amount))), "key_mismatch"),
            (record(None, Some(order(n, amount))), "key_mismatch"),
            (of_customer(order(n, amount).replace("1998", "2150")), "future"),
        ]
    };
    (0..N_POISON_OF_A_KIND).flat_map(kinds).collect()
}

fn record(key: Option<&str>, payload: Option<String>) -> Outgoing {
    Outgoing {
        key: key.map(|key| key.as_bytes().to_vec()),
        payload: payload.map(String::into_bytes),
        timestamp_ms: None,
    }
}

/// Numbers that look random and follow from the seed (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }
}

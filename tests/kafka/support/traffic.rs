//! A shop that never closes: events at a steady rate from a thread of its own, with hours of
//! silence if wanted, until it is told to end. Customers come, buy for a while and stay away, so
//! that signals of every kind arise all the time. It knows nothing of who processes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::load::Dice;
use super::pause;
use super::topics::{Feed, Outgoing};

/// From one send to the next; each waits until the broker has its records.
const SLICE: Duration = Duration::from_millis(50);
/// What is sent at once after a broker kept it waiting: so much of a second's events.
const CATCH_UP_S: u64 = 1;
/// How long a customer is there, at any rate of events.
const STAY_S: u64 = 12;
/// What a customer does before they stay away.
const EVENTS_EACH: u64 = 60;
/// Stream time between two events of a customer: five days.
const GAP_MS: i64 = 5 * 86_400_000;
/// 1905-01-01T00:00:00Z, in milliseconds: there is a century of stream time.
const START_MS: i64 = -2_051_222_400_000;

/// How a shop sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) events_per_s: u64,
    /// After so long there is silence, for as long as the second says.
    pub(crate) silence: Option<(Duration, Duration)>,
}

/// The thread that sends.
#[derive(Debug)]
pub(crate) struct Traffic {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Traffic {
    pub(crate) fn start(feed: Feed, seed: u64, pace: Pace) -> Traffic {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || run(&feed, seed, pace, &over));
        Traffic { is_over, thread }
    }

    /// Ends it; the number of records that were sent.
    pub(crate) fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("what the thread asserts holds")
    }
}

fn run(feed: &Feed, seed: u64, pace: Pace, is_over: &AtomicBool) -> u64 {
    let mut shop = Shop::new(seed, pace.events_per_s);
    // Time that was silent does not count, and what a broker held up is made up for.
    let (mut began, mut opened) = (Instant::now(), Instant::now());
    while !is_over.load(Ordering::Relaxed) {
        let due = began.elapsed().as_millis() * u128::from(pace.events_per_s) / 1_000;
        let due = u64::try_from(due).unwrap().saturating_sub(shop.n);
        let sent = Instant::now();
        feed.send((0..due.min(pace.events_per_s * CATCH_UP_S)).map(|_| shop.record()));
        if let Some((_, length)) = pace.silence.filter(|(after, _)| opened.elapsed() > *after) {
            pause(length);
            began += length;
            opened = Instant::now();
        }
        pause(SLICE.saturating_sub(sent.elapsed()));
    }
    shop.n
}

struct Shop {
    dice: Dice,
    /// Records made.
    n: u64,
    n_present: u64,
}

impl Shop {
    fn new(seed: u64, events_per_s: u64) -> Shop {
        let n_present = events_per_s * STAY_S / EVENTS_EACH;
        Shop { dice: Dice::new(seed), n: 0, n_present }
    }

    /// Mostly an order, of one of the customers who are there by now.
    fn record(&mut self) -> Outgoing {
        let (n, n_gone) = (self.n, self.n / EVENTS_EACH);
        self.n += 1;
        let number = n_gone + self.dice.below(self.n_present);
        let customer = format!("c{number:07}");
        let at_ms = self.at_ms(n);
        let payload = match self.dice.below(100) {
            0 => format!("poison {n}"),
            1..=3 => other("order.refunded", n, &customer, at_ms, r#","amount":"5.00""#),
            4 | 5 => other("cart.abandoned", n, &customer, at_ms, ""),
            // From when the customer came, and after the first time a duplicate.
            6 | 7 => {
                let came = number.saturating_sub(self.n_present) * EVENTS_EACH;
                order("first", &customer, self.at_ms(came), 900)
            }
            _ => {
                // Of some customers baskets shrink while they are there.
                let shrinking =
                    if number.is_multiple_of(3) { 1 + (number - n_gone) / 100 } else { 4 };
                let cents = 1_000 + self.dice.below(1_000) * shrinking;
                order(&n.to_string(), &customer, at_ms, cents)
            }
        };
        let (key, payload) = (Some(customer.into()), Some(payload.into_bytes()));
        Outgoing { key, payload, timestamp_ms: Some(at_ms) }
    }

    fn at_ms(&self, n: u64) -> i64 {
        let gaps = i64::try_from(n).unwrap() * GAP_MS;
        START_MS + gaps / i64::try_from(self.n_present).unwrap()
    }
}

fn order(id: &str, customer: &str, at_ms: i64, cents: u64) -> String {
    format!(
        r#"{{"type":"order.completed","event_id":"{id}","order_id":"{id}","customer_id":"{customer}","occurred_at":{at_ms},"amount":"{}.{:02}"}}"#,
        cents / 100,
        cents % 100
    )
}

fn other(kind: &str, n: u64, customer: &str, at_ms: i64, more: &str) -> String {
    format!(
        r#"{{"type":"{kind}","event_id":"{n}","customer_id":"{customer}","occurred_at":{at_ms}{more}}}"#
    )
}

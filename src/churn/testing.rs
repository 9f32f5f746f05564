//! What the tests of this module share: rules, and customers made of events.

use std::sync::Arc;

use crate::calendar::{Calendar, Day};
use crate::clv::{Model, RatePrior, SEASON_PARTS, Season};
use crate::customer::{Customer, Windows};
use crate::event::{Body, Event, Intake};
use crate::money::{Amount, Currency, Rates};

use super::{Occasion, Raised, Rules, Settings, Standing, Tier, Tiers, Verdict, Worth, judge};

/// Milliseconds in a day of UTC.
pub(crate) const DAY_MS: i64 = 86_400_000;

pub(crate) fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// The defaults of the configuration.
pub(crate) fn settings() -> Settings {
    Settings {
        at_risk_silence_tail: 0.1,
        lapse_p_alive: 0.5,
        lapse_silence_tail: 0.02,
        lapse_days_single: 180,
        lapse_days_min: 14,
        cooldown_days: 30,
        prior: RatePrior { r: 2.0, alpha_weeks: 8.0 },
        false_alarms_per_customer_year: 0.25,
        usage_false_alarms_per_customer_year: 0.25,
        signals_from_ms: None,
        score_drift_max: 0.1,
    }
}

/// Three tiers from 0, 200 and 10,000 major units.
pub(crate) fn tiers() -> Tiers {
    let tier = |name: &str, from_minor| Tier { name: name.to_owned(), from_minor };
    Tiers::new(vec![tier("bronze", 0), tier("silver", 20_000), tier("gold", 1_000_000)]).unwrap()
}

/// CDNOW's BG/NBD or MBG/NBD, with its Gamma-Gamma part.
pub(crate) fn model(name: &str, identifiable: bool) -> Model {
    let parameters = if name == "bg-nbd" {
        "r = 0.2425945\nalpha = 4.4136019\na = 0.7929221\nb = 2.4259072"
    } else {
        "r = 0.5248432\nalpha = 6.1830861\na = 0.8913592\nb = 1.6140021"
    };
    let text = format!(
        "schema = \"lifetide.model/1\"\nname = \"{name}\"\nversion = \"1\"\nunit = \"week\"\n\
         [parameters]\n{parameters}\n[spend]\np = 6.2495748\nq = 3.7442244\ngamma = 15.4435127\n\
         [evidence]\nidentifiable = {identifiable}\n"
    );
    Model::from_file(toml::from_str(&text).unwrap()).unwrap()
}

/// A third less in the first half of the year than on average, a third more in the second.
pub(crate) fn season() -> Season {
    let weight = |part: usize| if part < SEASON_PARTS / 2 { 2.0 / 3.0 } else { 4.0 / 3.0 };
    Season::new(&std::array::from_fn(weight)).unwrap()
}

/// Owns what rules refer to.
pub(super) struct Shop {
    pub(super) settings: Settings,
    pub(super) tiers: Tiers,
    pub(super) model: Option<Model>,
    pub(super) calendar: Calendar,
}

impl Shop {
    pub(super) fn new(model: Option<Model>) -> Self {
        Self { settings: settings(), tiers: tiers(), model, calendar: Calendar::utc() }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules::new(
            self.settings.clone(),
            self.tiers.clone(),
            self.model.clone().map(Arc::new),
            self.calendar.clone(),
            usd(),
        )
    }
}

/// Takes in one event of one order; the order's id is its number.
pub(super) fn apply(customer: &mut Customer, n_order: u64, at_ms: i64, body: Body) {
    let event = Event {
        customer_id: "c".into(),
        occurred_at_ms: at_ms,
        event_id: None,
        order_id: Some(n_order.to_string().into()),
        channel: None,
        body,
    };
    let intake = Intake { currency: usd(), rates: Rates::default(), future_skew_max_ms: None };
    let windows =
        Windows { refund_days: 180, lateness_days: 30, dedup_events: 0, erasure_memory_days: 365 };
    let fingerprint = n_order << 32 | u64::from(matches!(event.body, Body::OrderCompleted(_)));
    customer.apply(&event, fingerprint, &intake, &Calendar::utc(), &windows);
}

/// An order completed.
pub(super) fn completed(minor: i64) -> Body {
    Body::OrderCompleted(Amount { minor, currency: usd() })
}

/// A customer with one order on each of these days, judged by nobody.
pub(super) fn customer(orders: &[(i32, i64)]) -> Customer {
    let mut customer = Customer::default();
    for (n_order, (day, minor)) in (0..).zip(orders) {
        apply(&mut customer, n_order, i64::from(*day) * DAY_MS, completed(*minor));
    }
    customer
}

/// A day of the tests.
pub(super) fn day(number: i32) -> Day {
    Day(number)
}

/// One customer in operation: events in the order given, timers on the day they fall due.
pub(super) struct Run {
    pub(super) shop: Shop,
    pub(super) customer: Customer,
    pub(super) worth: Worth,
    pub(super) raised: Vec<Raised>,
    pub(super) due: Option<Day>,
    stream_ms: i64,
    n_orders: u64,
}

impl Run {
    pub(super) fn new(shop: Shop) -> Self {
        Self {
            shop,
            customer: Customer::default(),
            worth: Worth::default(),
            raised: Vec::new(),
            due: None,
            stream_ms: 0,
            n_orders: 0,
        }
    }

    /// An order at noon, also of a day that is past; its number.
    pub(super) fn order(&mut self, day: i32, minor: i64) -> u64 {
        let at_ms = noon_ms(day);
        self.n_orders += 1;
        let (n_order, occasion) = (self.n_orders, Occasion::Purchase { at_ms });
        self.event(day, n_order, completed(minor), occasion);
        n_order
    }

    /// One order on each of these days.
    pub(super) fn orders(&mut self, days: impl IntoIterator<Item = i32>, minor: i64) {
        for day in days {
            self.order(day, minor);
        }
    }

    /// The order is cancelled at noon.
    pub(super) fn cancel(&mut self, day: i32, n_order: u64) {
        let occasion = Occasion::Other { at_ms: noon_ms(day) };
        self.event(day, n_order, Body::OrderCancelled, occasion);
    }

    /// Use of so many units at noon.
    pub(super) fn used(&mut self, day: i32, units: u32) {
        let thousandths = u64::from(units) * 1000;
        self.other(day, Body::UsageRecorded { thousandths });
    }

    /// Something that is no order happens at noon.
    pub(super) fn other(&mut self, day: i32, body: Body) {
        self.n_orders += 1;
        self.event(day, self.n_orders, body, Occasion::Other { at_ms: noon_ms(day) });
    }

    /// Nothing happens but the timers up to and including this day.
    pub(super) fn silent_until(&mut self, day: i32) {
        while let Some(due) = self.due.filter(|due| due.0 <= day) {
            let due_ms = i64::from(due.0) * DAY_MS;
            self.stream_ms = self.stream_ms.max(due_ms);
            let before = Standing::of(&self.customer);
            self.judge(&before, Occasion::Timer { due_ms });
        }
    }

    fn event(&mut self, day: i32, n_order: u64, body: Body, occasion: Occasion) {
        self.silent_until(day);
        let at_ms = noon_ms(day);
        self.stream_ms = self.stream_ms.max(at_ms);
        let before = Standing::of(&self.customer);
        apply(&mut self.customer, n_order, at_ms, body);
        self.judge(&before, occasion);
    }

    fn judge(&mut self, before: &Standing, occasion: Occasion) {
        let (rules, worth) = (self.shop.rules(), self.worth);
        let Verdict { raised, due, .. } =
            judge(&mut self.customer, before, occasion, self.stream_ms, &rules, |_, _| worth);
        let today = rules.calendar.day(self.stream_ms);
        assert!(due.is_none_or(|due| due > today), "the next timer is later than today");
        self.due = due;
        self.raised.extend(raised);
    }

    /// The signals so far: hour of raising, kind, driver, from and to.
    pub(super) fn log(&self) -> Vec<String> {
        let line = |raised: &Raised| {
            let driver = raised.driver.map_or("-", |driver| driver.as_str());
            let (day, hour) =
                (raised.raised_at_ms / DAY_MS, raised.raised_at_ms % DAY_MS / 3_600_000);
            let kind = raised.kind.as_str();
            format!("{day}+{hour}h {kind} {driver} {}>{}", raised.from, raised.to)
        };
        self.raised.iter().map(line).collect()
    }
}

/// Noon of a day of the tests.
pub(super) fn noon_ms(day: i32) -> i64 {
    i64::from(day) * DAY_MS + DAY_MS / 2
}

/// Seeded random numbers (`SplitMix64`: Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number from 0 to below `end`; 0 where there is none.
    pub(crate) fn below(&mut self, end: i32) -> i32 {
        let end = u64::try_from(end.max(1)).unwrap();
        i32::try_from(self.next() % end).unwrap()
    }

    /// Evenly from 0 to 1, neither included.
    pub(super) fn unit(&mut self) -> f64 {
        (f64::from(u32::try_from(self.next() >> 32).unwrap()) + 0.5) / 4_294_967_296.0
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Gamma with this shape, at least 1, and mean 1 (Marsaglia and Tsang 2000).
    pub(super) fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = 1.0 + x / libm::sqrt(9.0 * d);
            let cube = v * v * v;
            if v > 0.0 && libm::log(self.unit()) < x * x / 2.0 + d * (1.0 - cube + libm::log(cube))
            {
                return d * cube / shape;
            }
        }
    }
}

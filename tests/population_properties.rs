//! Whatever happens to customers, what is attributed to the drivers adds up to the change of the
//! population's value at every step, and the sum that is kept is what a recount from the bytes of
//! their states gives. `LIFETIDE_PROPERTY_CASES` runs more histories.

#![expect(clippy::unwrap_used, reason = "a test file; the lint spares marked functions only")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lifetide::calendar::Day;
use lifetide::churn::{Cause, Lifecycle};
use lifetide::clv::{Forecaster, Model, ModelFile};
use lifetide::commands::load_config;
use lifetide::config::Purpose;
use lifetide::customer::{Customer, Source};
use lifetide::event::{Body, Event};
use lifetide::money::Amount;
use lifetide::pipeline::{Clock, Pipeline, Raise};
use lifetide::plan::Plan;
use lifetide::population::{Cell, Census, Changes, Share};
use lifetide::record::changelog::{decode, encode};
use lifetide::record::score::Score;
use proptest::collection::vec;
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;
const N_STEPS_MAX: usize = 60;
const TIERS: [(&str, i128); 3] = [("low", 0), ("medium", 10_000), ("high", 50_000)];

/// What happens next, some days later.
#[derive(Clone, Copy, Debug)]
enum Step {
    Event { customer: usize, what: What, late_days: i64 },
    Silence,
    Model(usize),
}

#[derive(Clone, Copy, Debug)]
enum What {
    Order { order: u8, minor: i64 },
    Unnamed { minor: i64 },
    Refund { order: u8, minor: i64 },
    Cancel { order: u8 },
    Cart,
    Erasure,
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let minor = || prop_oneof![Just(0), 1..9000i64, 1..200_000i64];
    let what = prop_oneof![
        8 => (0..6u8, minor()).prop_map(|(order, minor)| What::Order { order, minor }),
        6 => minor().prop_map(|minor| What::Unnamed { minor }),
        4 => (0..6u8, 1..9000i64).prop_map(|(order, minor)| What::Refund { order, minor }),
        2 => (0..6u8).prop_map(|order| What::Cancel { order }),
        1 => Just(What::Cart),
        1 => Just(What::Erasure),
    ];
    let late_days = prop_oneof![3 => Just(0), 1 => 0..29i64];
    let step = prop_oneof![
        20 => (0..3usize, what, late_days)
            .prop_map(|(customer, what, late_days)| Step::Event { customer, what, late_days }),
        2 => Just(Step::Silence),
        1 => (0..4usize).prop_map(Step::Model),
    ];
    let days = prop_oneof![2 => Just(0), 6 => 0..15i64, 1 => 0..400i64];
    vec((days, step), 1..N_STEPS_MAX)
}

fn model(name: &str) -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models").join(name);
    let file: ModelFile = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    Arc::new(Model::from_file(file).unwrap())
}

/// None, and one of each kind.
fn models() -> [Option<Arc<Model>>; 4] {
    let known = ["bg-nbd.toml", "mbg-nbd.toml", "pareto-nbd.toml"].map(model);
    let [bg, mbg, pareto] = known;
    [None, Some(bg), Some(mbg), Some(pareto)]
}

struct Shop {
    plan: Plan,
    models: [Option<Arc<Model>>; 4],
    pipeline: Pipeline,
    /// What is stored: bytes and timers.
    customers: BTreeMap<String, (Vec<u8>, Option<Day>)>,
    stream_ms: i64,
    n_events: i64,
    census: Census,
    changes: Changes,
}

impl Shop {
    fn new(models: &[Option<Arc<Model>>; 4]) -> Self {
        let config = load_config(None, &[], Purpose::Offline).unwrap();
        let mut plan = Plan::new(&config, None).unwrap();
        plan.model.clone_from(&models[2]);
        Self {
            pipeline: plan.pipeline(),
            plan,
            models: models.clone(),
            customers: BTreeMap::new(),
            stream_ms: 19_000 * DAY_MS,
            n_events: 0,
            census: Census::default(),
            changes: Changes::default(),
        }
    }

    fn play(&mut self, days: i64, step: Step) {
        self.stream_ms += days * DAY_MS + 1;
        self.fire();
        match step {
            Step::Silence => {}
            Step::Model(index) => {
                self.plan.model.clone_from(&self.models[index]);
                self.pipeline = self.plan.pipeline();
                let mut after = Census::default();
                for (value, due) in self.customers.values_mut() {
                    let rest = self.pipeline.rest(&decode(value).unwrap());
                    after.add(&rest.share.place);
                    *due = rest.due;
                }
                self.changes.merge(&self.census.remodelled(&after));
                self.census = after;
                self.check();
            }
            Step::Event { customer, what, late_days } => self.happen(customer, what, late_days),
        }
    }

    fn happen(&mut self, customer: usize, what: What, late_days: i64) {
        self.n_events += 1;
        let id = format!("c{customer}");
        let stored = self.customers.get(&id).map(|(value, _)| decode(value).unwrap());
        let before = stored.as_ref().map(|known| self.pipeline.rest(known).share);
        let currency = self.plan.rules.intake.currency;
        let (order, body) = match what {
            What::Order { order, minor } => {
                (Some(order), Body::OrderCompleted(Amount { minor, currency }))
            }
            What::Unnamed { minor } => (None, Body::OrderCompleted(Amount { minor, currency })),
            What::Refund { order, minor } => {
                (Some(order), Body::OrderRefunded(Amount { minor, currency }))
            }
            What::Cancel { order } => (Some(order), Body::OrderCancelled),
            What::Cart => (None, Body::CartAbandoned),
            What::Erasure => {
                self.customers.remove(&id);
                self.count(before.as_ref(), None);
                return self.check();
            }
        };
        let event = Event {
            customer_id: (&*id).into(),
            occurred_at_ms: self.stream_ms - late_days * DAY_MS,
            event_id: Some(self.n_events.to_string().into()),
            order_id: order.map(|order| format!("{id}-{order}").into()),
            channel: None,
            body,
        };
        let mut state = stored.unwrap_or_default();
        let source = Source { partition: 0, offset: self.n_events };
        let raise = self.pipeline.apply(&mut state, &event, source, self.stream_ms).unwrap();
        self.keep(&id, &state, before.as_ref(), &raise);
    }

    /// The timers that are due by stream time, earliest first.
    fn fire(&mut self) {
        let today = self.plan.rules.calendar.day(self.stream_ms);
        let due = |it: (&String, &(Vec<u8>, Option<Day>))| Some((it.1.1?, it.0.clone()));
        while let Some((day, id)) = self.customers.iter().filter_map(due).min()
            && day <= today
        {
            let mut state = decode(&self.customers[&id].0).unwrap();
            let before = self.pipeline.rest(&state).share;
            let due_ms = self.plan.rules.calendar.start_ms(day);
            let raise = self.pipeline.fire(&id, &mut state, due_ms, due_ms, Clock::Event);
            self.keep(&id, &state, Some(&before), &raise);
        }
    }

    fn keep(&mut self, id: &str, state: &Customer, before: Option<&Share>, raise: &Raise) {
        if let Some(before) = before {
            assert_eq!(raise.before, *before, "a step begins where the last one ended");
        }
        self.count(before, Some(&raise.after));
        self.customers.insert(id.to_owned(), (encode(state), raise.due));
        self.check();
    }

    fn count(&mut self, before: Option<&Share>, after: Option<&Share>) {
        self.census.replace(before, after);
        self.changes.take(before, after);
    }

    /// Everybody from the bytes of their states.
    fn check(&self) {
        let mut recount: BTreeMap<(usize, &str), Cell> = BTreeMap::new();
        for (id, (value, _)) in &self.customers {
            let state = decode(value).unwrap();
            let as_of_ms = state.path.as_of_ms;
            let json = self.pipeline.score(id, &state, as_of_ms, Cause::Time, None);
            let lifecycle = Score::read(&json).unwrap().segment.lifecycle;
            let lifecycle = Lifecycle::ALL.into_iter().find(|it| it.as_str() == lifecycle).unwrap();
            let net_minor = state.totals.net_revenue_minor();
            let tier = TIERS.iter().rposition(|tier| tier.1 <= net_minor).unwrap_or(0);
            let value_minor = if lifecycle == Lifecycle::Lapsed { 0 } else { self.value(&state) };
            let one = Cell { n_customers: 1, value_minor };
            recount.entry((tier, lifecycle.as_str())).or_default().add(&one, 1);
        }
        for (tier, (name, _)) in TIERS.iter().enumerate() {
            for lifecycle in Lifecycle::ALL {
                let expect = recount.remove(&(tier, lifecycle.as_str())).unwrap_or_default();
                assert_eq!(self.census.cell(tier, lifecycle), expect, "{name} {lifecycle:?}");
            }
        }
        assert_eq!(self.changes.net_minor(), self.census.total().value_minor);
    }

    /// The customer's predicted value in minor units.
    #[expect(clippy::cast_possible_truncation, reason = "values of these histories are small")]
    #[expect(clippy::cast_precision_loss, reason = "sums of these histories are small")]
    fn value(&self, state: &Customer) -> i128 {
        let today = self.plan.rules.calendar.day(state.path.as_of_ms);
        let Some((model, purchases)) = self.plan.model.as_ref().zip(state.ledger.purchases(today))
        else {
            return 0;
        };
        let orders = Forecaster::new(Arc::clone(model), self.plan.rules.horizon)
            .alive(purchases.x, purchases.t_days)
            .discounted_orders;
        let repeat_major = state.ledger.repeat_net_minor() as f64 / 100.0;
        let value = model.expected_value(purchases.x, repeat_major / f64::from(purchases.x));
        (value.unwrap() * orders * model.p_alive(&purchases) * 100.0).round() as i128
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A history is as much work as a hundred of the others' inputs.
        cases: std::env::var("LIFETIDE_PROPERTY_CASES")
            .map_or(60, |cases| cases.parse::<u32>().unwrap() / 100),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_drivers_add_up_to_the_change_of_the_population_at_every_step(steps in steps()) {
        let mut shop = Shop::new(&models());
        for (days, step) in steps {
            shop.play(days, step);
        }
    }
}

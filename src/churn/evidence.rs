//! Why a signal was raised: the figures behind it and one plain sentence. Decides nothing. Called
//! by `judge`.

use crate::customer::{Counters, Customer, Driver, SignalKind};
use crate::money::format_minor;

use super::channels::{BASELINE_LAG_DAYS, Channel, minor_as_f64};
use super::reading::Reading;
use super::settings::Rules;
use super::trend::Comparison;
use super::usage::{Fall, UsageChannel};

/// The figures behind a signal and what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Names and figures in a fixed order, only those that are known; amounts in major units, not
    /// rounded.
    pub figures: Vec<(&'static str, f64)>,
    /// One plain sentence, without a full stop.
    pub sentence: String,
}

impl Evidence {
    /// The evidence for a signal of this kind.
    pub(super) fn of(
        kind: SignalKind,
        driver: Option<Driver>,
        customer: &Customer,
        reading: &Reading,
        rules: &Rules,
    ) -> Self {
        let purchases = reading.purchases;
        let facts = Facts {
            comparison: Comparison::of(&customer.ledger, reading.today),
            usual_gap_days: (purchases.x > 0)
                .then(|| f64::from(purchases.t_x_days) / f64::from(purchases.x)),
            reading,
            customer,
            rules,
        };
        let sentence = match (kind, driver) {
            (SignalKind::HighValueReached, _) => reached(customer, rules),
            (SignalKind::Recovered, _) => facts.returned(),
            (SignalKind::UsageDecline, _) => facts.usage(),
            (SignalKind::SpendDecline, Some(Driver::Silence)) => facts.silent_decline(),
            (_, Some(Driver::Silence) | None) => facts.lapse(),
            (_, Some(Driver::Frequency)) => facts.frequency(),
            (_, Some(Driver::Basket)) => facts.basket(),
            (_, Some(Driver::Both)) => {
                let orders =
                    if reading.is_at_risk() { facts.silent_decline() } else { facts.frequency() };
                format!("{orders}; {}", facts.basket())
            }
        };
        let context = match kind {
            SignalKind::SpendDecline | SignalKind::UsageDecline => facts.context(),
            SignalKind::Lapse | SignalKind::Recovered | SignalKind::HighValueReached => None,
        };
        let sentence = context.map_or(sentence.clone(), |context| format!("{sentence}; {context}"));
        Self { figures: facts.figures(), sentence }
    }
}

struct Facts<'a> {
    comparison: Comparison,
    /// Mean days between purchase days up to the last; `None` after a single one.
    usual_gap_days: Option<f64>,
    reading: &'a Reading,
    customer: &'a Customer,
    rules: &'a Rules,
}

impl Facts<'_> {
    fn figures(&self) -> Vec<(&'static str, f64)> {
        let Reading { channels, purchases, .. } = self.reading;
        let major =
            |minor: Option<f64>| minor.map(|minor| minor / self.rules.currency.minor_per_major());
        let value = |channel: &Channel| channel.threshold.is_finite().then_some(channel.value);
        let threshold = |channel: &Channel| Some(channel.threshold).filter(|h| h.is_finite());
        let spending = [
            ("days_silent", Some(f64::from(self.reading.days_silent()))),
            ("usual_days_between_orders", self.usual_gap_days),
            ("silence_tail", Some(self.reading.silence_tail)),
            ("p_alive", self.reading.p_alive),
            ("purchase_days", Some(f64::from(purchases.x) + 1.0)),
            ("baseline_purchase_days", Some(f64::from(channels.n_baseline_days))),
            ("baseline_purchase_days_per_week", channels.rate_weekly),
            ("purchase_days_usual_56_days", self.comparison.n_days_usual),
            ("purchase_days_last_56_days", Some(f64::from(self.comparison.n_days_recent))),
            ("basket_usual", major(self.comparison.basket_usual_minor)),
            ("basket_last_56_days", major(self.comparison.basket_recent_minor)),
            ("orders_evidence", value(&channels.orders)),
            ("orders_threshold", threshold(&channels.orders)),
            ("basket_evidence", value(&channels.basket)),
            ("basket_threshold", threshold(&channels.basket)),
        ];
        let others = self.usage_figures().into_iter().chain(self.counted());
        let all = spending.into_iter().chain(others);
        all.filter_map(|(name, figure)| Some((name, figure?))).collect()
    }

    /// What of use is known where it has fallen.
    fn usage_figures(&self) -> [(&'static str, Option<f64>); 6] {
        let channel = self.reading.usage;
        let fall = channel.and_then(|channel| channel.fall);
        let of = |figure: fn(Fall) -> f64| fall.map(figure);
        let threshold = |channel: UsageChannel| channel.threshold;
        [
            ("usage_weekly_usual", of(|fall| fall.usual_thousandths / 1e3)),
            ("usage_weekly_recent", of(|fall| fall.recent_thousandths / 1e3)),
            ("usage_weeks_usual", of(|fall| f64::from(fall.n_usual))),
            ("usage_weeks_recent", of(|fall| f64::from(fall.n_recent))),
            ("usage_evidence", of(|fall| fall.evidence)),
            ("usage_threshold", channel.filter(|_| fall.is_some()).map(threshold)),
        ]
    }

    /// What was only counted, and when is not known.
    fn counted(&self) -> [(&'static str, Option<f64>); 2] {
        let Counters { n_carts_abandoned, n_support_contacts, .. } = self.customer.counters;
        let figure = |count: u64| (count > 0).then_some(minor_as_f64(count.into()));
        [
            ("carts_abandoned", figure(n_carts_abandoned)),
            ("support_contacts", figure(n_support_contacts)),
        ]
    }

    /// The same in words.
    fn context(&self) -> Option<String> {
        let Counters { n_carts_abandoned, n_support_contacts, .. } = self.customer.counters;
        let words = [
            counted(n_support_contacts, "support contact", "support contacts"),
            counted(n_carts_abandoned, "cart abandoned", "carts abandoned"),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| format!("{} on record", words.join(" and ")))
    }

    fn usage(&self) -> String {
        let Some(fall) = self.reading.usage.and_then(|usage| usage.fall) else {
            return "use fell".to_owned();
        };
        let (usual, weeks) = (units(fall.usual_thousandths), fall.n_recent);
        if fall.recent_thousandths > 0.0 {
            let recent = units(fall.recent_thousandths);
            format!("used {recent} a week in the last {weeks} weeks, usually {usual}")
        } else {
            format!("no use in the last {weeks} weeks, usually {usual} a week")
        }
    }

    /// A decline by silence: the silence alone would not say how much has gone.
    fn silent_decline(&self) -> String {
        format!("{}; {}", self.silence(), self.frequency())
    }

    /// A lapse: the silence, and the line that it crossed.
    fn lapse(&self) -> String {
        let (reading, settings) = (self.reading, &self.rules.settings);
        let p_alive = reading.p_alive.filter(|_| reading.history.lapses_by_p_alive(self.rules));
        match p_alive {
            Some(p_alive) => format!(
                "{}; still a customer with a chance of {:.0} %",
                self.usual(),
                100.0 * p_alive
            ),
            None if reading.purchases.x == 0 => format!(
                "{}; nobody counts as a customer {} after an only order",
                self.usual(),
                counted_days(f64::from(settings.lapse_days_single.max(settings.lapse_days_min)))
            ),
            None => self.silence(),
        }
    }

    /// How long the customer is silent, and what is usual.
    fn usual(&self) -> String {
        let days_silent = counted_days(f64::from(self.reading.days_silent()));
        self.usual_gap_days.map_or_else(
            || format!("ordered once, {days_silent} ago"),
            |gap_days| {
                format!("usually orders every {}, {days_silent} silent", counted_days(gap_days))
            },
        )
    }

    fn silence(&self) -> String {
        let usual = self.usual();
        match rarity(self.reading.silence_tail) {
            Some(rarity) => format!("{usual}; {rarity}"),
            None => usual,
        }
    }

    fn frequency(&self) -> String {
        let recent = purchase_days(self.comparison.n_days_recent);
        self.comparison.n_days_usual.map_or_else(
            || format!("{recent} in the last {BASELINE_LAG_DAYS} days"),
            |usual| format!("{recent} in the last {BASELINE_LAG_DAYS} days, usually {usual:.1}"),
        )
    }

    fn basket(&self) -> String {
        let Comparison { basket_recent_minor, basket_usual_minor, .. } = self.comparison;
        match (basket_recent_minor, basket_usual_minor) {
            (Some(recent), Some(usual)) => format!(
                "baskets average {} in the last {BASELINE_LAG_DAYS} days, usually {}",
                self.amount(recent),
                self.amount(usual)
            ),
            (_, Some(usual)) => format!("baskets fell, usually {}", self.amount(usual)),
            (_, None) => "baskets fell".to_owned(),
        }
    }

    fn returned(&self) -> String {
        format!("orders again: {}", self.frequency())
    }

    /// An estimate to the minor unit, with its currency.
    fn amount(&self, minor: f64) -> String {
        let currency = self.rules.currency;
        let decimals = currency.decimals() as usize;
        format!("{:.decimals$} {currency}", minor / currency.minor_per_major())
    }
}

/// Units of use with two digits, and all before the point.
fn units(thousandths: f64) -> String {
    let units = thousandths / 1e3;
    let decimals = if units >= 10.0 { 0 } else { usize::from(units < 1.0) + 1 };
    let digits = format!("{units:.decimals$}");
    let digits = match digits.split_once('.') {
        Some((whole, decimals)) if decimals.bytes().all(|digit| digit == b'0') => whole,
        Some(_) | None => &digits,
    };
    format!("{digits} {}", if digits == "1" { "unit" } else { "units" })
}

fn counted(count: u64, one: &str, many: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
}

/// How rare a silence is among the living, without a full stop; `None` where it is common.
pub fn rarity(silence_tail: f64) -> Option<String> {
    let one_in = 1.0 / silence_tail;
    if one_in >= 1e6 {
        Some("fewer than 1 in a million loyal customers are silent that long".to_owned())
    } else {
        (one_in >= 1.5).then(|| format!("1 in {one_in:.0} loyal customers are silent that long"))
    }
}

/// A number of days in words, at least one.
pub fn counted_days(count: f64) -> String {
    let rounded = count.round().max(1.0);
    if rounded < 1.5 { "1 day".to_owned() } else { format!("{rounded:.0} days") }
}

fn purchase_days(count: u32) -> String {
    if count == 1 { "1 purchase day".to_owned() } else { format!("{count} purchase days") }
}

fn reached(customer: &Customer, rules: &Rules) -> String {
    let net_minor = customer.totals.net_revenue_minor();
    let tier = rules.tiers.name(rules.tiers.of(net_minor));
    let net = format_minor(net_minor, rules.currency.decimals());
    format!("net revenue of {net} {} reached the tier `{tier}`", rules.currency)
}

#[cfg(test)]
mod tests {
    use super::units;
    use crate::churn::SignalKind;
    use crate::churn::testing::{Run, Shop, model};
    use crate::event::Body;

    fn sentences(run: &Run) -> Vec<&str> {
        run.raised.iter().map(|raised| raised.evidence.sentence.as_str()).collect()
    }

    fn run() -> Run {
        let mut shop = Shop::new(None);
        shop.settings.cooldown_days = 0;
        Run::new(shop)
    }

    #[test]
    fn the_sentence_says_what_a_person_would_check() {
        let mut stopped = run();
        stopped.orders((0..20).map(|week| week * 7), 4000);
        stopped.silent_until(250);
        stopped.orders((250..330).step_by(7), 4000);
        let mut smaller = run();
        smaller.orders((0..20).map(|week| week * 7), 4000);
        smaller.orders((140..165).step_by(7), 1000);
        let mut once = run();
        once.order(0, 1_100_000);
        once.silent_until(200);
        let all: Vec<&str> = [&stopped, &smaller, &once].into_iter().flat_map(sentences).collect();
        let expect = [
            "usually orders every 7 days, 39 days silent; \
             1 in 51 loyal customers are silent that long",
            "usually orders every 7 days, 87 days silent; \
             1 in 2840 loyal customers are silent that long; \
             0 purchase days in the last 56 days, usually 6.5",
            "orders again: 5 purchase days in the last 56 days, usually 4.8",
            "baskets average 25.00 USD in the last 56 days, usually 40.00 USD",
            "net revenue of 11000.00 USD reached the tier `gold`",
            "ordered once, 180 days ago; \
             nobody counts as a customer 180 days after an only order",
        ];
        assert_eq!(all, expect);
    }

    #[test]
    fn a_lapse_by_the_chance_of_being_alive_states_that_chance() {
        let mut run = Run::new(Shop::new(Some(model("bg-nbd", true))));
        run.orders((0..20).map(|week| week * 7), 4000);
        run.silent_until(250);
        let lapse = run.raised.iter().find(|raised| raised.kind == SignalKind::Lapse).unwrap();
        let figure = |name| lapse.evidence.figures.iter().find(|(n, _)| *n == name).unwrap().1;
        let expect = format!(
            "usually orders every 7 days, {:.0} days silent; \
             still a customer with a chance of {:.0} %",
            figure("days_silent"),
            100.0 * figure("p_alive")
        );
        assert_eq!(lapse.evidence.sentence, expect);
    }

    #[test]
    fn a_decline_of_use_states_both_weeks_and_what_was_counted() {
        for (left, expect) in [
            (3, "used 3 units a week in the last 2 weeks, usually 12 units"),
            (0, "no use in the last 2 weeks, usually 12 units a week"),
        ] {
            let mut run = run();
            run.order(0, 4000);
            run.other(1, Body::SupportContacted);
            (0..12).for_each(|week| run.used(week * 7 + 2, 12));
            (12..14).filter(|_| left > 0).for_each(|week| run.used(week * 7 + 2, left));
            run.other(110, Body::CartAbandoned);
            let raised = &run.raised[0];
            assert_eq!(raised.kind, SignalKind::UsageDecline);
            let sentence = &raised.evidence.sentence;
            assert_eq!(*sentence, format!("{expect}; 1 support contact on record"));
            let figure = |name| raised.evidence.figures.iter().find(|(n, _)| *n == name);
            assert_eq!(figure("usage_weekly_usual"), Some(&("usage_weekly_usual", 12.0)));
            assert_eq!(figure("support_contacts"), Some(&("support_contacts", 1.0)));
            assert_eq!(figure("carts_abandoned"), None);
            assert!(figure("usage_evidence").unwrap().1 >= figure("usage_threshold").unwrap().1);
        }
    }

    #[test]
    fn carts_and_questions_stand_beside_a_decline_of_spending_only() {
        let mut run = run();
        run.orders((0..20).map(|week| week * 7), 4000);
        (0..3).for_each(|_| run.other(134, Body::SupportContacted));
        (0..2).for_each(|_| run.other(135, Body::CartAbandoned));
        run.silent_until(250);
        let context = "; 3 support contacts and 2 carts abandoned on record";
        let with_context: Vec<bool> =
            sentences(&run).iter().map(|sentence| sentence.ends_with(context)).collect();
        assert_eq!(with_context, [false, true], "a lapse, then a decline");
    }

    #[test]
    fn units_have_two_digits_and_those_before_the_point() {
        for (thousandths, expect) in [
            (12_340.0, "12 units"),
            (3_333.3, "3.3 units"),
            (3_000.0, "3 units"),
            (1_000.0, "1 unit"),
            (250.0, "0.25 units"),
            (1_234_567.0, "1235 units"),
        ] {
            assert_eq!(units(thousandths), expect);
        }
    }

    #[test]
    fn figures_are_those_known_in_a_fixed_order_and_major_units() {
        let mut run = run();
        run.orders((0..20).map(|week| week * 7), 4000);
        run.silent_until(172);
        let figures = &run.raised[0].evidence.figures;
        let names: Vec<&str> = figures.iter().map(|(name, _)| *name).collect();
        assert_eq!(names[..3], ["days_silent", "usual_days_between_orders", "silence_tail"]);
        assert!(!names.contains(&"p_alive"));
        assert!(
            figures.contains(&("basket_usual", 40.0)) && figures.contains(&("days_silent", 39.0))
        );
    }
}

//! An explanation in two to four plain sentences. Every figure in them stands in the explanation or
//! in the score. Called by `explanation`.

use super::document::{Change, Explanation};
use crate::churn::{Lifecycle, counted_days, rarity};
use crate::pipeline::{Account, Pipeline};
use crate::record::wire::Estimate;

pub(super) fn of(
    pipeline: &Pipeline,
    account: &Account<'_>,
    explanation: &Explanation,
) -> Vec<String> {
    let said = Said { pipeline, account, explanation };
    let all = [Some(said.past()), said.lapse(), said.decline(), Some(said.worth())];
    all.into_iter().flatten().map(|sentence| format!("{sentence}.")).collect()
}

struct Said<'a> {
    pipeline: &'a Pipeline,
    account: &'a Account<'a>,
    explanation: &'a Explanation,
}

impl Said<'_> {
    fn past(&self) -> String {
        let Some(reading) = self.account.reading else {
            return "No order of theirs stands".to_owned();
        };
        let (n_days, days_silent) = (reading.purchases.x + 1, reading.days_silent());
        let silent = counted_days(f64::from(days_silent));
        let Some(gap_days) = self.explanation.inputs.usual_gap_days else {
            return match days_silent {
                0 => "Has bought on one day, the one of this answer".to_owned(),
                _ => format!("Has bought on one day, {silent} ago"),
            };
        };
        let gap = counted_days(gap_days.value());
        let bought = format!("Has bought on {n_days} days, usually every {gap}");
        match (days_silent, rarity(reading.silence_tail)) {
            (0, _) => format!("{bought}, the last time on the day of this answer"),
            (_, None) => format!("{bought}, and has been silent for {silent}"),
            (_, Some(rarity)) => format!("{bought}, and has been silent for {silent}; {rarity}"),
        }
    }

    fn lapse(&self) -> Option<String> {
        let (reading, lapse) = (self.account.reading?, self.explanation.lapse?);
        if reading.lifecycle == Lifecycle::Lapsed {
            let since = reading.deadlines.lapses_on?;
            let p_alive = reading.p_alive.filter(|_| lapse.line == "p_alive");
            return Some(match p_alive {
                Some(p_alive) => format!(
                    "Counts as lapsed since {since}: still a customer with a chance of {:.0} %",
                    100.0 * p_alive
                ),
                None => format!("Counts as lapsed since {since}"),
            });
        }
        let on = |what| self.ahead(what).map(|change| change.on.0);
        let lapsed = on("lapsed").map(|on| format!("as lapsed from {on}"));
        let at_risk = on("at_risk").map(|on| format!("as at risk from {on}"));
        let comes: Vec<String> = at_risk.into_iter().chain(lapsed).collect();
        let comes = comes.join(", ");
        let since = reading.deadlines.at_risk_on.filter(|_| reading.lifecycle == Lifecycle::AtRisk);
        Some(match (since, comes.is_empty()) {
            (Some(since), true) => format!("Counts as at risk since {since}"),
            (Some(since), false) => {
                format!("Counts as at risk since {since}, without a purchase {comes}")
            }
            (None, true) => "Silence alone never makes them count as lapsed".to_owned(),
            (None, false) => format!("Without a purchase they count {comes}"),
        })
    }

    fn decline(&self) -> Option<String> {
        let decline = self.explanation.decline?;
        let needed = decline.baseline_purchase_days_needed;
        let alarms =
            [("fewer orders", decline.orders.alarm), ("smaller baskets", decline.basket.alarm)];
        let fallen: Vec<String> = alarms
            .into_iter()
            .filter_map(|(what, alarm)| Some(format!("{what} since {}", alarm?.since.0)))
            .collect();
        let crosses_on = self.ahead("orders_alarm").map(|change| change.on.0);
        Some(if !fallen.is_empty() {
            format!("An alarm of decline stands: {}", fallen.join(" and "))
        } else if decline.orders.threshold.is_none() {
            let n_days = decline.orders.baseline_purchase_days;
            format!(
                "Too young a past to see a decline: {n_days} of {needed} purchase days by 56 days \
                 before the last"
            )
        } else if let Some(on) = crosses_on {
            format!("No alarm of decline stands; without a purchase one is raised on {on}")
        } else {
            "No alarm of decline stands".to_owned()
        })
    }

    fn worth(&self) -> String {
        let score = &self.account.score;
        let (historic, currency) = (score.clv.historic, &score.currency);
        let so_far = format!("Has brought {historic} {currency} so far");
        let Some(predicted) = self.explanation.pieces.predicted else {
            return so_far;
        };
        let (months, ahead) = (predicted.months, self.money(predicted.value));
        let after = self.explanation.purchase_today.as_ref();
        let after = after.and_then(|purchase| purchase.predicted.after);
        match after {
            Some(after) => format!(
                "{so_far} and is predicted to bring {ahead} in the next {months} months, or {} if \
                 they bought today",
                self.money(after)
            ),
            None => {
                format!("{so_far} and is predicted to bring {ahead} in the next {months} months")
            }
        }
    }

    fn ahead(&self, what: &str) -> Option<&Change> {
        self.explanation.ahead.iter().find(|change| change.what == what)
    }

    fn money(&self, major: Estimate) -> String {
        let currency = self.pipeline.rules().intake.currency;
        format!("{:.*} {currency}", currency.decimals() as usize, major.value())
    }
}

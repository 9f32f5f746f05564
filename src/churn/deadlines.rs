//! The days on which silence alone crosses a line, in closed form from the purchases so far. A day
//! once reached is the authority: nothing asks the formula again. Called by `reading`.

use crate::calendar::Day;
use crate::clv::{Memo, Model};
use crate::customer::Ledger;

use super::settings::Rules;

/// P(alive) below which a score is not published again for drift.
const DRIFT_P_ALIVE_MIN: f64 = 0.01;

/// The purchases so far, without the day of observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct History {
    pub(super) first: Day,
    pub(super) last: Day,
    /// Purchase days after the first.
    pub(super) x: u32,
    /// Days from the first purchase day to the last.
    pub(super) t_x_days: u32,
}

impl History {
    /// `None` without a purchase day.
    pub(super) fn of(ledger: &Ledger) -> Option<Self> {
        let (first, last) = (ledger.first_day()?, ledger.last_day()?);
        let t_x_days = u32::try_from(last.days_since(first)).unwrap_or(0);
        Some(Self { first, last, x: ledger.n_days().saturating_sub(1), t_x_days })
    }

    /// The day of an age that the models give.
    fn day_of_age(&self, t_days: u32) -> Day {
        self.first.plus(i32::try_from(t_days).unwrap_or(i32::MAX))
    }

    /// The model, where P(alive) tells of this customer.
    fn model_of_death<'a>(&self, rules: &'a Rules) -> Option<&'a Model> {
        let tells = |model: &&Model| {
            model.identifiable() && (self.x > 0 || !model.is_never_dead_without_repeat())
        };
        rules.model.as_deref().filter(tells)
    }

    /// Whether P(alive) draws the lapse line of this customer.
    pub(super) fn lapses_by_p_alive(&self, rules: &Rules) -> bool {
        self.lapse_line(rules) == LapseLine::PAlive
    }

    /// What draws the lapse line of this customer.
    pub(super) fn lapse_line(&self, rules: &Rules) -> LapseLine {
        if self.model_of_death(rules).is_some() {
            LapseLine::PAlive
        } else if self.x > 0 {
            LapseLine::SilenceTail
        } else {
            LapseLine::DaysSingle
        }
    }
}

/// What draws a customer's lapse line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LapseLine {
    /// P(alive), where the model can tell.
    PAlive,
    /// The silence tail, of who has bought again.
    SilenceTail,
    /// Days since the only purchase.
    DaysSingle,
}

impl LapseLine {
    /// As in an explanation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PAlive => "p_alive",
            Self::SilenceTail => "silence_tail",
            Self::DaysSingle => "days_single",
        }
    }
}

/// Ages in days at which silence alone changes the lifecycle: functions of x and recency, so that
/// they are kept in a table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ages {
    at_risk: Option<u32>,
    lapsed: Option<u32>,
}

/// 2^14 places of 24 bytes are 384 KiB. They hold every pair of 64 frequencies and 256 recencies at
/// once; rarer pairs take each other's places.
const TABLE_BITS: u32 = 14;

/// The days on which silence alone changes the lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// The first day on which a living customer would rarely be silent so long; `None` for never.
    pub at_risk_on: Option<Day>,
    /// The first day on which the customer counts as lapsed; `None` for never.
    pub lapses_on: Option<Day>,
}

/// The deadlines of a customer who stays silent from here on.
pub(super) fn deadlines(history: &History, rules: &Rules) -> Deadlines {
    let known = rules.ages.borrow().get(history.x, history.t_x_days);
    let ages = known.unwrap_or_else(|| {
        let ages = Ages::of(history, rules);
        rules.ages.borrow_mut().put(history.x, history.t_x_days, ages);
        ages
    });
    let not_before = history.last.plus(rules.settings.lapse_days_min);
    Deadlines {
        at_risk_on: ages.at_risk.map(|age| history.day_of_age(age)),
        lapses_on: ages.lapsed.map(|age| history.day_of_age(age).max(not_before)),
    }
}

impl Ages {
    /// An empty table of ages.
    pub(super) fn table() -> Memo<Self> {
        Memo::new(TABLE_BITS)
    }

    fn of(history: &History, rules: &Rules) -> Self {
        let History { x, t_x_days, .. } = *history;
        let (settings, prior) = (&rules.settings, rules.prior());
        let at_risk = prior.silence_tail_falls_to(x, t_x_days, settings.at_risk_silence_tail);
        let lapsed = match history.lapse_line(rules) {
            LapseLine::PAlive => history
                .model_of_death(rules)
                .and_then(|model| model.p_alive_falls_to(x, t_x_days, settings.lapse_p_alive)),
            LapseLine::SilenceTail => {
                prior.silence_tail_falls_to(x, t_x_days, settings.lapse_silence_tail)
            }
            LapseLine::DaysSingle => u32::try_from(settings.lapse_days_single)
                .ok()
                .map(|days| t_x_days.saturating_add(days)),
        };
        Self { at_risk, lapsed }
    }
}

/// The first day on which silence has moved P(alive) down from this value by as much as the
/// published score may be off; `None` without a model, or where it no longer matters.
pub(super) fn drifts_on(history: &History, p_alive: f64, rules: &Rules) -> Option<Day> {
    let target = p_alive - rules.settings.score_drift_max;
    if target < DRIFT_P_ALIVE_MIN {
        return None;
    }
    let age = rules.model.as_ref()?.p_alive_falls_to(history.x, history.t_x_days, target)?;
    Some(history.day_of_age(age))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::{Shop, day, model};

    fn shop(name: &str) -> Shop {
        Shop::new(match name {
            "none" => None,
            "unidentifiable" => Some(model("bg-nbd", false)),
            _ => Some(model(name, true)),
        })
    }

    fn history(x: u32, t_x_days: u32) -> History {
        let last = day(1000).plus(i32::try_from(t_x_days).unwrap());
        History { first: day(1000), last, x, t_x_days }
    }

    /// Days of silence to the lapse, against the weeks published for CDNOW where there is a model.
    fn check(name: &str, x: u32, t_x_days: u32, expect: Option<i32>) {
        let (shop, history) = (shop(name), history(x, t_x_days));
        let lapses_on = deadlines(&history, &shop.rules()).lapses_on;
        let silent = lapses_on.map(|on| on.days_since(history.last));
        assert_eq!(silent, expect, "{name} {x} {t_x_days}");
    }

    #[test]
    fn the_lapse_line_is_drawn_by_what_can_tell() {
        check("bg-nbd", 1, 12, Some(63));
        check("bg-nbd", 26, 216, Some(36));
        check("bg-nbd", 0, 0, Some(180));
        check("mbg-nbd", 0, 0, Some(91));
        check("mbg-nbd", 2, 213, Some(190));
        check("unidentifiable", 0, 0, Some(180));
        check("unidentifiable", 2, 70, Some(477));
        check("none", 0, 0, Some(180));
        check("none", 19, 133, Some(39));
        check("none", 400, 400, Some(14));
    }

    #[test]
    fn one_purchase_is_never_at_risk_where_the_population_buys_rarely() {
        let shop = shop("bg-nbd");
        assert_eq!(deadlines(&history(0, 0), &shop.rules()).at_risk_on, None);
    }

    /// On the day of drift P(alive) has fallen by 0.1 for the first time.
    #[test]
    fn drift_is_the_first_day_on_which_the_published_chance_is_off() {
        let shop = shop("mbg-nbd");
        let (rules, history) = (shop.rules(), history(5, 70));
        let p_alive = |t_days| {
            let purchases = crate::clv::Purchases { x: 5, t_x_days: 70, t_days };
            rules.model.as_ref().unwrap().p_alive(&purchases)
        };
        let on = drifts_on(&history, p_alive(70), &rules).unwrap();
        let age = u32::try_from(on.days_since(history.first)).unwrap();
        assert!(p_alive(age) <= p_alive(70) - 0.1 && p_alive(age - 1) > p_alive(70) - 0.1);
        assert_eq!(drifts_on(&history, 0.105, &rules), None);
        assert!(drifts_on(&history, 0.115, &rules).is_some());
    }
}

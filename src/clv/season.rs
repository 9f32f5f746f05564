//! The season index: how much more or less the customers of a shop buy in each seventh day of the
//! year than over the whole year, and season-weighted time made of it. Knows no customer. Read from
//! the model file by `model`; used by `churn`.

use crate::calendar::Day;

/// The parts of a year: seven days each by the day of the year, the last one to the year's end.
pub const SEASON_PARTS: usize = 52;

/// Years of silence beyond which nobody asks on which day a season-weighted span ends.
const SPAN_DAYS_MAX: i32 = 200 * 366;

/// Weights of the days of a year, by parts of it; their mean is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Season {
    index: [f64; SEASON_PARTS],
    /// Season-weighted days from the beginning of a year to the beginning of each part.
    before: [f64; SEASON_PARTS],
    /// The smallest weight, by which no span can be longer.
    least: f64,
}

impl Season {
    /// A season of these weights, scaled so that their mean is 1; `None` where one is not above 0.
    pub fn new(index: &[f64; SEASON_PARTS]) -> Option<Self> {
        let mean = index.iter().sum::<f64>() / 52.0;
        let index = index.map(|weight| weight / mean);
        let least = index.iter().copied().fold(f64::INFINITY, f64::min);
        if !(least > 0.0 && index.iter().all(|weight| weight.is_finite())) {
            return None;
        }
        let mut before = [0.0; SEASON_PARTS];
        for part in 1..SEASON_PARTS {
            before[part] = before[part - 1] + 7.0 * index[part - 1];
        }
        Some(Self { index, before, least })
    }

    /// The weight of a day.
    pub fn weight(&self, day: Day) -> f64 {
        self.index[part(day)]
    }

    /// Season-weighted days from one day to a later one; negative where it is earlier.
    pub fn days_between(&self, from: Day, to: Day) -> f64 {
        self.days_until(to) - self.days_until(from)
    }

    /// The first day, not before `from`, from which `weighted_days` have passed since `from`.
    pub fn day_after(&self, from: Day, weighted_days: f64) -> Day {
        let is_reached =
            |days: i32| self.days_between(from, from.plus(days)) >= weighted_days || days < 0;
        let (mut before, mut after) = (-1, whole_days(weighted_days / self.least));
        if after >= SPAN_DAYS_MAX {
            return from.plus(after);
        }
        // The weights' sums are rounded, so that the bound may be a day short.
        after += 1;
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if middle >= 0 && is_reached(middle) { after = middle } else { before = middle }
        }
        from.plus(after)
    }

    /// Season-weighted days from 1970-01-01: whole years, whole parts and the rest.
    fn days_until(&self, day: Day) -> f64 {
        let date = day.date();
        let years = i32::from(date.year()) - 1970;
        let leap_days = leap_days_before(i32::from(date.year())) - leap_days_before(1970);
        let last = self.index[SEASON_PARTS - 1];
        let year_days = self.before[SEASON_PARTS - 1] + 8.0 * last;
        let part = part(day);
        let day_of_part = f64::from(date.day_of_year() - 1) - 7.0 * f64::from(count(part));
        f64::from(years) * year_days
            + f64::from(leap_days) * last
            + self.before[part]
            + day_of_part * self.index[part]
    }
}

/// The part of the year in which a day lies, from 0.
pub fn part(day: Day) -> usize {
    let part = (day.date().day_of_year() - 1) / 7;
    usize::try_from(part).unwrap_or(0).min(SEASON_PARTS - 1)
}

/// The 29ths of February before a year, counted from a year far back.
fn leap_days_before(year: i32) -> i32 {
    let last = year - 1;
    last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
}

fn count(part: usize) -> u32 {
    u32::try_from(part).unwrap_or(0)
}

/// Whole days, rounded up, none below 0; held at the ends of what can be counted.
#[expect(clippy::cast_possible_truncation, reason = "the cast holds at the ends, as is meant")]
pub fn whole_days(days: f64) -> i32 {
    days.ceil().max(0.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn season() -> Season {
        let mut index = [0.0; SEASON_PARTS];
        for (part, weight) in (0..).zip(&mut index) {
            *weight = 1.0 + 0.4 * libm::sin(f64::from(part) / 52.0 * std::f64::consts::TAU);
        }
        Season::new(&index).unwrap()
    }

    #[test]
    fn weighted_days_are_the_sum_of_the_weights_of_the_days() {
        let season = season();
        for from in [-40_000, -365, -1, 0, 58, 59, 364, 365, 789, 20_000] {
            let (mut sum, mut day) = (0.0, Day(from));
            for span in 0..1500 {
                let between = season.days_between(Day(from), day);
                assert!((between - sum).abs() < 1e-7, "{from} {span}: {between} {sum}");
                sum += season.weight(day);
                day = day.plus(1);
            }
        }
    }

    #[test]
    fn the_last_part_holds_the_rest_of_the_year() {
        let day = |text: &str| Day::from_date(text.parse().unwrap());
        for (text, expect) in [
            ("2024-01-01", 0),
            ("2024-01-07", 0),
            ("2024-01-08", 1),
            ("2024-12-23", 51),
            ("2024-12-31", 51),
            ("2023-12-31", 51),
        ] {
            assert_eq!(part(day(text)), expect, "{text}");
        }
    }

    #[test]
    fn a_weighted_span_ends_on_the_first_day_that_reaches_it() {
        let season = season();
        for from in (0..3000).step_by(37).map(Day) {
            for tenths in [0, 1, 9, 70, 333, 2_000, 9_999] {
                let span = f64::from(tenths) / 10.0;
                let on = season.day_after(from, span);
                assert!(season.days_between(from, on) >= span && on >= from);
                assert!(on == from || season.days_between(from, on.plus(-1)) < span);
            }
        }
        assert!(season.day_after(Day(0), 1e12) > Day(SPAN_DAYS_MAX));
        assert_eq!(season.day_after(Day(5), -1.0), Day(5));
    }

    #[test]
    fn weights_are_scaled_to_a_mean_of_1_and_none_is_0() {
        let flat = Season::new(&[3.0; SEASON_PARTS]).unwrap();
        assert!((flat.days_between(Day(0), Day(1461)) - 1461.0).abs() < 1e-9);
        let mut index = [1.0; SEASON_PARTS];
        index[7] = 0.0;
        assert_eq!(Season::new(&index), None);
    }
}

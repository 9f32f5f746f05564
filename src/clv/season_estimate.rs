//! Estimates the season index from what a shop's customers bought day by day. Holds no customer:
//! the caller counts. Called when a model is fitted.

use super::model::{SEASON_MAX, SEASON_MIN};
use super::season::{SEASON_PARTS, part};
use crate::calendar::Day;

/// Whole years without which a season cannot be told from growth or from one odd week.
pub const SEASON_YEARS_MIN: usize = 2;

/// A year of this estimate: 52 parts of seven days, the last one longer.
const YEAR_DAYS: i32 = 365;

/// What the customers of a shop did on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActiveDay {
    /// The day.
    pub day: Day,
    /// How many purchase days fell on it, first ones left out.
    pub n_purchases: u32,
    /// How many customers were active then: those who had bought before this day, and within the
    /// year before it. Not a cohort, of which fewer are left each month, and not everyone ever
    /// seen, of whom most have left.
    pub n_active: u32,
}

/// Why there is no season.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSeason {
    /// The days span too little time.
    #[error("a season needs {SEASON_YEARS_MIN} whole years with active customers, there are `{0}`")]
    TooFewYears(usize),
    /// Nothing was bought in one of the years.
    #[error("a season needs purchases in each of its years")]
    NoPurchases,
    /// The years' weeks differ no more than chance would have them.
    #[error("the weeks of the year differ no more than by chance")]
    NotBeyondChance,
}

/// The season index: orders per active customer in each part of the year against the same year's
/// mean, damped toward 1 by how far chance alone would spread it.
///
/// Only whole years count, back from the last day, and each is set against its own mean, so that
/// growth or decline from year to year is no season. The damping is empirical Bayes: with φ the
/// variance of the counts in units of Poisson's, from how the years differ from each other (1 at
/// least), a part with E expected purchases keeps the share τ²/(τ² + φ/E) of its deviation, τ²
/// being the variance of the index beyond chance. `days` ascend and hold each day at most once.
///
/// # Errors
/// [`NoSeason`] where the days do not suffice.
pub fn season(days: &[ActiveDay]) -> Result<[f64; SEASON_PARTS], NoSeason> {
    let years = years(days)?;
    let (mut observed, mut expected) = ([0.0; SEASON_PARTS], [0.0; SEASON_PARTS]);
    for year in &years {
        for part in 0..SEASON_PARTS {
            observed[part] += year.observed[part];
            expected[part] += year.expected[part];
        }
    }
    let raw = |part: usize| observed[part] / expected[part];
    let mut chi_squared = 0.0;
    for year in &years {
        for part in 0..SEASON_PARTS {
            let mean = year.expected[part] * raw(part);
            if mean > 0.0 {
                let off = year.observed[part] - mean;
                chi_squared += off * off / mean;
            }
        }
    }
    let freedom = 52.0 * (count(years.len()) - 1.0);
    let dispersion = f64::max(1.0, chi_squared / freedom);
    let chance = |part: usize| dispersion / expected[part];
    let parts = || 0..SEASON_PARTS;
    let spread = parts().map(|part| (raw(part) - 1.0) * (raw(part) - 1.0) - chance(part));
    let variance = f64::max(0.0, spread.sum::<f64>() / 52.0);
    if variance <= 0.0 {
        return Err(NoSeason::NotBeyondChance);
    }
    let mut index = [1.0; SEASON_PARTS];
    for part in parts() {
        index[part] += (raw(part) - 1.0) * variance / (variance + chance(part));
    }
    // What is held at a bound moves the mean of the others, which moves less each time.
    for _ in 0..HOLDING_ROUNDS {
        let mean = index.iter().sum::<f64>() / 52.0;
        index = index.map(|weight| (weight / mean).clamp(SEASON_MIN, SEASON_MAX));
    }
    Ok(index)
}

/// Rounds after which the weights have the mean 1 and lie within their bounds.
const HOLDING_ROUNDS: usize = 200;

/// One year: purchases by part, and what they would be at the year's mean.
struct Year {
    observed: [f64; SEASON_PARTS],
    expected: [f64; SEASON_PARTS],
}

fn years(days: &[ActiveDay]) -> Result<Vec<Year>, NoSeason> {
    let first_active = days.iter().position(|day| day.n_active > 0).unwrap_or(days.len());
    let days = &days[first_active..];
    let n_days = match (days.first(), days.last()) {
        (Some(first), Some(last)) => last.day.days_since(first.day) + 1,
        _ => 0,
    };
    let n_years = usize::try_from(n_days / YEAR_DAYS).unwrap_or(0);
    if n_years < SEASON_YEARS_MIN {
        return Err(NoSeason::TooFewYears(n_years));
    }
    let mut years = Vec::with_capacity(n_years);
    let mut rest = days;
    let mut end = days.last().map_or(Day(0), |last| last.day);
    for _ in 0..n_years {
        let begin = end.plus(-YEAR_DAYS);
        let (before, year) = rest.split_at(rest.partition_point(|day| day.day <= begin));
        years.push(Year::of(year).ok_or(NoSeason::NoPurchases)?);
        (rest, end) = (before, begin);
    }
    Ok(years)
}

impl Year {
    /// `None` where nothing was bought, or a part of the year has no active customer.
    fn of(days: &[ActiveDay]) -> Option<Self> {
        let (mut observed, mut active) = ([0.0; SEASON_PARTS], [0.0; SEASON_PARTS]);
        for day in days {
            observed[part(day.day)] += f64::from(day.n_purchases);
            active[part(day.day)] += f64::from(day.n_active);
        }
        let rate = observed.iter().sum::<f64>() / active.iter().sum::<f64>();
        let expected = active.map(|active| active * rate);
        expected.iter().all(|expected| *expected > 0.0).then_some(Self { observed, expected })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of years")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeded random numbers from 0 to 1 (`SplitMix64`: Steele, Lea and Flood 2014).
    struct Random(u64);

    impl Random {
        fn unit(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) + 0.5)
                / 4_294_967_296.0
        }
    }

    /// Poisson counts of a growing shop with a season of this height.
    fn shop(n_days: i32, n_active: u32, height: f64, random: &mut Random) -> Vec<ActiveDay> {
        let active = |day: i32| n_active + n_active * u32::try_from(day).unwrap() / 1000;
        let purchases = |day: i32, random: &mut Random| {
            let mean = f64::from(active(day)) * 0.07 * truth(Day(day), height);
            let (mut n, mut chance) = (0, random.unit());
            while chance > libm::exp(-mean) && n < 100_000 {
                (n, chance) = (n + 1, chance * random.unit());
            }
            n
        };
        (0..n_days)
            .map(|day| ActiveDay {
                day: Day(day),
                n_purchases: purchases(day, random),
                n_active: active(day),
            })
            .collect()
    }

    fn truth(day: Day, height: f64) -> f64 {
        let share = f64::from(u32::try_from(part(day)).unwrap()) / 52.0;
        1.0 + height * libm::sin(share * std::f64::consts::TAU)
    }

    fn farthest(index: &[f64; SEASON_PARTS], height: f64) -> f64 {
        let off = |part: usize| {
            let share = f64::from(u32::try_from(part).unwrap()) / 52.0;
            (index[part] - 1.0 - height * libm::sin(share * std::f64::consts::TAU)).abs()
        };
        (0..SEASON_PARTS).map(off).fold(0.0, f64::max)
    }

    /// A part holds about 2,000 purchases over the two years: 2.2 % of chance, four of them
    /// allowed.
    #[test]
    fn a_planted_season_comes_back_and_none_stays_at_1() {
        let mut random = Random(5);
        let seasonal = season(&shop(730, 1500, 0.4, &mut random)).unwrap();
        assert!(farthest(&seasonal, 0.4) < 0.1, "{seasonal:?}");
        assert!((seasonal.iter().sum::<f64>() / 52.0 - 1.0).abs() < 1e-9);
        let mut n_none = 0;
        for seed in 0..40 {
            match season(&shop(900, 1500, 0.0, &mut Random(seed))) {
                Ok(flat) => assert!(farthest(&flat, 0.0) < 0.03, "{flat:?}"),
                Err(none) => {
                    assert_eq!(none, NoSeason::NotBeyondChance);
                    n_none += 1;
                }
            }
        }
        assert!(n_none > 4, "{n_none}");
    }

    /// A shop that is closed for half of the year, and one that sells on a week of it.
    #[test]
    fn the_season_of_a_shop_that_closes_is_one_that_a_model_may_have() {
        let closed = |day: i32, is_open: fn(usize) -> bool| ActiveDay {
            day: Day(day),
            n_purchases: if is_open(part(Day(day))) { 100 } else { 0 },
            n_active: 1500,
        };
        for is_open in [|part| part < 26, |part| part == 30] {
            let days: Vec<_> = (0..1095).map(|day| closed(day, is_open)).collect();
            let index = season(&days).unwrap();
            let mean = index.iter().sum::<f64>() / 52.0;
            assert!((mean - 1.0).abs() < 1e-4, "{mean}");
            assert!(index.iter().all(|weight| (SEASON_MIN..=SEASON_MAX).contains(weight)));
        }
    }

    #[test]
    fn few_purchases_are_damped_toward_1() {
        let mut n_indexed = 0;
        for seed in 0..40 {
            if let Ok(few) = season(&shop(730, 8, 0.0, &mut Random(seed))) {
                assert!(farthest(&few, 0.0) < 0.4, "{seed} {few:?}");
                n_indexed += 1;
            }
        }
        assert!(n_indexed > 4, "{n_indexed}");
    }

    #[test]
    fn under_two_years_there_is_no_season() {
        let mut random = Random(7);
        let short = shop(729, 100, 0.4, &mut random);
        assert_eq!(season(&short), Err(NoSeason::TooFewYears(1)));
        assert_eq!(season(&[]), Err(NoSeason::TooFewYears(0)));
        let mut idle = shop(800, 100, 0.4, &mut random);
        for day in &mut idle {
            day.n_active = u32::from(day.day.0 >= 100);
        }
        assert_eq!(season(&idle), Err(NoSeason::TooFewYears(1)));
        let mut nothing = shop(730, 100, 0.4, &mut random);
        for day in &mut nothing {
            day.n_purchases = 0;
        }
        assert_eq!(season(&nothing), Err(NoSeason::NoPurchases));
    }
}

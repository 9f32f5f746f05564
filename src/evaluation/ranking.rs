//! How well an order of customers puts those who leave first: the area under the ROC curve and the
//! precision in the first tenth, exact where scores tie and for customers who count several times.
//! Knows no score and no target by name. Called by this module.

/// The customers of one target and group, and to whom it happened.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Each by its number, with whether it happened.
    pub(super) members: Vec<(u32, bool)>,
}

/// How many customers count in a cell, each as often as its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) n_positive: u64,
    pub(super) n: u64,
}

impl Totals {
    /// The first tenth, rounded up, so that it is never empty.
    pub(super) fn n_top(&self) -> u64 {
        self.n.div_ceil(10)
    }

    /// To what share it happened.
    pub(super) fn base_rate(&self) -> Option<f64> {
        (self.n > 0).then(|| count(self.n_positive) / count(self.n))
    }
}

/// How good an order is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quality {
    /// The chance that of two customers, one to whom it happened and one to whom not, the first
    /// stands before the second; a tie counts half. Absent where all are of one kind.
    pub(super) auc: Option<f64>,
    /// The share of the first tenth to whom it happened; of those who tie at its end the expected
    /// share. Absent without customers.
    pub(super) precision: Option<f64>,
}

impl Cell {
    pub(super) fn totals(&self, weights: &[u32]) -> Totals {
        let mut totals = Totals { n_positive: 0, n: 0 };
        for &(customer, is_positive) in &self.members {
            let weight = u64::from(weights[customer as usize]);
            totals.n += weight;
            totals.n_positive += if is_positive { weight } else { 0 };
        }
        totals
    }
}

/// Customers of a cell by falling risk.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    places: Vec<Place>,
}

/// One customer in an order.
#[derive(Clone, Copy, Debug)]
struct Place {
    customer: u32,
    is_positive: bool,
    /// Whether the next one has another risk.
    ends_tie: bool,
}

impl Ranked {
    /// The members of a cell by falling risk, the same whatever their order.
    pub(super) fn new(cell: &Cell, risks: &[f64]) -> Self {
        let mut order = cell.members.clone();
        let risk = |member: &(u32, bool)| risks[member.0 as usize];
        order.sort_by(|one, other| risk(other).total_cmp(&risk(one)).then(one.0.cmp(&other.0)));
        let next = order.iter().skip(1).map(|member| Some(risk(member))).chain([None]);
        let places = order
            .iter()
            .zip(next)
            .map(|(member, next)| Place {
                customer: member.0,
                is_positive: member.1,
                ends_tie: next != Some(risk(member)),
            })
            .collect();
        Self { places }
    }

    /// The quality of the order, with the cell's totals under the same weights.
    pub(super) fn quality(&self, weights: &[u32], totals: Totals) -> Quality {
        let n_top = totals.n_top();
        let (mut n_seen, mut positive_seen) = (0_u64, 0_u64);
        let (mut n_tied, mut positive_tied) = (0_u64, 0_u64);
        // Twice the pairs in which the one to whom it happened stands first.
        let mut pairs_twice = 0_u128;
        let mut top_positive = None;
        for place in &self.places {
            let weight = u64::from(weights[place.customer as usize]);
            n_tied += weight;
            positive_tied += if place.is_positive { weight } else { 0 };
            if !place.ends_tie {
                continue;
            }
            let negative_tied = n_tied - positive_tied;
            pairs_twice +=
                u128::from(negative_tied) * u128::from(2 * positive_seen + positive_tied);
            if top_positive.is_none() && n_tied > 0 && n_seen + n_tied >= n_top {
                let share = count(n_top - n_seen) / count(n_tied);
                top_positive = Some(count(positive_seen) + share * count(positive_tied));
            }
            n_seen += n_tied;
            positive_seen += positive_tied;
            (n_tied, positive_tied) = (0, 0);
        }
        let pairs = count(totals.n_positive) * count(totals.n - totals.n_positive);
        Quality {
            auc: (pairs > 0.0).then(|| halved(pairs_twice) / pairs),
            precision: top_positive.map(|positive| positive / count(n_top)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no history has 2^53 customers")]
pub(super) fn count(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn halved(pairs_twice: u128) -> f64 {
    pairs_twice as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(positives: &str) -> Cell {
        let members = (0..).zip(positives.bytes()).map(|(i, byte)| (i, byte == b'+')).collect();
        Cell { members }
    }

    fn quality(positives: &str, risks: &[f64], weights: &[u32]) -> Quality {
        let cell = cell(positives);
        Ranked::new(&cell, risks).quality(weights, cell.totals(weights))
    }

    /// Every pair, by hand.
    fn by_pairs(positives: &str, risks: &[f64]) -> f64 {
        let members = cell(positives).members;
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (one, _) in members.iter().filter(|member| member.1) {
            for (other, _) in members.iter().filter(|member| !member.1) {
                let (one, other) = (risks[*one as usize], risks[*other as usize]);
                wins += if one > other { 1.0 } else { 0.0 }
                    + if one.total_cmp(&other).is_eq() { 0.5 } else { 0.0 };
                pairs += 1.0;
            }
        }
        wins / pairs
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_the_right_order() {
        for (positives, risks) in [
            ("++--", [4.0, 3.0, 2.0, 1.0, 0.0, 0.0]),
            ("--++", [4.0, 3.0, 2.0, 1.0, 0.0, 0.0]),
            ("+-+-+-", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
            ("+--+-+", [3.0, 3.0, 1.0, 1.0, 1.0, 0.0]),
            ("-+-+++", [0.0, 2.0, 2.0, -1.0, 7.0, 7.0]),
        ] {
            let found = quality(positives, &risks, &[1; 6]).auc.unwrap();
            let expected = by_pairs(positives, &risks);
            assert!((found - expected).abs() < 1e-15, "{positives} {risks:?}: {found} {expected}");
        }
    }

    #[test]
    fn who_counts_three_times_counts_as_three_customers() {
        let weighted = quality("+-+-", &[3.0, 2.0, 2.0, 1.0], &[3, 1, 2, 0]);
        let repeated = quality("+++-++", &[3.0, 3.0, 3.0, 2.0, 2.0, 2.0], &[1; 6]);
        assert_eq!(weighted, repeated);
    }

    #[test]
    fn of_those_who_tie_at_the_end_of_the_tenth_the_expected_share_counts() {
        let mut positives = "+-".to_owned() + &"-".repeat(18);
        let mut risks = vec![0.0; 20];
        (risks[0], risks[1]) = (2.0, 1.0);
        let precision =
            |positives: &str, risks: &[f64]| quality(positives, risks, &[1; 20]).precision.unwrap();
        assert!((precision(&positives, &risks) - 0.5).abs() < 1e-15);
        // One of the tenth stands alone, the other is one of nineteen who tie, four of them.
        positives.replace_range(10..14, "++++");
        risks[1] = 0.0;
        let expected = f64::midpoint(1.0, 4.0 / 19.0);
        assert!((precision(&positives, &risks) - expected).abs() < 1e-15);
        // All tie: the share of everybody.
        assert!((precision(&positives, &[0.0; 20]) - 0.25).abs() < 1e-15);
    }

    #[test]
    fn where_all_are_of_one_kind_there_is_a_precision_and_no_area() {
        let found = quality("+++", &[1.0, 2.0, 3.0], &[1; 3]);
        assert_eq!(found, Quality { auc: None, precision: Some(1.0) });
        let nobody = quality("", &[], &[]);
        assert_eq!(nobody, Quality { auc: None, precision: None });
    }
}

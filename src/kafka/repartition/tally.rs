//! What follows if producers place keys in one way: whether the customers lie where it would have
//! put them, and where they go. Values in, values out; filled by `survey`.

use std::collections::BTreeMap;

use crate::kafka::placement::Partitioner;

/// The customers and unread events as one partitioner sees them.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) partitioner: Partitioner,
    n_before: i32,
    n_after: i32,
    /// Customers that neither count would have put where they are.
    pub(super) n_wrong: u64,
    /// Unread events of which that is true.
    pub(super) n_strange: u64,
    pub(super) n_moved: u64,
    pub(super) n_misplaced: u64,
    pub(super) misplaced_newest_ms: Option<i64>,
    /// Customers of each partition afterwards.
    pub(super) n_customers: Vec<i64>,
    /// Whether a partition gives misplaced events away or takes them.
    pub(super) is_touched: Vec<bool>,
    /// Customers who came after the input had grown, with their partition by the old count: there
    /// they must not be as well.
    pub(super) early: BTreeMap<String, i32>,
}

impl Tally {
    pub(super) fn new(partitioner: Partitioner, n_before: i32, n_after: i32) -> Self {
        let n_partitions = usize::try_from(n_after).unwrap_or(0);
        Self {
            partitioner,
            n_before,
            n_after,
            n_wrong: 0,
            n_strange: 0,
            n_moved: 0,
            n_misplaced: 0,
            misplaced_newest_ms: None,
            n_customers: vec![0; n_partitions],
            is_touched: vec![false; n_partitions],
            early: BTreeMap::new(),
        }
    }

    /// Where a key belongs now.
    pub(super) fn target(&self, key: &[u8]) -> i32 {
        self.partitioner.place(key, self.n_after)
    }

    /// Where an unread event of `partition` belongs. One without a key, and one that somebody has
    /// put somewhere by hand, is at home where it is.
    pub(super) fn target_of_event(&self, key: Option<&[u8]>, partition: i32) -> i32 {
        let by_old_count = |key: &&[u8]| self.partitioner.place(key, self.n_before) == partition;
        key.filter(by_old_count).map_or(partition, |key| self.target(key))
    }

    /// Counts a customer of `partition`.
    pub(super) fn customer(&mut self, id: &str, partition: i32) {
        let target = self.target(id.as_bytes());
        let old = self.partitioner.place(id.as_bytes(), self.n_before);
        if old != partition {
            if target != partition {
                self.n_wrong += 1;
                // Ruled out: what it says of the others is of no use.
                self.early.clear();
            } else if self.n_wrong == 0 {
                self.early.insert(id.to_owned(), old);
            }
        }
        self.n_moved += u64::from(target != partition);
        *at(&mut self.n_customers, target) += 1;
    }

    /// Counts an unread event of `partition`.
    pub(super) fn event(&mut self, key: Option<&[u8]>, partition: i32, timestamp_ms: Option<i64>) {
        let target = self.target_of_event(key, partition);
        if target != partition {
            self.n_misplaced += 1;
            self.misplaced_newest_ms = self.misplaced_newest_ms.max(timestamp_ms);
            *at(&mut self.is_touched, target) = true;
            *at(&mut self.is_touched, partition) = true;
        }
        let is_home = key.is_none_or(|key| self.target(key) == partition);
        self.n_strange += u64::from(target == partition && !is_home);
    }

    /// Whether the partition's unread events are sent again.
    pub(super) fn touches(&self, partition: i32) -> bool {
        usize::try_from(partition).is_ok_and(|i| self.is_touched.get(i) == Some(&true))
    }

    /// Customers of a partition afterwards.
    pub(super) fn n_customers_of(&self, partition: i32) -> i64 {
        let i = usize::try_from(partition).ok();
        i.and_then(|i| self.n_customers.get(i)).copied().unwrap_or(0)
    }
}

fn at<T>(values: &mut [T], partition: i32) -> &mut T {
    &mut values[usize::try_from(partition).expect("partitions count from 0")]
}

/// The partitioner that explains where the customers are, or that which is `told`.
///
/// # Errors
/// None does, or both do and would send them to different places; or the one that is told does not.
pub(super) fn choose(tallies: [Tally; 2], told: Option<Partitioner>) -> Result<Tally, String> {
    let n_customers: i64 = tallies[0].n_customers.iter().sum();
    let [murmur2, crc32] = &tallies;
    let is_possible = |tally: &Tally| tally.n_wrong == 0;
    let may_be = |tally: &Tally| told.is_none_or(|told| told == tally.partitioner);
    if !tallies.iter().any(|tally| is_possible(tally) && may_be(tally)) {
        let said = told.map_or(String::new(), |told| format!("`{}` was said, but ", told.as_str()));
        return Err(format!(
            "{said}of `{n_customers}` customers `{}` lie where murmur2 (Java clients) would not \
             put them, and `{}` where crc32 (librdkafka's default) would not: where producers put \
             customers now is unknown; start with a new group and changelog topic, on an input \
             topic that was filled under one count",
            murmur2.n_wrong, crc32.n_wrong
        ));
    }
    let rank = |tally: &Tally| (!is_possible(tally), tally.n_strange);
    let does_nothing = |tally: &Tally| tally.n_moved == 0 && tally.n_misplaced == 0;
    let is_same = does_nothing(murmur2) && does_nothing(crc32);
    if told.is_none() && rank(murmur2) == rank(crc32) && !is_same {
        return Err(format!(
            "where `{n_customers}` customers lie does not tell whether producers place keys by \
             murmur2 (Java clients) or by crc32 (librdkafka's default); say which with \
             `--partitioner`"
        ));
    }
    let [murmur2, crc32] = tallies;
    let is_murmur2 = told.map_or(rank(&murmur2) <= rank(&crc32), |it| it == murmur2.partitioner);
    Ok(if is_murmur2 { murmur2 } else { crc32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies() -> [Tally; 2] {
        Partitioner::ALL.map(|partitioner| Tally::new(partitioner, 4, 7))
    }

    fn ids() -> impl Iterator<Item = String> {
        (0..200).map(|n| format!("customer {n}"))
    }

    #[test]
    fn the_partitioner_is_the_one_that_explains_every_customer() {
        for partitioner in Partitioner::ALL {
            let mut tallies = tallies();
            for id in ids() {
                let place = partitioner.place(id.as_bytes(), 4);
                for tally in &mut tallies {
                    tally.customer(&id, place);
                }
            }
            let tally = choose(tallies, None).unwrap();
            assert_eq!(tally.partitioner, partitioner);
            let stays = |id: &String| {
                partitioner.place(id.as_bytes(), 4) == partitioner.place(id.as_bytes(), 7)
            };
            let n_staying = ids().filter(stays).count() as u64;
            assert_eq!(tally.n_moved, 200 - n_staying);
            assert_eq!(tally.n_customers.iter().sum::<i64>(), 200);
            let of_5 = |id: &String| partitioner.place(id.as_bytes(), 7) == 5;
            assert_eq!(tally.n_customers_of(5), i64::try_from(ids().filter(of_5).count()).unwrap());
        }
    }

    #[test]
    fn customers_that_none_explains_or_both_do_are_refused() {
        let mut none = tallies();
        for (n, id) in (0..).zip(ids()) {
            for tally in &mut none {
                tally.customer(&id, n % 4);
            }
        }
        let fault = choose(none, None).unwrap_err();
        assert!(fault.contains("is unknown"), "{fault}");

        let places = |id: &String| Partitioner::ALL.map(|it| it.place(id.as_bytes(), 4));
        let both = ids().find(|id| places(id)[0] == places(id)[1]).unwrap();
        let mut few = tallies();
        for tally in &mut few {
            tally.customer(&both, tally.partitioner.place(both.as_bytes(), 4));
        }
        assert!(choose(few, None).unwrap_err().contains("say which with"));
        assert!(choose(tallies(), None).is_ok(), "nothing is anywhere");
    }

    #[test]
    fn of_a_single_partition_a_person_must_tell_and_is_not_believed_against_the_customers() {
        let tallies_of = |n_before| {
            let mut tallies = Partitioner::ALL.map(|it| Tally::new(it, n_before, 7));
            for id in ids() {
                let place = Partitioner::Crc32.place(id.as_bytes(), n_before);
                for tally in &mut tallies {
                    tally.customer(&id, place);
                }
            }
            tallies
        };
        assert!(choose(tallies_of(1), None).unwrap_err().contains("say which with"));
        for told in Partitioner::ALL {
            assert_eq!(choose(tallies_of(1), Some(told)).unwrap().partitioner, told);
        }
        let fault = choose(tallies_of(4), Some(Partitioner::Murmur2)).unwrap_err();
        assert!(fault.starts_with("`murmur2` was said, but of `200` customers"), "{fault}");
        assert!(choose(tallies_of(4), Some(Partitioner::Crc32)).is_ok());
    }

    #[test]
    fn a_customer_of_the_new_count_is_no_contradiction_but_must_be_nowhere_else() {
        let mut tallies = tallies();
        let place = |id: &str, n| Partitioner::Murmur2.place(id.as_bytes(), n);
        let id = ids().find(|id| place(id, 4) != place(id, 7) && place(id, 7) < 4).unwrap();
        for other in ids().filter(|other| *other != id) {
            for tally in &mut tallies {
                tally.customer(&other, place(&other, 4));
            }
        }
        for tally in &mut tallies {
            tally.customer(&id, place(&id, 7));
        }
        let tally = choose(tallies, None).unwrap();
        assert_eq!(tally.early, BTreeMap::from([(id.clone(), place(&id, 4))]));
    }

    #[test]
    fn an_event_moves_only_from_where_the_old_count_has_put_it() {
        let mut tally = Tally::new(Partitioner::Murmur2, 4, 7);
        let place = |id: &str, n| Partitioner::Murmur2.place(id.as_bytes(), n);
        let id = ids().find(|id| place(id, 4) == 1 && place(id, 7) == 6).unwrap();
        tally.event(Some(id.as_bytes()), 1, Some(5));
        tally.event(Some(id.as_bytes()), 6, Some(9));
        tally.event(Some(id.as_bytes()), 3, None);
        tally.event(None, 2, None);
        assert_eq!((tally.n_misplaced, tally.n_strange), (1, 1));
        assert_eq!(tally.misplaced_newest_ms, Some(5));
        let touched: Vec<i32> = (0..7).filter(|partition| tally.touches(*partition)).collect();
        assert_eq!(touched, [1, 6]);
    }
}

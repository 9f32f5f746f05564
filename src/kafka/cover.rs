//! Whether the group has given every input partition to somebody. Partitions move in two steps:
//! their owner gives them up in one rebalance, and the next one hands them on. A static member that
//! restarts between the two gets its old share again without a rebalance, the second step never
//! comes, and nobody owns what was on its way. One member then has to rejoin, which makes the group
//! share out anew; so does a member once whose address the group still tells as it was before a
//! restart. It only looks and says who; `steward` asks it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use tracing::{debug, info, warn};

use super::clients::Quiet;
use super::group::{self, Member};
use super::steward::ASK;
use crate::config::Kafka;

/// How often the group is looked at.
const LOOK: Duration = Duration::from_secs(4);
/// A hand-over takes a heartbeat and a revoke budget; what is still ownerless after so many looks
/// in a row is not on its way to anybody.
const GAPS_MAX: u32 = 3;

/// What one lane knows of its group.
#[derive(Debug)]
pub(super) struct Cover {
    n_partitions: i32,
    /// The lane's own name in the group.
    name: String,
    /// What it is to tell of its address.
    address: Option<String>,
    looked_at: Instant,
    n_gaps_in_a_row: u32,
    /// Once is enough: a group that tells the old address again would rebalance without end.
    has_mended_address: bool,
}

impl Cover {
    pub(super) fn new(name: &str, address: Option<&str>, n_partitions: i32) -> Self {
        Self {
            n_partitions,
            name: name.to_owned(),
            address: address.map(str::to_owned),
            looked_at: Instant::now(),
            n_gaps_in_a_row: 0,
            has_mended_address: false,
        }
    }

    /// Looks at the group if it is time to; true when this member has to rejoin.
    pub(super) fn is_broken(&mut self, consumer: &BaseConsumer<Quiet>, kafka: &Kafka) -> bool {
        if self.looked_at.elapsed() < LOOK {
            return false;
        }
        self.looked_at = Instant::now();
        match group::look(consumer, kafka, ASK) {
            Ok(Some(members)) => self.judge(members),
            // While the group shares out nothing is missing yet.
            Ok(None) => self.judge(Vec::new()),
            Err(error) => {
                debug!(%error, "failed to look at the group");
                self.judge(Vec::new())
            }
        }
    }

    fn judge(&mut self, members: Vec<Member>) -> bool {
        if !self.has_mended_address && self.is_told_wrong(&members) {
            self.has_mended_address = true;
            info!(
                member = self.name,
                "the group tells another address of this member: joining anew"
            );
            return true;
        }
        let repairer = repairer(members, self.n_partitions);
        self.n_gaps_in_a_row = if repairer.is_some() { self.n_gaps_in_a_row + 1 } else { 0 };
        if self.n_gaps_in_a_row < GAPS_MAX {
            return false;
        }
        self.n_gaps_in_a_row = 0;
        let is_own = repairer.as_ref() == Some(&self.name);
        if is_own {
            warn!("the group left partitions to nobody; joining anew, so that it shares out anew");
        }
        is_own
    }

    /// Whether the group took over what an earlier run of this member had told: a static member
    /// that restarts within its session only takes its own place again.
    fn is_told_wrong(&self, members: &[Member]) -> bool {
        members.iter().any(|member| member.name == self.name && member.address != self.address)
    }
}

/// Who has to rejoin because a partition is nobody's: whoever has least to lose.
fn repairer(mut members: Vec<Member>, n_partitions: i32) -> Option<String> {
    let owned: BTreeSet<i32> =
        members.iter().flat_map(|member| &member.partitions).copied().collect();
    if (0..n_partitions).all(|partition| owned.contains(&partition)) {
        return None;
    }
    members.sort_by(|a, b| (a.partitions.len(), &a.name).cmp(&(b.partitions.len(), &b.name)));
    members.into_iter().next().map(|member| member.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(shares: &[(&str, &[i32])]) -> Vec<Member> {
        let member = |(name, share): &(&str, &[i32])| Member {
            name: (*name).to_owned(),
            address: None,
            partitions: share.to_vec(),
        };
        shares.iter().map(member).collect()
    }

    #[test]
    fn the_member_with_least_to_lose_rejoins_and_only_while_a_partition_is_nobodys() {
        let check = |shares: &[(&str, &[i32])], expect: Option<&str>| {
            assert_eq!(repairer(members(shares), 3).as_deref(), expect);
        };
        check(&[("a", &[0, 2]), ("b", &[1])], None);
        check(&[("a", &[0]), ("b", &[])], Some("b"));
        check(&[("b", &[1]), ("a", &[2])], Some("a"));
        check(&[], None);
    }

    fn cover(address: Option<&str>) -> Cover {
        Cover::new("a", address, 3)
    }

    #[test]
    fn a_gap_is_mended_by_one_member_once_it_has_lasted() {
        let gap = || members(&[("a", &[0]), ("b", &[1, 2, 3])]);
        let mut cover = cover(None);
        cover.n_partitions = 5;
        assert_eq!([(); 4].map(|()| cover.judge(gap())), [false, false, true, false]);
        assert!(!cover.judge(members(&[("a", &[0, 1, 2, 3, 4])])));
        assert_eq!([(); 3].map(|()| cover.judge(gap())), [false, false, true]);
        cover.name = "b".to_owned();
        assert_eq!([(); 3].map(|()| cover.judge(gap())), [false, false, false]);
    }

    #[test]
    fn a_member_whose_address_is_told_wrong_joins_anew_once() {
        let told = |address: Option<&str>| {
            let mut members = members(&[("a", &[0, 1, 2]), ("b", &[])]);
            members[0].address = address.map(str::to_owned);
            members
        };
        let mut cover = cover(Some("new:1"));
        assert!(!cover.judge(told(Some("new:1"))));
        assert!(cover.judge(told(Some("old:1"))));
        assert!(!cover.judge(told(Some("old:1"))));
        assert!(self::cover(None).judge(told(Some("old:1"))));
        assert!(self::cover(Some("new:1")).judge(told(None)));
    }
}

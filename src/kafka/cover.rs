//! Whether the group has given every input partition to somebody. Partitions move in two steps:
//! their owner gives them up in one rebalance, and the next one hands them on. A static member that
//! restarts between the two gets its old share again without a rebalance, the second step never
//! comes, and nobody owns what was on its way. One member then has to rejoin, which makes the group
//! share out anew. It only looks and says who; `steward` asks it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::debug;

use super::clients::Quiet;
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
    group_id: String,
    input_topic: String,
    n_partitions: i32,
    /// The lane's own name in the group.
    member: String,
    looked_at: Instant,
    n_gaps_in_a_row: u32,
}

/// A member's name and the partitions that it was given.
type Share = (String, Vec<i32>);

impl Cover {
    pub(super) fn new(kafka: &Kafka, member: String, n_partitions: i32) -> Self {
        Self {
            group_id: kafka.group_id.clone(),
            input_topic: kafka.input_topic.clone(),
            n_partitions,
            member,
            looked_at: Instant::now(),
            n_gaps_in_a_row: 0,
        }
    }

    /// Looks at the group if it is time to; true when this member has to rejoin.
    pub(super) fn is_broken(&mut self, consumer: &BaseConsumer<Quiet>) -> bool {
        if self.looked_at.elapsed() < LOOK {
            return false;
        }
        self.looked_at = Instant::now();
        let repairer = self.shares(consumer).and_then(|shares| repairer(shares, self.n_partitions));
        self.n_gaps_in_a_row = if repairer.is_some() { self.n_gaps_in_a_row + 1 } else { 0 };
        if self.n_gaps_in_a_row < GAPS_MAX {
            return false;
        }
        self.n_gaps_in_a_row = 0;
        repairer.as_ref() == Some(&self.member)
    }

    /// Who was given what; `None` while the group shares out, or if it cannot be told.
    fn shares(&self, consumer: &BaseConsumer<Quiet>) -> Option<Vec<Share>> {
        let list = match consumer.fetch_group_list(Some(&self.group_id), ASK) {
            Ok(list) => list,
            Err(error) => {
                debug!(%error, "failed to look at the group");
                return None;
            }
        };
        let group = list.groups().iter().find(|group| group.name() == self.group_id)?;
        if group.state() != "Stable" {
            return None;
        }
        let share = |member: &rdkafka::groups::GroupMemberInfo| {
            let partitions = partitions(member.assignment()?, &self.input_topic)?;
            Some((member.client_id().to_owned(), partitions))
        };
        group.members().iter().map(share).collect()
    }
}

/// Who has to rejoin because a partition is nobody's: whoever has least to lose.
fn repairer(mut shares: Vec<Share>, n_partitions: i32) -> Option<String> {
    let owned: BTreeSet<i32> = shares.iter().flat_map(|(_, share)| share).copied().collect();
    if (0..n_partitions).all(|partition| owned.contains(&partition)) {
        return None;
    }
    shares.sort_by(|(a, of_a), (b, of_b)| (of_a.len(), a).cmp(&(of_b.len(), b)));
    shares.into_iter().next().map(|(member, _)| member)
}

/// The partitions of `topic` in an assignment of Kafka's consumer protocol; `None` if it is none.
/// A version, then topics with their partitions; what follows is the assignor's own.
fn partitions(assignment: &[u8], topic: &str) -> Option<Vec<i32>> {
    // A member without partitions may have been sent nothing at all.
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let (_version, rest) = assignment.split_first_chunk::<2>()?;
    let (n_topics, mut rest) = rest.split_first_chunk::<4>()?;
    let mut found = Vec::new();
    for _ in 0..i32::from_be_bytes(*n_topics) {
        let (n_bytes, after) = rest.split_first_chunk::<2>()?;
        let n_bytes = usize::try_from(i16::from_be_bytes(*n_bytes)).ok()?;
        let (name, after) = after.split_at_checked(n_bytes)?;
        let (n_partitions, mut after) = after.split_first_chunk::<4>()?;
        for _ in 0..i32::from_be_bytes(*n_partitions) {
            let (partition, behind) = after.split_first_chunk::<4>()?;
            if name == topic.as_bytes() {
                found.push(i32::from_be_bytes(*partition));
            }
            after = behind;
        }
        rest = after;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_of_an_assignment_are_read_and_nonsense_is_not() {
        let assignment = b"\0\x01\0\0\0\x02\
            \0\x01a\0\0\0\x01\0\0\0\x07\
            \0\x02in\0\0\0\x02\0\0\0\0\0\0\0\x03\
            \xff\xff\xff\xff";
        assert_eq!(partitions(assignment, "in"), Some(vec![0, 3]));
        assert_eq!(partitions(assignment, "a"), Some(vec![7]));
        assert_eq!(partitions(assignment, "none"), Some(Vec::new()));
        assert_eq!(partitions(b"", "in"), Some(Vec::new()));
        // The assignor's own bytes at the end are not looked at.
        for n_bytes in 1..assignment.len() - 4 {
            assert_eq!(partitions(&assignment[..n_bytes], "in"), None, "{n_bytes} bytes");
        }
        assert_eq!(partitions(b"\0\x01\x7f\xff\xff\xff\xff\xff", "in"), None);
    }

    #[test]
    fn the_member_with_least_to_lose_rejoins_and_only_while_a_partition_is_nobodys() {
        let check = |shares: &[(&str, &[i32])], expect: Option<&str>| {
            let shares = shares.iter().map(|(name, share)| ((*name).to_owned(), share.to_vec()));
            assert_eq!(repairer(shares.collect(), 3).as_deref(), expect);
        };
        check(&[("a", &[0, 2]), ("b", &[1])], None);
        check(&[("a", &[0]), ("b", &[])], Some("b"));
        check(&[("b", &[1]), ("a", &[2])], Some("a"));
        check(&[], None);
    }
}

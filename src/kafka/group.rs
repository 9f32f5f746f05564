//! The group as its coordinator tells it: who its members are, where each can be asked, and which
//! partitions it was given. Only a picture: who owns a partition is decided by what a commit is
//! refused. Used by `cover`, and by `service` for `/partitions`.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::groups::GroupMemberInfo;

use super::clients::{self, Quiet};
use crate::config::Kafka;

/// How long one who asks over HTTP waits for the brokers.
const ASK: Duration = Duration::from_secs(2);
/// Between a member's name, which cannot have it, and its address.
const AT: char = '@';

/// One lane of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// `kafka.instance_id` and the lane's number.
    pub(super) name: String,
    /// Where its process answers, if it told.
    pub(super) address: Option<String>,
    /// What it was given of the input.
    pub(super) partitions: Vec<i32>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `kafka.instance_id`.
    pub name: String,
    /// Where it answers, if all its lanes told the same.
    pub address: Option<String>,
    /// What its lanes were given of the input, ascending.
    pub partitions: Vec<i32>,
}

/// What a member calls itself towards the group: all that a group tells of a member's own choice.
pub(super) fn client_id(name: &str, address: Option<&str>) -> String {
    address.map_or_else(|| name.to_owned(), |address| format!("{name}{AT}{address}"))
}

/// Who was given what; `None` while the group shares out, or if it cannot be told.
pub(super) fn look<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    kafka: &Kafka,
    timeout: Duration,
) -> Result<Option<Vec<Member>>, KafkaError> {
    let list = consumer.fetch_group_list(Some(&kafka.group_id), timeout)?;
    let group = list.groups().iter().find(|group| group.name() == kafka.group_id);
    let Some(group) = group.filter(|group| group.state() == "Stable") else { return Ok(None) };
    let member = |it: &GroupMemberInfo| {
        let partitions = partitions(it.assignment()?, &kafka.input_topic)?;
        Some(Member::new(it.client_id(), partitions))
    };
    Ok(group.members().iter().map(member).collect())
}

/// The processes of the group, by name.
///
/// # Errors
/// Why the brokers do not tell.
pub fn instances(kafka: &Kafka) -> Result<Vec<Instance>, String> {
    let consumer: BaseConsumer<Quiet> = clients::bare(kafka)
        .create_with_context(Quiet)
        .map_err(|error| format!("failed to create a consumer: {error}"))?;
    let members = look(&consumer, kafka, ASK)
        .map_err(|error| format!("failed to look at the group `{}`: {error}", kafka.group_id))?;
    let members =
        members.ok_or("the group is sharing out its partitions; ask again in some seconds")?;
    Ok(by_instance(members))
}

fn by_instance(members: Vec<Member>) -> Vec<Instance> {
    let mut instances = BTreeMap::<String, Instance>::new();
    for member in members {
        let name = member.instance().to_owned();
        let Member { address, partitions, .. } = member;
        let known = instances.entry(name.clone()).or_insert_with(|| {
            let (address, partitions) = (address.clone(), Vec::new());
            Instance { name, address, partitions }
        });
        if known.address != address {
            known.address = None;
        }
        known.partitions.extend(partitions);
        known.partitions.sort_unstable();
    }
    instances.into_values().collect()
}

impl Member {
    fn new(client_id: &str, partitions: Vec<i32>) -> Self {
        let (name, address) = match client_id.split_once(AT) {
            Some((name, address)) => (name, Some(address.to_owned())),
            None => (client_id, None),
        };
        Self { name: name.to_owned(), address, partitions }
    }

    /// The name without the lane's number.
    fn instance(&self) -> &str {
        self.name.rsplit_once('-').map_or(&*self.name, |(instance, _)| instance)
    }
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
    fn the_lanes_of_a_process_are_told_together_and_an_address_only_if_all_tell_it() {
        let lane =
            |client_id: &str, partitions: &[i32]| Member::new(client_id, partitions.to_vec());
        let found = by_instance(vec![
            lane("b-1-0@[::1]:9464", &[3]),
            lane("a-0@old:1", &[5]),
            lane("a-1@new:1", &[0]),
            lane("b-1-1@[::1]:9464", &[2, 1]),
            lane(&client_id("c-0", None), &[]),
            lane("d-0@x:1", &[]),
            lane("d-1", &[]),
        ]);
        let expect = |name: &str, address: Option<&str>, partitions: &[i32]| Instance {
            name: name.to_owned(),
            address: address.map(str::to_owned),
            partitions: partitions.to_vec(),
        };
        assert_eq!(
            found,
            [
                expect("a", None, &[0, 5]),
                expect("b-1", Some("[::1]:9464"), &[1, 2, 3]),
                expect("c", None, &[]),
                expect("d", None, &[]),
            ]
        );
        let told = Member::new(&client_id("e-0", Some("e:1")), vec![]);
        assert_eq!((told.name.as_str(), told.address.as_deref()), ("e-0", Some("e:1")));
    }
}

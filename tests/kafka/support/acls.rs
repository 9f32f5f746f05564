//! Rights of one user on a broker with an authorizer. The client library has no call for them, so
//! the requests are written here by Kafka's protocol (`CreateAcls`, `DescribeAcls`, `DeleteAcls`,
//! version 1). It must not know who needs which right.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::wait_until;

const CREATE: i16 = 30;
const DESCRIBE: i16 = 29;
const DELETE: i16 = 31;
const ALLOW: u8 = 3;
const LITERAL: u8 = 3;
const PREFIXED: u8 = 4;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const EFFECT_DEADLINE: Duration = Duration::from_secs(30);

/// What the right is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    Topic,
    Group,
    /// All transactional ids that begin with the name.
    TransactionalIds,
}

/// One line of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    pub(crate) resource: Resource,
    pub(crate) name: String,
    /// By the name that Kafka's tools use.
    pub(crate) operation: String,
}

/// The rights of one user.
#[derive(Debug)]
pub(crate) struct Acls {
    address: String,
    principal: String,
}

impl Acls {
    pub(super) fn new(address: &str, principal: &str) -> Acls {
        Acls { address: address.to_owned(), principal: principal.to_owned() }
    }

    /// Grants the right and waits until it holds.
    pub(crate) fn grant(&self, right: &Right) {
        let answer = self.ask(CREATE, &[&1i32.to_be_bytes(), &self.fields(right)[..]].concat());
        // Throttle time and the number of results come first.
        assert_eq!(answer[8..10], [0, 0], "failed to grant {right:?}: {answer:?}");
        self.wait_for(right, true);
    }

    /// Takes the right back and waits until it is gone.
    pub(crate) fn revoke(&self, right: &Right) {
        let answer = self.ask(DELETE, &[&1i32.to_be_bytes(), &self.fields(right)[..]].concat());
        assert_eq!(answer[8..10], [0, 0], "failed to revoke {right:?}: {answer:?}");
        self.wait_for(right, false);
    }

    /// The controller decides, and the broker hears of it a moment later.
    fn wait_for(&self, right: &Right, is_wanted: bool) {
        wait_until(format!("{right:?} to be {is_wanted}"), EFFECT_DEADLINE, || {
            let answer = self.ask(DESCRIBE, &self.fields(right));
            // Throttle time, error, an empty message, then how many resources match.
            assert_eq!(answer[4..6], [0, 0], "failed to look: {answer:?}");
            let is_there = answer[8..12] != [0; 4];
            (is_there == is_wanted).then_some(()).ok_or_else(|| format!("{answer:?}"))
        });
    }

    /// The right, or the filter that only it passes: version 1 writes both in the same way.
    fn fields(&self, right: &Right) -> Vec<u8> {
        let (kind, pattern) = match right.resource {
            Resource::Topic => (2, LITERAL),
            Resource::Group => (3, LITERAL),
            Resource::TransactionalIds => (5, PREFIXED),
        };
        let operation = match &*right.operation {
            "Read" => 3,
            "Write" => 4,
            "Create" => 5,
            "Describe" => 8,
            "DescribeConfigs" => 10,
            other => panic!("`{other}` is no operation that is known here"),
        };
        let mut fields = vec![kind];
        fields.extend(text(&right.name));
        fields.push(pattern);
        fields.extend(text(&self.principal));
        fields.extend(text("*"));
        fields.extend([operation, ALLOW]);
        fields
    }

    /// One request on a connection of its own; what follows the header of the answer.
    fn ask(&self, api_key: i16, body: &[u8]) -> Vec<u8> {
        let (version, correlation) = (1i16.to_be_bytes(), 7i32.to_be_bytes());
        let header = [&api_key.to_be_bytes()[..], &version, &correlation, &text("test")].concat();
        let n_bytes = i32::try_from(header.len() + body.len()).unwrap();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        stream.write_all(&[&n_bytes.to_be_bytes()[..], &header, body].concat()).unwrap();
        let mut n_bytes = [0; 4];
        stream.read_exact(&mut n_bytes).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(n_bytes) as usize];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..4], correlation);
        answer.split_off(4)
    }
}

fn text(text: &str) -> Vec<u8> {
    let n_bytes = i16::try_from(text.len()).unwrap();
    [&n_bytes.to_be_bytes()[..], text.as_bytes()].concat()
}

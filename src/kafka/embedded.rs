//! A broker inside this process, for `demo`: librdkafka's mock cluster. Its transactions hide
//! nothing, it stores no transactional offsets and forgets everything with the process, so nothing
//! about exactness or durability can be learnt from it. Never used by `run`.

use std::fmt;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::config::Kafka;

/// Partitions of the input, and so of the changelog.
const INPUT_PARTITIONS: i32 = 4;
/// The mock keeps 5 MiB a partition and drops what is older, read or not. The scores of the shop's
/// whole story are some 50 MB, the input 13 MB: spread so wide, a slow reader loses nothing.
const SCORES_PARTITIONS: i32 = 16;
/// The broker is alone, so nothing has a second copy.
const REPLICATION: i32 = 1;

/// A running broker with its topics; it ends when dropped, so it must outlive its clients.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("address", &self.address()).finish()
    }
}

impl Broker {
    /// Starts a broker on a free port of the loopback address.
    ///
    /// # Errors
    /// What librdkafka says.
    pub fn start() -> Result<Self, String> {
        MockCluster::new(1)
            .map(|cluster| Self { cluster })
            .map_err(|error| format!("the embedded broker cannot start: {error}"))
    }

    /// Where it listens, for `kafka.brokers`.
    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Creates the topics that a processor needs.
    ///
    /// # Errors
    /// The topic, and what librdkafka says.
    pub fn create_topics(&self, kafka: &Kafka) -> Result<(), String> {
        let topics = [
            (&kafka.input_topic, INPUT_PARTITIONS),
            (&kafka.changelog_topic, INPUT_PARTITIONS),
            (&kafka.signals_topic, INPUT_PARTITIONS),
            (&kafka.dlq_topic, INPUT_PARTITIONS),
            (&kafka.scores_topic, SCORES_PARTITIONS),
        ];
        topics.into_iter().try_for_each(|(topic, n_partitions)| {
            self.cluster.create_topic(topic, n_partitions, REPLICATION).map_err(|error| {
                format!("topic `{topic}` cannot be created on the embedded broker: {error}")
            })
        })
    }
}

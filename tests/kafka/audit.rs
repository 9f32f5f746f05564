//! The books of a run of any length: the input is read once more, by an engine in memory, and
//! what lies on the topics must be the same. Nothing is held but hashes of what was written. Read
//! with `read_committed`.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::hash::{DefaultHasher, Hash, Hasher};

use lifetide::config::Emit;
use lifetide::record::changelog::Key;
use lifetide::record::dead_letter::DeadLetter;
use lifetide::record::marker::Marker;

use crate::recount::Recounter;
use crate::support::deployment::Deployment;
use crate::support::topics::Record;

/// Differences that a failure shows.
const SHOWN_MAX: usize = 5;

/// What was found on the topics, all of it as it must be.
pub(crate) struct Books {
    pub(crate) records: u64,
    customers: usize,
    signals: usize,
    letters: usize,
}

impl Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, customers, signals, letters } = self;
        write!(
            f,
            "{records} records of {customers} customers, {signals} signals, {letters} refused"
        )
    }
}

/// Holds the topics against the input. The processes have stopped.
pub(crate) fn audit(deployment: &Deployment) -> Books {
    let topics = &deployment.topics;
    let input = deployment.topic("events");
    let ends = topics.end_offsets(&input);
    let mut recounter = Recounter::new(&deployment.config(), &input, ends.len(), Emit::Commit);
    let (mut n_records, mut refused) = (0, BTreeMap::new());
    topics.scan(&input, "read_committed", |record| {
        n_records += 1;
        if record.payload.as_deref().is_some_and(|payload| payload.starts_with(b"poison")) {
            refused.insert((record.partition, record.offset), "not_json");
        }
        recounter.take(&record);
    });
    let recount = recounter.finish();

    let mut letters = BTreeMap::new();
    topics.scan(&deployment.topic("refused"), "read_committed", |record| {
        let Record { key, payload, headers, .. } = record;
        let headers = headers.into_iter().map(|(name, value)| (name, Some(value))).collect();
        let letter = DeadLetter { key, payload, headers };
        let origin = letter.read().unwrap();
        let reason = origin.rejection.reason.as_str();
        let other = letters.insert((origin.partition, origin.offset), reason);
        assert_eq!(other, None, "a second letter: {origin:?}");
    });
    let n_letters = letters.len();
    same("letter", refused, letters);

    let mut scores = BTreeMap::new();
    topics.scan(&deployment.topic("scores"), "read_committed", |record| {
        scores.insert(record.key.unwrap(), hash(&record.payload.unwrap()));
    });
    let last = |values: Vec<Vec<u8>>| hash(values.last().unwrap());
    same("score", map(recount.scores, last), scores);

    let mut signals: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
    topics.scan(&deployment.topic("signals"), "read_committed", |record| {
        signals.entry(record.key.unwrap()).or_default().push(hash(&record.payload.unwrap()));
    });
    let n_signals = signals.values().map(Vec::len).sum();
    let all = |values: Vec<Vec<u8>>| values.iter().map(|it| hash(it)).collect::<Vec<_>>();
    same("signal", map(recount.signals, all), signals);

    let (mut state, mut marked) = (BTreeMap::new(), BTreeMap::new());
    topics.scan(&deployment.topic("state"), "read_committed", |record| {
        let (place, value) = ((record.partition, record.key.unwrap()), record.payload);
        if let (Ok(Key::Marker), Some(value)) = (Key::read(&place.1), &value) {
            marked.insert(place.0, Some(Marker::read(value).unwrap().offset_next));
        }
        match value {
            Some(value) => state.insert(place, hash(&value)),
            None => state.remove(&place),
        };
    });
    let n_customers = state.len() - marked.len();
    same("state", map(recount.state, last), state);
    let committed = deployment.watch().committed();
    assert_eq!(marked.into_values().collect::<Vec<_>>(), committed, "markers and the group");
    let read_to: Vec<i64> = committed.into_iter().flatten().collect();
    assert_eq!(read_to, ends, "where the group is, and where the input ends");
    Books { records: n_records, customers: n_customers, signals: n_signals, letters: n_letters }
}

fn map<K: Ord, V, W>(values: BTreeMap<K, V>, change: impl Fn(V) -> W) -> BTreeMap<K, W> {
    values.into_iter().map(|(key, value)| (key, change(value))).collect()
}

/// Fails with the first keys at which the two differ.
fn same<K: Ord + Debug, V: PartialEq>(
    what: &str,
    expected: BTreeMap<K, V>,
    mut found: BTreeMap<K, V>,
) {
    let mut differing = Vec::new();
    for (key, value) in expected {
        match found.remove(&key) {
            Some(other) if other == value => {}
            Some(_) => differing.push(format!("{key:?} is another")),
            None => differing.push(format!("{key:?} is missing")),
        }
    }
    differing.extend(found.into_keys().map(|key| format!("{key:?} is too many")));
    let shown = &differing[..differing.len().min(SHOWN_MAX)];
    assert!(differing.is_empty(), "{} of `{what}` differ: {}", differing.len(), shown.join(", "));
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

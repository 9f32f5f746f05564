//! A refused record as it goes to the dead-letter topic: the original, bounded so that it always
//! fits a message, and headers that say why it was refused and where it lies in the input topic.
//! Pure. Written by the engine in the batch's transaction, read back by whoever mends the record.

use std::fmt::Display;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128;

use crate::event::{Reason, Rejection};

/// The longest payload that is kept. With the bounds of key and headers it stays below the
/// brokers' default `message.max.bytes` of 1,048,588.
pub const DEAD_LETTER_PAYLOAD_BYTES_MAX: usize = 900_000;
/// The longest key that is kept, in bytes.
pub const DEAD_LETTER_KEY_BYTES_MAX: usize = 64 * 1024;
/// How much of the original headers is kept, in bytes.
pub const DEAD_LETTER_HEADERS_BYTES_MAX: usize = 64 * 1024;

/// What a header takes beside its name and value: two lengths.
const HEADER_BYTES_OVERHEAD: usize = 10;

const REASON: &str = "lifetide.reason";
const DETAIL: &str = "lifetide.detail";
const TOPIC: &str = "lifetide.topic";
const PARTITION: &str = "lifetide.partition";
const N_PARTITIONS: &str = "lifetide.partitions";
const OFFSET: &str = "lifetide.offset";
const PAYLOAD_BYTES: &str = "lifetide.truncated_from_bytes";
const KEY_BYTES: &str = "lifetide.key_truncated_from_bytes";
const N_HEADERS_DROPPED: &str = "lifetide.headers_dropped";

/// The names above, which an original that was redriven and refused again still carries.
const OWN_NAMES: [&str; 9] = [
    REASON,
    DETAIL,
    TOPIC,
    PARTITION,
    N_PARTITIONS,
    OFFSET,
    PAYLOAD_BYTES,
    KEY_BYTES,
    N_HEADERS_DROPPED,
];

/// A record's headers in their order; a value can be null.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// A record of the input topic that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// The input topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// How many partitions the topic has.
    pub n_partitions: i32,
    /// The record's own offset.
    pub offset: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub payload: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: Headers,
}

/// A record of the dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The original key, cut at [`DEAD_LETTER_KEY_BYTES_MAX`].
    pub key: Option<Vec<u8>>,
    /// The original payload, cut at [`DEAD_LETTER_PAYLOAD_BYTES_MAX`].
    pub payload: Option<Vec<u8>>,
    /// The original headers up to [`DEAD_LETTER_HEADERS_BYTES_MAX`], then our own.
    pub headers: Headers,
}

/// What the headers of a dead letter tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Why the record was refused.
    pub rejection: Rejection,
    /// The topic in which it lies.
    pub topic: String,
    /// The partition in which it lies.
    pub partition: i32,
    /// How many partitions the topic had then; absent from letters of earlier versions.
    pub n_partitions: Option<i32>,
    /// The record's own offset.
    pub offset: i64,
    /// Whether key, payload and headers are the original's in full. If not, the whole record is
    /// to be had only from its place in `topic`.
    pub is_whole: bool,
    /// The original headers, as far as they were kept.
    pub headers: Headers,
}

impl DeadLetter {
    /// The same for every letter of one record, and for no other record's: its place, and what it
    /// says.
    pub fn identity(&self, origin: &Origin) -> u128 {
        let key = self.key.as_deref();
        let Origin { topic, partition, offset, .. } = origin;
        let mut bytes =
            format!("{topic} {partition} {offset} {:?} ", key.map(<[u8]>::len)).into_bytes();
        bytes.extend_from_slice(key.unwrap_or_default());
        bytes.extend_from_slice(self.payload.as_deref().unwrap_or_default());
        xxh3_128(&bytes)
    }

    /// The dead letter of a refused record.
    pub fn new(refused: Refused<'_>, rejection: &Rejection) -> Self {
        let (mut headers, n_dropped) = bounded(refused.headers);
        let mut add = |name: &str, value: &dyn Display| {
            headers.push((name.to_owned(), Some(value.to_string().into_bytes())));
        };
        add(REASON, &rejection.reason);
        add(DETAIL, &rejection.detail);
        add(TOPIC, &refused.topic);
        add(PARTITION, &refused.partition);
        add(N_PARTITIONS, &refused.n_partitions);
        add(OFFSET, &refused.offset);
        let mut cut = |bytes: Option<&[u8]>, bytes_max: usize, name: &str| {
            let bytes = bytes?;
            if bytes.len() > bytes_max {
                add(name, &bytes.len());
            }
            Some(bytes[..bytes.len().min(bytes_max)].to_vec())
        };
        let payload = cut(refused.payload, DEAD_LETTER_PAYLOAD_BYTES_MAX, PAYLOAD_BYTES);
        let key = cut(refused.key, DEAD_LETTER_KEY_BYTES_MAX, KEY_BYTES);
        if n_dropped > 0 {
            add(N_HEADERS_DROPPED, &n_dropped);
        }
        Self { key, payload, headers }
    }

    /// Reads back why the record was refused and where it came from.
    ///
    /// # Errors
    /// A sentence that names the header which is missing or unreadable.
    pub fn read(&self) -> Result<Origin, String> {
        let is_own = |name: &str| OWN_NAMES.contains(&name);
        let reason = self.text(REASON)?;
        let reason = Reason::parse(reason)
            .ok_or_else(|| format!("header `{REASON}` holds the unknown reason `{reason}`"))?;
        let originals = self.headers.iter().filter(|(name, _)| !is_own(name));
        Ok(Origin {
            rejection: Rejection { reason, detail: self.text(DETAIL)?.to_owned() },
            topic: self.text(TOPIC)?.to_owned(),
            partition: self.number(PARTITION)?,
            n_partitions: self.has(N_PARTITIONS).then(|| self.number(N_PARTITIONS)).transpose()?,
            offset: self.number(OFFSET)?,
            is_whole: ![PAYLOAD_BYTES, KEY_BYTES, N_HEADERS_DROPPED]
                .into_iter()
                .any(|name| self.has(name)),
            headers: originals.cloned().collect(),
        })
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(header, _)| header == name)
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let value = self.headers.iter().find(|(header, _)| header == name);
        let value = value.and_then(|(_, value)| value.as_deref());
        let value = value.ok_or_else(|| {
            format!("header `{name}` is missing; the record is not a dead letter of lifetide")
        })?;
        std::str::from_utf8(value).map_err(|_| format!("header `{name}` is not UTF-8 text"))
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let value = self.text(name)?;
        value.parse().map_err(|_| format!("header `{name}` holds `{value}`, which is no number"))
    }
}

/// The headers without our own, up to the first that would pass the bound, and how many are
/// missing from there on.
fn bounded(mut originals: Headers) -> (Headers, usize) {
    originals.retain(|(name, _)| !OWN_NAMES.contains(&name.as_str()));
    let mut n_bytes = 0;
    let n_kept = originals
        .iter()
        .take_while(|(name, value)| {
            n_bytes += name.len() + value.as_ref().map_or(0, Vec::len) + HEADER_BYTES_OVERHEAD;
            n_bytes <= DEAD_LETTER_HEADERS_BYTES_MAX
        })
        .count();
    let n_dropped = originals.len() - n_kept;
    originals.truncate(n_kept);
    (originals, n_dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DETAIL_BYTES_MAX;

    fn header(name: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
        (name.to_owned(), Some(value.to_vec()))
    }

    fn refused() -> Refused<'static> {
        let headers = vec![header("trace", b"\xff\0"), ("null".to_owned(), None)];
        let (key, payload) = (Some(&b"c\x001"[..]), Some(&b"{\"type\":\xff"[..]));
        let (topic, partition, n_partitions) = ("checkout.events", 3, 12);
        Refused { topic, partition, n_partitions, offset: 41, key, payload, headers }
    }

    fn rejection() -> Rejection {
        Rejection { reason: Reason::NotJson, detail: "not UTF-8 text: at `ü`".to_owned() }
    }

    /// Goal: the headers are a published format; other programs read them.
    #[test]
    fn a_dead_letter_is_the_original_and_our_headers_byte_for_byte() {
        let letter = DeadLetter::new(refused(), &rejection());
        let golden = DeadLetter {
            key: Some(b"c\x001".to_vec()),
            payload: Some(b"{\"type\":\xff".to_vec()),
            headers: vec![
                header("trace", b"\xff\0"),
                ("null".to_owned(), None),
                header("lifetide.reason", b"not_json"),
                header("lifetide.detail", b"not UTF-8 text: at `\xc3\xbc`"),
                header("lifetide.topic", b"checkout.events"),
                header("lifetide.partition", b"3"),
                header("lifetide.partitions", b"12"),
                header("lifetide.offset", b"41"),
            ],
        };
        assert_eq!(letter, golden);
        let origin = Origin {
            rejection: rejection(),
            topic: "checkout.events".to_owned(),
            partition: 3,
            n_partitions: Some(12),
            offset: 41,
            is_whole: true,
            headers: refused().headers,
        };
        assert_eq!(letter.read(), Ok(origin));
    }

    #[test]
    fn a_missing_key_and_a_tombstone_stay_what_they_are() {
        let letter =
            DeadLetter::new(Refused { key: None, payload: None, ..refused() }, &rejection());
        assert_eq!((&letter.key, &letter.payload), (&None, &None));
        assert!(letter.read().unwrap().is_whole);
    }

    #[test]
    fn a_letter_of_an_earlier_version_tells_no_partition_count() {
        let mut letter = DeadLetter::new(refused(), &rejection());
        letter.headers.retain(|(name, _)| name != N_PARTITIONS);
        assert_eq!(letter.read().unwrap().n_partitions, None);
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let payload = vec![b'p'; DEAD_LETTER_PAYLOAD_BYTES_MAX + 1];
        let key = vec![b'k'; DEAD_LETTER_KEY_BYTES_MAX + 1];
        let headers = (0..40).map(|i| header("x", &[i; 2037])).collect();
        let long = Refused { payload: Some(&payload), key: Some(&key), headers, ..refused() };
        let letter = DeadLetter::new(long, &rejection());
        assert_eq!(letter.payload.as_ref().unwrap().len(), DEAD_LETTER_PAYLOAD_BYTES_MAX);
        assert_eq!(letter.key.as_ref().unwrap().len(), DEAD_LETTER_KEY_BYTES_MAX);
        let (kept, own) = letter.headers.split_at(32);
        assert!((0..32).zip(kept).all(|(i, kept)| *kept == header("x", &[i; 2037])));
        let marks = [
            header("lifetide.truncated_from_bytes", b"900001"),
            header("lifetide.key_truncated_from_bytes", b"65537"),
            header("lifetide.headers_dropped", b"8"),
        ];
        assert_eq!(own[6..], marks);
        let origin = letter.read().unwrap();
        assert_eq!((origin.is_whole, origin.offset), (false, 41));
    }

    #[test]
    fn what_just_fits_is_kept_whole() {
        let payload = vec![b'p'; DEAD_LETTER_PAYLOAD_BYTES_MAX];
        let key = vec![b'k'; DEAD_LETTER_KEY_BYTES_MAX];
        let headers = vec![header("x", &vec![0; DEAD_LETTER_HEADERS_BYTES_MAX - 11])];
        let fits = Refused { payload: Some(&payload), key: Some(&key), headers, ..refused() };
        let letter = DeadLetter::new(fits, &rejection());
        assert!(letter.read().unwrap().is_whole);
        assert_eq!(letter.headers.len(), 7);
    }

    /// Goal: the largest dead letter fits a message under the brokers' default bound.
    #[test]
    fn no_record_makes_a_dead_letter_that_a_broker_refuses() {
        let bytes = vec![b'x'; 2_000_000];
        let detail = "x".repeat(DETAIL_BYTES_MAX);
        let topic = "t".repeat(249);
        for value in ["", "1", &"v".repeat(500)] {
            let headers = vec![header("", value.as_bytes()); 20_000];
            let (key, payload) = (Some(&bytes[..]), Some(&bytes[..]));
            let (partition, n_partitions, offset) = (i32::MAX, i32::MAX, i64::MAX);
            let topic = &topic;
            let huge = Refused { topic, partition, n_partitions, offset, key, payload, headers };
            let rejection = Rejection { reason: Reason::TooLarge, detail: detail.clone() };
            let letter = DeadLetter::new(huge, &rejection);
            let fields: usize = letter
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) + 10)
                .sum();
            let n_bytes = fields + letter.key.unwrap().len() + letter.payload.unwrap().len();
            assert!(n_bytes + 100 < 1_048_588, "{n_bytes}");
        }
    }

    #[test]
    fn a_record_that_is_refused_again_tells_only_of_the_last_time() {
        let first = DeadLetter::new(refused(), &rejection());
        let again = Refused { offset: 99, headers: first.headers, ..refused() };
        let rejection = Rejection { reason: Reason::Future, detail: "later".to_owned() };
        let origin = DeadLetter::new(again, &rejection).read().unwrap();
        assert_eq!((origin.offset, origin.rejection), (99, rejection));
        assert_eq!(origin.headers, refused().headers);
    }

    #[test]
    fn a_record_that_is_no_dead_letter_names_the_header_at_fault() {
        for (name, value, expect) in [
            (REASON, None, "header `lifetide.reason` is missing"),
            (REASON, Some("bored"), "`lifetide.reason` holds the unknown reason `bored`"),
            (DETAIL, None, "header `lifetide.detail` is missing"),
            (TOPIC, None, "header `lifetide.topic` is missing"),
            (PARTITION, Some("3000000000"), "`lifetide.partition` holds `3000000000`"),
            (N_PARTITIONS, Some(""), "`lifetide.partitions` holds ``, which is no number"),
            (OFFSET, Some("x"), "`lifetide.offset` holds `x`, which is no number"),
        ] {
            let mut letter = DeadLetter::new(refused(), &rejection());
            letter.headers.retain(|(header, _)| header != name);
            letter.headers.extend(value.map(|value| header(name, value.as_bytes())));
            let error = letter.read().unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
    }
}

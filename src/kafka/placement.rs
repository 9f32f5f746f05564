//! Where producers put a key: the two partitioners that Kafka's clients use by default. It guesses
//! nothing; `custom` and `repartition` find out which of them has placed what is there, and
//! `redrive` where a key of an old partition count lies now.

/// A way from a key to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioner {
    /// Java clients; `murmur2_random` of librdkafka.
    Murmur2,
    /// `consistent_random`, the default of librdkafka.
    Crc32,
}

impl Partitioner {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Murmur2, Self::Crc32];

    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Murmur2 => "murmur2",
            Self::Crc32 => "crc32",
        }
    }

    /// The partition of a key among `n_partitions`.
    pub fn place(self, key: &[u8], n_partitions: i32) -> i32 {
        let hash = match self {
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Self::Crc32 => crc32(key),
        };
        let n_partitions = u32::try_from(n_partitions).unwrap_or(1).max(1);
        i32::try_from(hash % n_partitions).unwrap_or(0)
    }
}

/// Where a key lies among `n_after` that a producer has put at `partition` among `n_before`;
/// nothing if no partitioner has, or both have and differ now.
pub fn follow(key: &[u8], partition: i32, n_before: i32, n_after: i32) -> Option<i32> {
    let explains = |it: &Partitioner| it.place(key, n_before) == partition;
    let mut places = Partitioner::ALL.into_iter().filter(explains).map(|it| it.place(key, n_after));
    let place = places.next()?;
    places.all(|other| other == place).then_some(place)
}

/// Murmur2 with the seed of Kafka's clients.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let n_bytes = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ n_bytes;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ (word >> 24)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The checksum of Ethernet and zip.
fn crc32(key: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !key.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys and hashes of Kafka's own tests of murmur2; the check value of CRC-32.
    #[test]
    fn hashes_are_those_of_kafkas_clients() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(Partitioner::Murmur2.place(b"21", 4), (-973_932_308_i32).rem_euclid(4));
        assert_eq!(Partitioner::Crc32.place(b"123456789", 7), 5);
    }

    #[test]
    fn a_key_is_followed_by_the_partitioner_that_has_put_it_there() {
        for n in 0..200 {
            let key = format!("customer {n}");
            let places = |n| Partitioner::ALL.map(|it| it.place(key.as_bytes(), n));
            let ([murmur2, crc32], now) = (places(4), places(7));
            for partition in 0..4 {
                let expect = match (partition == murmur2, partition == crc32) {
                    (true, true) => (now[0] == now[1]).then_some(now[0]),
                    (true, false) => Some(now[0]),
                    (false, true) => Some(now[1]),
                    (false, false) => None,
                };
                assert_eq!(follow(key.as_bytes(), partition, 4, 7), expect, "{key}");
            }
        }
    }
}

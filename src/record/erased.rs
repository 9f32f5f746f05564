//! What the changelog keeps of an erased customer: under a hash of the id, when. Written by
//! `engine`, read on restore.

use xxhash_rust::xxh3::xxh3_128;

/// A hash of a customer's id, wide enough that no two customers ever share one.
pub type ErasedHash = [u8; 16];

/// The hash of an id.
pub fn hash_of(customer_id: &str) -> ErasedHash {
    xxh3_128(customer_id.as_bytes()).to_be_bytes()
}

/// The version of this form.
const VERSION: u8 = 1;

/// The record's value: version, then the time of the erasure in milliseconds since 1970.
pub fn encode(at_ms: i64) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&at_ms.to_be_bytes());
    value
}

/// Reads a record's value.
///
/// # Errors
/// A version that this program does not know, or a value of another length.
pub fn decode(value: &[u8]) -> Result<i64, String> {
    match value {
        [VERSION, at_ms @ ..] => at_ms
            .try_into()
            .map(i64::from_be_bytes)
            .map_err(|_| format!("an erasure has `9` bytes, got `{}`", value.len())),
        [version, ..] => Err(format!(
            "version `{version}` of an erasure is not known: run the version that wrote it, or a \
             newer one"
        )),
        [] => Err("an erasure has `9` bytes, got `0`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_an_erasure_are_pinned_and_read_back() {
        let value = encode(1_714_564_800_007);
        assert_eq!(value, [1, 0, 0, 1, 143, 52, 6, 158, 7]);
        assert_eq!(decode(&value), Ok(1_714_564_800_007));
        for broken in [&[][..], &[2], &value[..8]] {
            assert!(decode(broken).is_err());
        }
        assert!(decode(&[2]).unwrap_err().starts_with("version `2` of an erasure is not known"));
    }
}

//! A changelog that an earlier release has written: it is read, gone on from, and written anew.

use std::collections::BTreeMap;

use super::broker::{Transaction, Written};
use super::workload::Shop;
use super::world::{Setup, World};
use crate::config::Emit;
use crate::customer::{Customer, Path};
use crate::engine::Topic;
use crate::record::changelog::{self, Key};
use crate::record::marker::Marker;

/// Keys and values as hexadecimal digits, with version 1 of values and a marker that counts
/// nothing: what the release 0.1.0 has left of the beginning of [`shop`]'s log.
const VERSION_1: &str = include_str!("../../../tests/data/changelog_v1.txt");

fn shop() -> Shop {
    Shop { seed: 11, n_partitions: 1, n_customers: 9, n_days: 420, is_in_order: false }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(digit).collect()
}

fn fixture() -> BTreeMap<Vec<u8>, Vec<u8>> {
    let record = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        (bytes(key), bytes(value))
    };
    VERSION_1.lines().map(record).collect()
}

/// State without what the thresholds of decline have decided, for that release had others.
fn settled(
    state: &BTreeMap<(i32, Vec<u8>), Vec<u8>>,
) -> BTreeMap<(i32, Vec<u8>), Result<Customer, Vec<u8>>> {
    let settle = |(_, key): &(i32, Vec<u8>), value: &Vec<u8>| {
        if key[0] != b'c' {
            return Err(value.clone());
        }
        let mut customer = changelog::decode(value).unwrap();
        let Path { high_value_reached, source, recent, .. } = customer.path;
        customer.path = Path { high_value_reached, source, recent, ..Path::default() };
        Ok(customer)
    };
    state.iter().map(|(place, value)| (place.clone(), settle(place, value))).collect()
}

#[test]
fn the_changelog_of_the_first_release_goes_on_as_if_nothing_had_happened() {
    let setup = Setup::new(Emit::Event);
    let mut whole = World::new(&setup, &shop().logs());
    whole.run().unwrap();

    let written = fixture().into_iter().map(|(key, value)| Written {
        topic: Topic::Changelog,
        partition: Some(0),
        key,
        value: Some(value),
        headers: Vec::new(),
    });
    let marker = Marker::read(&fixture()[&Key::Marker.write()]).unwrap();
    assert_eq!((marker.codec, marker.n_customers), (1, None));
    let offsets = BTreeMap::from([(0, marker.offset_next)]);
    let mut upgraded = World::idle(&setup, shop().logs());
    {
        let mut broker = upgraded.broker.0.borrow_mut();
        broker.offsets.clone_from(&offsets);
        broker.committed.push(Transaction { written: written.collect(), offsets });
    }
    upgraded.restart();
    upgraded.run().unwrap();

    let (expected, found) = (whole.outcome(), upgraded.outcome());
    let (found_state, expected_state) = (settled(&found.state), settled(&expected.state));
    assert_eq!(found_state, expected_state);
    assert_eq!(found.offsets, expected.offsets);
    let marker = Marker::read(&found.state[&(0, Key::Marker.write())]).unwrap();
    let is_customer = |(_, key): &&(i32, Vec<u8>)| key[0] == b'c';
    let n_customers = found.state.keys().filter(is_customer).count();
    assert_eq!(marker.n_customers, Some(i64::try_from(n_customers).unwrap()));
    let changed = fixture().into_iter().filter(|(key, value)| {
        key[0] == b'c' && found.state.get(&(0, key.clone())).is_some_and(|now| now != value)
    });
    let mut n_changed = 0;
    for (key, _) in changed {
        assert_eq!(found.state[&(0, key)][0], changelog::VERSION);
        n_changed += 1;
    }
    assert!(n_changed > 1, "too few have changed since");
}

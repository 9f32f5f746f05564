//! A customer in the store: found, replaced and removed, and visited while others change.

use std::collections::BTreeMap;

use super::*;

fn value(customers: &Customers, id: &str) -> Option<(Option<Day>, Vec<u8>)> {
    customers.get(id, |entry| (entry.due, entry.value.to_vec()))
}

#[test]
fn a_customer_is_found_replaced_and_removed() {
    let customers = Customers::default();
    assert_eq!(value(&customers, "ada"), None);
    customers.put("ada", Some(Day(7)), b"one");
    customers.put("bob", None, b"");
    customers.put("ada", Some(Day(-8)), b"two");
    assert_eq!(value(&customers, "ada"), Some((Some(Day(-8)), b"two".to_vec())));
    assert_eq!(value(&customers, "bob"), Some((None, Vec::new())));
    assert_eq!(customers.n_customers(), 2);
    customers.remove("ada");
    customers.remove("nobody");
    assert_eq!(value(&customers, "ada"), None);
    assert_eq!(customers.n_customers(), 1);
    customers.remove("bob");
    assert_eq!((customers.n_customers(), customers.n_bytes()), (0, 0));
    assert!(customers.buckets.is_empty());
}

#[test]
fn customers_whose_hashes_collide_stay_apart() {
    let put = |bucket: Bucket, id, value| bucket.with(id, Some(Entry { id, due: None, value }));
    let both = put(put(Bucket::default(), "ada", b"1"), "bob", b"22");
    assert_eq!(both.measure().0, 2);
    let changed = put(both, "ada", b"333");
    let seen: Vec<_> = changed.entries().map(|entry| (entry.id, entry.value)).collect();
    assert_eq!(seen, [("bob", b"22".as_slice()), ("ada", b"333".as_slice())]);
    let left = changed.with("bob", None);
    assert_eq!(left.entries().map(|entry| entry.id).collect::<Vec<_>>(), ["ada"]);
    assert!(left.with("ada", None).0.is_empty());
}

const N: u16 = 50;

fn put_all(customers: &Customers, value: &[u8]) {
    (0..N).for_each(|n| customers.put(&n.to_string(), None, value));
}

#[test]
fn who_visits_copies_holds_up_nobody_who_changes_customers() {
    let customers = testing::few_shards();
    put_all(&customers, b"old");
    let mut seen = BTreeMap::new();
    customers.visit_copies(|entry| {
        let customers = Arc::clone(&customers);
        testing::meanwhile(move || put_all(&customers, b"new"));
        seen.insert(entry.id.to_owned(), entry.value.to_vec());
        ControlFlow::Continue(())
    });
    assert_eq!(seen.len(), usize::from(N));
    assert_eq!(seen.values().filter(|value| **value == b"old").count(), 1);
}

#[test]
fn who_sets_the_days_of_all_customers_holds_up_no_reader() {
    let customers = testing::few_shards();
    put_all(&customers, b"");
    customers.set_due_days(|entry| {
        let customers = Arc::clone(&customers);
        let is_here = move |n: u16| value(&customers, &n.to_string()).is_some();
        assert!(testing::meanwhile(move || (0..N).all(is_here)));
        Some(Day(entry.id.parse().unwrap()))
    });
    for n in 0..N {
        let expect = Some((Some(Day(n.into())), Vec::new()));
        assert_eq!(value(&customers, &n.to_string()), expect);
    }
}

#[test]
fn a_visit_ends_where_it_is_broken_off() {
    let customers = Customers::default();
    for id in ["ada", "bob", "eve"] {
        customers.put(id, None, b"");
    }
    let mut n_visited = 0;
    customers.visit_copies(|_| {
        n_visited += 1;
        if n_visited == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(n_visited, 2);
}

#[test]
fn only_owned_partitions_are_searched() {
    let store = Store::default();
    let customers = Arc::new(Customers::default());
    customers.put("ada", None, b"1");
    store.insert(3, Arc::clone(&customers));
    store.insert(1, Arc::default());
    assert_eq!(store.owned(), [1, 3]);
    let found = store.find("ada").unwrap();
    assert_eq!((found.partition, found.value), (3, b"1".to_vec()));
    store.remove(3, &Arc::default());
    assert!(store.find("ada").is_some());
    store.remove(3, &customers);
    assert!(store.find("ada").is_none());
}

//! What a rebuild refuses, what it gives up when it is told to, and what an earlier release wrote.

use super::*;
use crate::engine::tests::pipeline;
use crate::money::Currency;
use crate::record::marker::CODEC_VERSION;

const N_PARTITIONS: i32 = 4;

fn ground() -> Ground {
    Ground {
        currency: Currency::parse("EUR").unwrap(),
        time_zone: "UTC".to_owned(),
        n_partitions: N_PARTITIONS,
        input_topic: "in".to_owned(),
        group_id: "g".to_owned(),
    }
}

fn marker(offset_next: i64, n_customers: Option<i64>) -> Marker {
    Marker { n_customers, n_erased: n_customers.map(|_| 0), ..ground().marker(offset_next) }
}

/// A changelog: key and value of each record.
type Log = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn customer(id: &str, value: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    (Key::Customer(id).write(), Some(value.to_vec()))
}

fn marked(marker: &Marker) -> (Vec<u8>, Option<Vec<u8>>) {
    (Key::Marker.write(), Some(marker.to_json()))
}

fn rebuild(log: &Log, bounds: Bounds, on_loss: OnLoss) -> Result<Restored, String> {
    let pipeline = pipeline();
    let mut rebuild = Rebuild::new(on_loss);
    for (offset, (key, value)) in (0..).zip(log) {
        rebuild.take(offset, Some(key), value.as_deref());
    }
    rebuild.finish(0, 1, bounds, &ground(), &pipeline)
}

/// Whole state goes on at `expect`, asked to accept losses or not.
fn check_whole(log: &Log, bounds: Bounds, expect: Option<i64>) {
    for on_loss in [OnLoss::Refuse, OnLoss::Accept] {
        let restored = rebuild(log, bounds, on_loss).unwrap();
        assert_eq!((restored.offset_next, restored.mending), (expect, None));
    }
}

/// A loss is refused with these words and the flag; accepted, it goes on at `expect` with so many
/// customers, and says what it gave up.
fn check_loss(log: &Log, bounds: Bounds, words: &str, expect: i64, n_customers: i64) -> Mending {
    let fault = rebuild(log, bounds, OnLoss::Refuse).unwrap_err();
    assert!(fault.contains(words) && fault.contains("--accept-loss"), "{fault}");
    let restored = rebuild(log, bounds, OnLoss::Accept).unwrap();
    assert_eq!(restored.offset_next, Some(expect), "{words}");
    assert_eq!(restored.customers.n_customers(), n_customers, "{words}");
    let mending = restored.mending.unwrap();
    assert!(mending.losses.iter().any(|loss| loss.contains(words)), "{:?}", mending.losses);
    mending
}

fn empty() -> Vec<u8> {
    changelog::encode(&Customer::default())
}

fn committed(offset: i64) -> Bounds {
    Bounds { committed: Some(offset), ..Bounds::default() }
}

#[test]
fn state_and_offset_must_agree_or_the_start_is_refused() {
    let log = vec![customer("ada", &empty()), marked(&marker(7, Some(1)))];
    check_whole(&Log::new(), Bounds::default(), None);
    check_whole(&log, Bounds::default(), Some(7));
    check_whole(&log, committed(7), Some(7));
    check_loss(&log, committed(8), "`7` is next and the group says `8`", 7, 1);
    check_loss(&log, committed(6), "`7` is next and the group says `6`", 7, 1);
    check_loss(&Log::new(), committed(7), "has no marker", 7, 0);
    let unmarked = &log[..1].to_vec();
    check_loss(unmarked, committed(7), "`1` customers but no marker", 7, 1);
    let bounds = Bounds { low: 3, ..Bounds::default() };
    check_loss(unmarked, bounds, "at the oldest record", 3, 1);
}

#[test]
fn a_place_whose_records_are_deleted_is_refused() {
    let log = vec![customer("ada", &empty()), marked(&marker(7, Some(1)))];
    check_whole(&log, Bounds { low: 7, ..committed(7) }, Some(7));
    let bounds = Bounds { low: 9, ..committed(7) };
    check_loss(&log, bounds, "`7` is next and the oldest record of the input is `9`", 9, 1);
}

#[test]
fn a_changelog_whose_beginning_is_deleted_is_refused_until_that_is_accepted() {
    let mut accepted = marker(7, Some(1));
    let log = vec![customer("ada", &empty()), marked(&accepted)];
    let bounds = Bounds { changelog_low: 5, ..committed(7) };
    check_loss(&log, bounds, "the changelog begins at offset `5`", 7, 1);
    assert_eq!(rebuild(&log, bounds, OnLoss::Accept).unwrap().changelog_low, Some(5));

    accepted.changelog_low = Some(5);
    let log = vec![customer("ada", &empty()), marked(&accepted)];
    check_whole(&log, bounds, Some(7));
    let bounds = Bounds { changelog_low: 6, ..committed(7) };
    check_loss(&log, bounds, "the changelog begins at offset `6`", 7, 1);
}

#[test]
fn what_the_marker_counts_must_be_there() {
    let log = |n_customers| vec![customer("ada", &empty()), marked(&marker(7, n_customers))];
    check_whole(&log(Some(1)), committed(7), Some(7));
    // Markers of earlier releases count nothing.
    check_whole(&log(None), committed(7), Some(7));
    check_loss(&log(Some(2)), committed(7), "counts `2` customers and `1` were found", 7, 1);
    let mut forgetful = marker(7, Some(0));
    forgetful.n_erased = Some(3);
    let log = vec![marked(&forgetful)];
    check_loss(&log, committed(7), "counts `3` erasures and `0` were found", 7, 0);
}

#[test]
fn a_value_that_cannot_be_read_is_refused_and_its_customer_given_up_on_request() {
    let newer = [&[changelog::VERSION + 1][..], &empty()[1..]].concat();
    for (value, words) in [(newer, "run the version that wrote it"), (vec![1, 0, 3], "ends within")]
    {
        let log = vec![
            customer("ada", &empty()),
            customer("bob", &empty()),
            customer("ada", &value),
            marked(&marker(7, Some(2))),
        ];
        let mending = check_loss(&log, committed(7), words, 7, 1);
        assert_eq!(mending.discard, [Key::Customer("ada").write()]);
        assert!(mending.losses[0].starts_with("`1` keys have a value"), "{:?}", mending.losses);

        assert!(mending.losses[0].contains("offset `2` of the changelog"), "{:?}", mending.losses);

        let repaired = [&log[..], &[customer("ada", &empty()), log[3].clone()]].concat();
        check_whole(&repaired, committed(7), Some(7));
    }
    let foreign = vec![(b"x".to_vec(), Some(b"y".to_vec())), marked(&marker(7, Some(0)))];
    let mending = check_loss(&foreign, committed(7), "none of this program's", 7, 0);
    assert_eq!(mending.discard, [b"x"]);
    let discarded = [&foreign[..], &[(b"x".to_vec(), None)]].concat();
    check_whole(&discarded, committed(7), Some(7));
}

#[test]
fn nothing_covers_another_ground_or_a_marker_that_cannot_be_read() {
    let mut regrown = marker(7, None);
    regrown.n_partitions = 3;
    let mut newer = marker(7, None);
    newer.codec = CODEC_VERSION + 1;
    for (marker, words) in [(regrown, "lifetide repartition"), (newer, "codec version `2`")] {
        for on_loss in [OnLoss::Refuse, OnLoss::Accept] {
            let fault = rebuild(&vec![marked(&marker)], committed(7), on_loss).unwrap_err();
            assert!(fault.contains(words) && !fault.contains("--accept-loss"), "{fault}");
        }
    }
}

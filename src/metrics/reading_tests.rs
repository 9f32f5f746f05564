//! Tests of what follows from a partition's figures at the moment of a scrape.

use super::*;

const T0: i64 = 1_700_000_000_000;

fn running_at(offset_next: i64) -> Reading {
    let mut reading = Reading::new(T0);
    reading.run_from(offset_next, T0);
    reading
}

#[test]
fn lag_is_unknown_until_an_end_is_learnt() {
    let mut reading = running_at(10);
    assert_eq!((reading.lag_records(), reading.lag_ms(T0)), (None, None));
    reading.ends(15, 15, T0);
    assert_eq!(reading.lag_records(), Some(5));
}

#[test]
fn lag_in_time_is_the_age_of_the_newest_processed_record_and_keeps_growing() {
    let mut reading = running_at(0);
    reading.ends(100, 100, T0);
    reading.committed(50, Some(T0 - 40_000), T0);
    assert_eq!(reading.lag_ms(T0), Some(40_000));
    assert_eq!(reading.lag_ms(T0 + 7_000), Some(47_000));
    reading.committed(100, Some(T0 - 1_000), T0 + 7_000);
    assert_eq!(reading.lag_ms(T0 + 60_000), Some(0));
}

#[test]
fn a_record_after_a_quiet_hour_is_no_hour_of_lag() {
    let mut reading = running_at(0);
    reading.ends(1, 1, T0);
    reading.committed(1, Some(T0), T0);
    let hour_later = T0 + 3_600_000;
    reading.ends(1, 1, hour_later - 5_000);
    reading.ends(2, 2, hour_later);
    assert_eq!(reading.lag_ms(hour_later), Some(5_000));
}

#[test]
fn lag_before_the_first_commit_counts_from_the_assignment() {
    let mut reading = running_at(0);
    reading.ends(9, 9, T0 + 1_000);
    assert_eq!(reading.lag_ms(T0 + 3_000), Some(3_000));
}

#[test]
fn an_open_transaction_ages_until_its_stable_end_moves() {
    let mut reading = running_at(10);
    reading.ends(10, 14, T0);
    reading.ends(10, 20, T0 + 5_000);
    assert_eq!(reading.open_transaction_records(), Some(10));
    assert_eq!(reading.open_transaction_ms(T0 + 8_000), Some(8_000));
    reading.ends(15, 20, T0 + 9_000);
    assert_eq!(reading.open_transaction_ms(T0 + 10_000), Some(1_000));
    reading.ends(20, 20, T0 + 11_000);
    assert_eq!(reading.open_transaction_ms(T0 + 99_000), Some(0));
    reading.ends(20, 25, T0 + 100_000);
    assert_eq!(reading.open_transaction_ms(T0 + 101_000), Some(1_000));
}

#[test]
fn a_partition_stalls_only_while_work_waits() {
    let mut reading = running_at(0);
    reading.ends(0, 0, T0);
    assert_eq!(reading.stalled_ms(T0 + 500_000), 0);
    reading.ends(3, 3, T0 + 500_000);
    assert_eq!(reading.stalled_ms(T0 + 530_000), 530_000, "the end was last known reached at T0");
    reading.committed(3, None, T0 + 531_000);
    assert_eq!(reading.stalled_ms(T0 + 600_000), 0);
}

#[test]
fn a_restore_that_does_not_advance_is_a_stall() {
    let mut reading = Reading::new(T0);
    reading.restore_from(0, 100, T0 + 1_000);
    reading.restored_to(10, 50, T0 + 2_000);
    reading.restored_to(10, 50, T0 + 9_000);
    assert_eq!(reading.stalled_ms(T0 + 12_000), 10_000);
}

#[test]
fn a_restore_says_how_far_it_is_and_how_long_it_will_take() {
    let mut reading = Reading::new(T0);
    assert_eq!(reading.restore_progress(), None);
    reading.restore_from(100, 500, T0);
    assert_eq!(reading.restore_eta_seconds(T0 + 1_000), None);
    reading.restored_to(200, 50, T0 + 2_000);
    assert_eq!(reading.restore_progress(), Some(0.25));
    assert_eq!(reading.restore_remaining(), Some(300));
    assert_eq!(reading.restore_eta_seconds(T0 + 2_000), Some(6.0));
    assert_eq!(reading.restore_rate(T0 + 2_000), Some(25.0), "compaction has left every second");
    assert_eq!(reading.run_from(7, T0 + 8_000), 8_000);
    assert_eq!(reading.restore_progress(), Some(1.0));
    assert_eq!(reading.restore_eta_seconds(T0 + 9_000), Some(0.0));
    assert_eq!(reading.restore_rate(T0 + 9_000), Some(0.0));
}

#[test]
fn an_empty_changelog_is_restored_at_once() {
    let mut reading = Reading::new(T0);
    reading.restore_from(0, 0, T0);
    assert_eq!(reading.restore_progress(), Some(1.0));
    assert_eq!(reading.restore_eta_seconds(T0), Some(0.0));
}

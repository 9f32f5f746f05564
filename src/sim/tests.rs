//! Fixed seeds, each a run of its own.

use super::*;
use crate::config::{Purpose, Sources, load};

fn plan() -> Plan {
    let sets = SETTINGS.map(str::to_owned);
    let sources = Sources {
        file: None,
        environment: Vec::new(),
        sets: &sets,
        host: None,
        check_client: |_, _| Ok(()),
        purpose: Purpose::Offline,
    };
    Plan::new(&load(&sources).unwrap(), None).unwrap()
}

#[test]
fn nothing_is_lost_or_doubled_whatever_fails() {
    let plan = plan();
    let mut total = Seen::default();
    for seed in 0..200 {
        let seen = run(seed, &plan, None).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        total.add(seen);
    }
    assert!(total.kills > 300 && total.zombies > 100 && total.signals > 100, "{total:?}");
}

#[test]
fn a_seed_is_a_run() {
    let plan = plan();
    assert_eq!(run(7, &plan, None).unwrap(), run(7, &plan, None).unwrap());
}

/// Each break of the protocol loses, doubles or stalls something in one of a few hundred runs.
#[test]
fn every_break_of_the_protocol_is_noticed() {
    let plan = plan();
    let runs = 0..300;
    let unnoticed = |flaw: &Flaw| runs.clone().all(|seed| run(seed, &plan, Some(*flaw)).is_ok());
    let missed: Vec<Flaw> = Flaw::ALL.into_iter().filter(unnoticed).collect();
    assert_eq!(missed, []);
}

//! What must be shown on a real Apache Kafka. Each test makes topics and groups of its own, named
//! at random, and says at which isolation level it reads.
//!
//! `support` starts the broker and talks to it; `broker_rules` shows that it keeps the rules on
//! which every other test here relies. `kill`, `two_processes`, `outage` and `storm` disturb the
//! processor at random moments, `aimed`, `frozen`, `moves` and `doubt` at chosen ones; `limits` and
//! `bounded` give it too much, `reload` changes its configuration under it, `stall` lets records
//! wait while nothing fails, `scale` has more processes and fewer, `repartition` gives its input
//! more partitions, `restore` takes state away, and `secure` gives it a user with few rights;
//! `import` and `redrive` disturb the commands that move records, and `fit` reads with one.
//! `equality` says what must hold all the same, by the recounts of `replay` and of `recount`, and
//! `audit` does for runs that are too long for it.
//!
//! # The catalogue
//! What has gone wrong in systems of this kind, and what must hold here all the same.
//!
//! | | what happens | what must hold |
//! |---|---|---|
//! | 1 | kill -9 between a commit and its markers | no state lost, nothing counted twice |
//! | 2 | kill -9 around each request, and in a restore | the same |
//! | 3 | a zombie goes on in its transaction | never seen; the heir waits for no more |
//! | 4 | rebalances and a new member in a restore | all run in the end, and not before |
//! | 5 | revoke while the broker is slow | budget kept, transaction aborted |
//! | 6 | assignment lost, then back | no commit tried; the process recovers |
//! | 7 | empty lists of partitions | no crash, no state dropped |
//! | 8 | poison first, or too large to keep | dead letters, and progress |
//! | 9 | far future, a year late, any order | refused; totals equal a recount |
//! | 10 | silence | timers fire once, over restarts too |
//! | 11 | input deleted unread; changelog truncated | refused, with an explanation |
//! | 12 | a transaction larger than the queue | it waits for room |
//! | 13 | 5 M records wait, with 512 MiB for all | memory stays below |
//! | 14 | the broker dies with the answer to a commit | it counts once |
//! | 15 | the input topic gets more partitions | refused, and brought along by a command |
//!
//! The tests that show it. Those of 1 to 3 and 6 have a twin in the simulation, with its orders of
//! steps: `sim::nothing_is_lost_or_doubled_whatever_fails`, and for each rule that keeps them off
//! `sim::every_break_of_the_protocol_is_noticed`.
//!
//! | | test |
//! |---|---|
//! | 1 | `doubt::who_inherits_between_a_commit_and_its_markers_waits_for_the_state` |
//! | 2 | `aimed::kills_before_and_after_each_request_of_a_transaction_leave_everything_once` |
//! | 2 | `kill::a_shuffled_history_survives_ten_kills` |
//! | 2 | `storm::a_storm_of_kills_under_load_loses_and_doubles_nothing` |
//! | 3 | `frozen::a_zombie_inside_a_transaction_shows_nothing_once_its_partitions_have_moved` |
//! | 4 | `moves::two_members_who_join_during_a_restore_leave_no_partition_behind` |
//! | 5 | `moves::a_revoke_while_the_broker_acknowledges_slowly_keeps_its_budget_and_aborts` |
//! | 5 | `two_processes::a_revoke_that_outlasts_its_budget_aborts_and_nothing_else_ends` |
//! | 6 | `frozen::a_process_that_the_group_gave_up_commits_nothing_and_joins_again` |
//! | 7 | `moves::lanes_without_a_partition_stand_idle_and_take_over_when_they_must` |
//! | 8 | `limits::poison_before_all_else_and_larger_than_a_letter_goes_to_the_dead_letters` |
//! | 8 | `bounded::poison_huge_records_and_a_customer_without_end_stop_nothing` |
//! | 9 | `kill::a_shuffled_history_survives_ten_kills` |
//! | 10 | `aimed::kills_in_transactions_of_timers_alone_raise_each_signal_once` |
//! | 11 | `limits::events_that_were_deleted_before_they_were_read_are_missed_aloud` |
//! | 11 | `limits::a_changelog_of_which_records_were_deleted_is_refused` |
//! | 12 | `limits::transactions_larger_than_the_queue_of_the_producer_wait_for_room` |
//! | 13 | `bounded::millions_of_waiting_records_are_read_in_half_a_gibibyte` |
//! | 14 | `doubt::a_commit_whose_answer_dies_with_the_broker_counts_once` |
//! | 14 | `doubt::three_processes_over_three_brokers_lose_nothing_with_one_of_each` |
//! | 15 | `limits::an_input_topic_that_has_more_partitions_is_refused_in_flight_and_at_the_start` |
//! | 15 | `repartition::scores_are_the_same_after_a_repartition_that_was_killed_once` |

#[cfg(test)]
mod aimed;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bounded;
#[cfg(test)]
mod broker_rules;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod equality;
#[cfg(test)]
mod fit;
#[cfg(test)]
mod frozen;
#[cfg(test)]
mod import;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod modelling;
#[cfg(test)]
mod moves;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod recount;
#[cfg(test)]
mod redrive;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod repartition;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod secure;
#[cfg(test)]
mod stall;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod support;
#[cfg(test)]
mod two_processes;
#[cfg(test)]
mod whereabouts;

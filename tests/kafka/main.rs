//! What must be shown on a real Apache Kafka. Each test makes topics and groups of its own, named
//! at random, and says at which isolation level it reads.
//!
//! `support` starts the broker and talks to it; `broker_rules` shows that it keeps the rules on
//! which every other test here relies. `kill`, `two_processes`, `outage` and `storm` disturb the
//! processor, `bounded` gives it too much, `scale` more processes and fewer, `repartition` its
//! input more partitions, `restore` takes state away, `secure` gives it a user with few rights, and
//! `stall` lets records wait while nothing fails; `equality` says what must hold all the same, by
//! the recounts of `replay` and of `recount`, and `audit` does for runs that are too long for it.
//! `import` and `redrive` disturb the commands that move records.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod bounded;
#[cfg(test)]
mod broker_rules;
#[cfg(test)]
mod equality;
#[cfg(test)]
mod import;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod recount;
#[cfg(test)]
mod redrive;
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

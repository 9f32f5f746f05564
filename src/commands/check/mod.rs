//! `lifetide check`: what is wrong with a configuration and its cluster, and how to mend it.
//! Reads files, asks the brokers and prints; what an answer means is decided in `topics`.
//! Creates topics only when told to, and changes none. Called by `main`.

mod findings;
mod local;
mod settings;
mod topics;

use std::env;
use std::io::{self, IsTerminal};

use anyhow::Result;

use super::{Outcome, load_config, now_ms, printed};
use crate::cli::{self, Format};
use crate::config::{Config, ConfigFaults, Purpose};
use crate::kafka::admin::{Cluster, Refusal};
use crate::kafka::clock::Ahead;
use crate::kafka::span::Spans;
use crate::record::marker::{Ground, OTHER_GROUP};
use findings::{Findings, Paper};
use topics::{Observed, Role};

/// By how much an acknowledgement's stamp may lie outside the time in which it was waited for.
const CLOCK_ERROR_MS_MAX: i64 = 1_000;

/// Checks, creates topics if asked to, and prints what it found.
///
/// # Errors
/// The configuration is wrong, or standard output cannot be written.
pub fn execute(arguments: &cli::Check) -> Result<Outcome> {
    let layers = &arguments.layers;
    let mut findings = Findings::default();
    let config = match load_config(Some(&layers.config), &layers.sets, Purpose::Cluster) {
        Ok(config) => config,
        Err(error) => {
            // On standard error it is told as by every command.
            if arguments.format == Format::Json {
                note_faults(&error, &mut findings);
                printed(findings.print_json(&mut io::stdout().lock()), Outcome::Failed)?;
            }
            return Err(error);
        }
    };
    findings.ok("config", format!("`{}` is valid", layers.config.display()));
    local::check(&config, &mut findings);
    let partitions_to_create = arguments.create_topics.then_some(arguments.partitions);
    match Cluster::new(&config.kafka) {
        Ok(cluster) => check_cluster(&cluster, &config, partitions_to_create, &mut findings),
        Err(refusal) => findings.fault(
            "client",
            format!("no client can be made: {refusal}"),
            "correct `[kafka.client]` and the files that it names",
        ),
    }
    let outcome = if findings.has_fault() { Outcome::Failed } else { Outcome::Done };
    let mut out = io::stdout().lock();
    let done = match arguments.format {
        Format::Text => findings.print(&mut out, paper()),
        Format::Json => findings.print_json(&mut out),
    };
    printed(done, outcome)
}

/// A terminal has a width, and colours unless somebody minds them; a pipe has neither.
fn paper() -> Paper {
    if !io::stdout().is_terminal() {
        return Paper::default();
    }
    let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|value| value == "dumb");
    let size = terminal_size::terminal_size();
    Paper { is_coloured: !is_unwanted, n_columns: size.map(|(width, _)| usize::from(width.0)) }
}

fn note_faults(error: &anyhow::Error, findings: &mut Findings) {
    let Some(ConfigFaults(faults)) = error.downcast_ref() else {
        return findings.fault("config", format!("{error:#}"), "");
    };
    for fault in faults {
        findings.fault("config", fault.what(), fault.remedy.clone());
    }
}

fn check_cluster(
    cluster: &Cluster,
    config: &Config,
    partitions_to_create: Option<i32>,
    findings: &mut Findings,
) {
    let kafka = &config.kafka;
    let n_brokers = match cluster.asker().n_brokers(&kafka.input_topic) {
        Ok(n_brokers) => n_brokers,
        Err(Refusal { what, remedy }) => {
            return findings.fault("brokers", what, remedy.unwrap_or_default());
        }
    };
    findings.ok("brokers", format!("`{}`: {n_brokers} in the cluster", kafka.brokers));
    let (mut n_partitions_input, mut present) = (None, Vec::new());
    for role in Role::ALL {
        let name = role.topic(kafka);
        let wanted = if role == Role::Input {
            partitions_to_create
        } else {
            n_partitions_input.and_then(|n: usize| i32::try_from(n).ok())
        };
        let create = partitions_to_create.and(wanted);
        let observed = match observe(cluster, role, name, create, findings) {
            Ok(observed) => observed,
            Err(refusal) => {
                let right = if role.is_read() { "Read" } else { "Write" };
                let remedy = format!("allow `{right}` on topic `{name}`");
                findings.fault("topic", format!("`{name}`: {refusal}"), remedy);
                continue;
            }
        };
        if observed.topic.is_some() {
            present.push((role, name));
        }
        if role == Role::Input {
            n_partitions_input = observed.topic.as_ref().map(|topic| topic.n_partitions);
        }
        topics::judge(role, name, &observed, n_brokers, n_partitions_input, findings);
    }
    if let Some(n_partitions) = n_partitions_input {
        topics::judge_lanes(config.processing.workers, n_partitions, findings);
    }
    let is_allowed = check_permissions(cluster, config, &present, findings);
    if let Some(n_partitions) = n_partitions_input.filter(|_| is_allowed) {
        if present.iter().any(|(role, _)| *role == Role::Changelog) {
            check_state(config, n_partitions, findings);
        }
        let input = &kafka.input_topic;
        // A broker that cannot say it says worse before.
        if let Ok(ahead) = cluster.asker().stamped_ahead(input, n_partitions, now_ms()) {
            judge_stamps(input, ahead, findings);
        }
    }
}

/// What the stamps of records tell of clocks. That none lies ahead does not tell that nobody's
/// clock is behind: an old record is an old record.
fn judge_stamps(input: &str, ahead: Option<Ahead>, findings: &mut Findings) {
    match ahead {
        Some(Ahead { partition, at_least_s }) => findings.warning(
            "clock",
            format!(
                "`{input}` has records in partition {partition} that are stamped over {at_least_s} \
                 s after this machine's time: its clock is behind, or that of a producer or broker \
                 is ahead"
            ),
            "compare the clocks with `date -u`, and let all follow the same time servers",
        ),
        None => findings.ok("clock", format!("no record of `{input}` is stamped after now")),
    }
}

/// What a broker's own stamp of a record tells, that was asked for and acknowledged between two
/// moments of this machine.
fn judge_append(
    name: &str,
    (before_ms, after_ms): (i64, i64),
    at_ms: i64,
    findings: &mut Findings,
) {
    let ahead_ms = if at_ms < before_ms { at_ms - before_ms } else { (at_ms - after_ms).max(0) };
    if ahead_ms.abs() <= CLOCK_ERROR_MS_MAX {
        return;
    }
    let (side, n_ms) = (if ahead_ms > 0 { "ahead of" } else { "behind" }, ahead_ms.abs());
    findings.warning(
        "clock",
        format!("the broker that leads `{name}` is {n_ms} ms {side} this machine's clock"),
        "let both follow the same time servers",
    );
}

/// Whether the state was made on the ground that is configured.
fn check_state(config: &Config, n_input: usize, findings: &mut Findings) {
    let kafka = &config.kafka;
    let ground = config.ground(i32::try_from(n_input).unwrap_or(i32::MAX));
    match Spans::new(kafka).and_then(|spans| spans.marker(kafka)) {
        Ok(Some(marker)) => match (marker.stands_on(&ground), marker.other_group(&ground)) {
            (Ok(()), None) => {
                let Ground { currency, time_zone, .. } = ground;
                let of = format!("{n_input} partitions, {}, {time_zone}", currency.code());
                findings.ok("state", format!("`{}` was made under {of}", kafka.changelog_topic));
            }
            (Ok(()), Some(what)) => findings.fault("state", what, OTHER_GROUP.to_owned()),
            (Err(what), _) => findings.fault("state", what, String::new()),
        },
        Ok(None) => {}
        Err(fault) => findings.warning("state", fault, String::new()),
    }
}

/// Looks at the topic, after creating it where it is missing and `create` says how.
fn observe(
    cluster: &Cluster,
    role: Role,
    name: &str,
    create: Option<i32>,
    findings: &mut Findings,
) -> Result<Observed, Refusal> {
    let mut topic = cluster.asker().topic(name)?;
    let was_missing = topic.is_none();
    // Models are read in the order in which they were written.
    let create = create.map(|n_partitions| if role == Role::Models { 1 } else { n_partitions });
    if let (None, Some(n_partitions)) = (&topic, create) {
        match cluster.create(name, n_partitions, role.is_compacted()) {
            Ok(()) => topic = cluster.asker().topic(name)?,
            Err(refusal) => findings.fault(
                "topic",
                format!("`{name}` cannot be created: {refusal}"),
                "allow `Create` on the topic, or have it created",
            ),
        }
    }
    let is_new = was_missing && topic.is_some();
    let settings = topic.as_ref().map(|_| cluster.settings(name));
    Ok(Observed { topic, is_new, settings })
}

/// Tries what a processor does: read, use its group, take a transactional id, write. What is not
/// allowed is reported as the broker words it. Says whether all is.
fn check_permissions(
    cluster: &Cluster,
    config: &Config,
    present: &[(Role, &str)],
    findings: &mut Findings,
) -> bool {
    let n_before = findings.0.len();
    let mut appended = Vec::new();
    let mut refuse = |what: String, answer: Result<(), Refusal>, remedy: String| {
        if let Err(refusal) = answer {
            findings.fault("permission", format!("{what}: {refusal}"), remedy);
            return false;
        }
        true
    };
    let group_id = &config.kafka.group_id;
    let learns = config.model.file.is_none() && config.model.fit_every_days > 0;
    if let Some((_, input)) = present.iter().find(|(role, _)| *role == Role::Input) {
        let remedy = format!("allow `Read` on group `{group_id}`");
        refuse(format!("group `{group_id}`"), cluster.group(input), remedy);
    }
    for (_, name) in present.iter().filter(|(role, _)| role.is_read()) {
        let remedy = format!("allow `Read` on topic `{name}`");
        refuse(format!("reading `{name}`"), cluster.read(name), remedy);
    }
    let transactions = cluster.init_transactions();
    let remedy = format!(
        "allow `Write` on transactional ids that begin with `{group_id}-`; \
         `kafka.transaction_timeout_ms` must not exceed the broker's `transaction.max.timeout.ms`"
    );
    if refuse("transactions".to_owned(), transactions, remedy) {
        for (_, name) in present.iter().filter(|(role, _)| role.is_written(learns)) {
            let remedy = format!("allow `Write` on topic `{name}`");
            let before_ms = now_ms();
            let written = cluster.write_and_abort(name);
            if let Ok(Some(at_ms)) = written {
                appended.push((*name, (before_ms, now_ms()), at_ms));
            }
            refuse(format!("writing `{name}`"), written.map(drop), remedy);
        }
    }
    let is_allowed = findings.0.len() == n_before;
    if is_allowed {
        let has_input = present.iter().any(|(role, _)| *role == Role::Input);
        note_allowed(has_input, present.len(), findings);
    }
    for (name, between_ms, at_ms) in appended {
        judge_append(name, between_ms, at_ms, findings);
    }
    is_allowed
}

/// Which rights were tried and are there: a topic that is missing cannot be tried, and the group
/// only with the input.
fn note_allowed(has_input: bool, n_topics: usize, findings: &mut Findings) {
    if has_input {
        let what = format!("group, transactions and {n_topics} topics may be used");
        return findings.ok("permission", what);
    }
    let what = if n_topics == 0 {
        "transactions may be used; rights on topics and group were not tried: there is no topic"
            .to_owned()
    } else {
        format!(
            "transactions and {n_topics} topics may be used; rights on the group were not tried: \
             there is no input topic"
        )
    };
    findings.warning("permission", what, "check again when the topics are there");
}

#[cfg(test)]
mod tests {
    use super::findings::Level;
    use super::*;

    #[test]
    fn a_brokers_stamp_outside_the_time_of_waiting_is_a_clock_that_differs() {
        for (at_ms, expect) in [
            (10_500, None),
            (9_000, None),
            (8_999, Some("1001 ms behind")),
            (12_000, None),
            (71_000, Some("60000 ms ahead of")),
        ] {
            let mut findings = Findings::default();
            judge_append("t", (10_000, 11_000), at_ms, &mut findings);
            let said = findings.0.first().map(|finding| finding.what.as_str());
            assert_eq!(said.is_some(), expect.is_some(), "{at_ms}: {said:?}");
            assert!(said.unwrap_or_default().contains(expect.unwrap_or_default()), "{said:?}");
        }
    }

    #[test]
    fn a_right_that_was_not_tried_is_not_told_to_be_there() {
        for (has_input, n_topics, level, expect) in [
            (true, 6, Level::Ok, "group, transactions and 6 topics may be used"),
            (true, 1, Level::Ok, "group, transactions and 1 topics may be used"),
            (false, 5, Level::Warning, "and 5 topics may be used; rights on the group were not"),
            (false, 0, Level::Warning, "rights on topics and group were not tried: there is no"),
        ] {
            let mut findings = Findings::default();
            note_allowed(has_input, n_topics, &mut findings);
            let [finding] = &findings.0[..] else { panic!("{findings:?}") };
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.what.contains(expect), "{finding:?}");
        }
    }

    #[test]
    fn faults_of_the_configuration_are_findings() {
        let set = ["processing.workers=0".to_owned(), "kafka.broker=x".to_owned()];
        let error = load_config(None, &set, Purpose::Offline).unwrap_err();
        let mut findings = Findings::default();
        note_faults(&error, &mut findings);
        let [workers, broker] = &findings.0[..] else { panic!("{findings:?}") };
        assert_eq!((workers.level, workers.subject), (Level::Fault, "config"));
        assert_eq!(workers.what, "`processing.workers` is `0` (--set)");
        assert!(broker.remedy.contains("did you mean `kafka.brokers`?"));
    }
}

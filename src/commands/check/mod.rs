//! `lifetide check`: what is wrong with a configuration and its cluster, and how to mend it.
//! Reads files, asks the brokers and prints; what an answer means is decided in `topics`.
//! Creates topics only when told to, and changes none. Called by `main`.

mod findings;
mod topics;

use std::io;

use anyhow::Result;

use super::{Outcome, load_config, printed};
use crate::cli;
use crate::config::{Config, Purpose};
use crate::http::{Token, guard};
use crate::kafka::admin::{Cluster, Refusal};
use crate::kafka::span::Spans;
use crate::plan::configured_model;
use crate::record::marker::Ground;
use findings::Findings;
use topics::{Observed, Role};

/// Checks, creates topics if asked to, and prints what it found.
///
/// # Errors
/// The configuration is wrong, or standard output cannot be written.
pub fn execute(arguments: &cli::Check) -> Result<Outcome> {
    let layers = &arguments.layers;
    let config = load_config(Some(&layers.config), &layers.sets, Purpose::Cluster)?;
    let mut findings = Findings::default();
    findings.ok("config", format!("`{}` is valid", layers.config.display()));
    check_model(&config, &mut findings);
    check_token(&config, &mut findings);
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
    printed(findings.print(&mut io::stdout().lock()), outcome)
}

/// What is gone on with where no file says it.
fn from_the_stream(config: &Config) -> String {
    let topic = &config.kafka.models_topic;
    match (&config.model.pin, config.model.fit_every_days) {
        (Some(pin), _) => format!("`{pin}` from `{topic}`, as `model.pin` says"),
        (None, 0) => format!("what lies in `{topic}`; none is fitted"),
        (None, days) => format!("fitted in the stream to `{topic}` every `{days}` days"),
    }
}

fn check_model(config: &Config, findings: &mut Findings) {
    match configured_model(config) {
        Ok(Some(model)) => findings.ok("model", format!("`{}`", model.label())),
        Ok(None) => findings.ok("model", from_the_stream(config)),
        Err(misuse) => findings.fault(
            "model",
            misuse.to_string(),
            "correct the file, by the example in README, Model file, or name another one",
        ),
    }
}

fn check_token(config: &Config, findings: &mut Findings) {
    let token = config.http.token_file.as_deref().map(Token::read).transpose();
    if let Err(error) = token.and_then(|token| guard(config.http.listen, token)) {
        let remedy = "write the token into the file, readable by this user";
        findings.fault("http", error.to_string(), remedy);
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
    if let Some(n_partitions) = n_partitions_input.filter(|_| is_allowed)
        && present.iter().any(|(role, _)| *role == Role::Changelog)
    {
        check_state(config, n_partitions, findings);
    }
}

/// Whether the state was made on the ground that is configured.
fn check_state(config: &Config, n_input: usize, findings: &mut Findings) {
    let Config { kafka, processing, .. } = config;
    let ground = Ground {
        currency: processing.currency,
        time_zone: processing.time_zone.iana_name().unwrap_or_default().to_owned(),
        n_partitions: i32::try_from(n_input).unwrap_or(i32::MAX),
    };
    match Spans::new(kafka).and_then(|spans| spans.marker(kafka)) {
        Ok(Some(marker)) => match marker.stands_on(&ground) {
            Ok(()) => {
                let Ground { currency, time_zone, .. } = ground;
                let of = format!("{n_input} partitions, {}, {time_zone}", currency.code());
                findings.ok("state", format!("`{}` was made under {of}", kafka.changelog_topic));
            }
            Err(what) => findings.fault("state", what, String::new()),
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
    let policy = topic.as_ref().map(|_| cluster.cleanup_policy(name));
    Ok(Observed { topic, is_new, policy })
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
    let mut refuse = |what: String, answer: Result<(), Refusal>, remedy: String| {
        if let Err(refusal) = answer {
            findings.fault("permission", format!("{what}: {refusal}"), remedy);
            return false;
        }
        true
    };
    let group_id = &config.kafka.group_id;
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
        for (_, name) in present.iter().filter(|(role, _)| role.is_written()) {
            let remedy = format!("allow `Write` on topic `{name}`");
            refuse(format!("writing `{name}`"), cluster.write_and_abort(name), remedy);
        }
    }
    let is_allowed = findings.0.len() == n_before;
    if is_allowed {
        let n_topics = present.len();
        let what = format!("group, transactions and {n_topics} topics may be used");
        findings.ok("permission", what);
    }
    is_allowed
}

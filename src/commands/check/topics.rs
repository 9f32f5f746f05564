//! What the topics should be, and what to say of those that are not. No question is asked here.

use std::collections::BTreeMap;

use super::findings::Findings;
use super::settings;
use crate::config::Kafka;
use crate::kafka::admin::{Refusal, Topic};
use crate::record::marker::REPARTITION;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Input,
    Changelog,
    Scores,
    Signals,
    Rejected,
    Models,
}

impl Role {
    /// All of them, the input first: the others are measured by it.
    pub(super) const ALL: [Self; 6] =
        [Self::Input, Self::Changelog, Self::Scores, Self::Signals, Self::Rejected, Self::Models];

    /// The configured name.
    pub(super) fn topic(self, kafka: &Kafka) -> &str {
        match self {
            Self::Input => &kafka.input_topic,
            Self::Changelog => &kafka.changelog_topic,
            Self::Scores => &kafka.scores_topic,
            Self::Signals => &kafka.signals_topic,
            Self::Rejected => &kafka.dlq_topic,
            Self::Models => &kafka.models_topic,
        }
    }

    /// Whether only the last record of each key matters.
    pub(super) fn is_compacted(self) -> bool {
        matches!(self, Self::Changelog | Self::Scores | Self::Models)
    }

    /// Whether a processor reads it.
    pub(super) fn is_read(self) -> bool {
        matches!(self, Self::Input | Self::Changelog | Self::Models)
    }

    /// Whether a processor writes it; models only one that `learns` them from the stream.
    pub(super) fn is_written(self, learns: bool) -> bool {
        match self {
            Self::Changelog | Self::Scores | Self::Signals | Self::Rejected => true,
            Self::Models => learns,
            Self::Input => false,
        }
    }
}

/// What the brokers say of a topic.
#[derive(Debug)]
pub(super) struct Observed {
    /// `None` if it does not exist.
    pub(super) topic: Option<Topic>,
    /// Whether it has just been created.
    pub(super) is_new: bool,
    /// Its settings; `None` if there is no topic.
    pub(super) settings: Option<Result<BTreeMap<String, String>, Refusal>>,
}

/// Says what is wrong with the topic, or that nothing is.
pub(super) fn judge(
    role: Role,
    name: &str,
    observed: &Observed,
    n_brokers: usize,
    n_partitions_input: Option<usize>,
    findings: &mut Findings,
) {
    let Some(topic) = &observed.topic else {
        return judge_missing(role, name, n_partitions_input, findings);
    };
    let n_before = findings.0.len();
    let n_partitions = topic.n_partitions;
    if !topic.leaderless.is_empty() {
        let what = format!("`{name}`: no leader for partitions {:?}", topic.leaderless);
        findings.fault("topic", what, "bring back the brokers that hold their replicas");
    }
    if let Some(n_input) = n_partitions_input
        && role == Role::Changelog
        && n_partitions != n_input
    {
        let remedy = if n_input > n_partitions {
            format!("{REPARTITION}; it gives the changelog its partitions too")
        } else {
            format!(
                "state lives in the input's partition number: make it anew with {n_input} \
                 partitions while it is empty, else give the input {n_partitions} again"
            )
        };
        let what = format!("`{name}` has {n_partitions} partitions, the input has {n_input}");
        findings.fault("topic", what, remedy);
    }
    if topic.n_replicas_min < 2 && n_brokers > 1 {
        let what = format!("`{name}` has a partition on one of {n_brokers} brokers only");
        findings.warning("topic", what, "raise its replication, or losing a broker stops it");
    }
    if role == Role::Models && n_partitions > 1 {
        let what = format!("`{name}` has {n_partitions} partitions: models are read in no order");
        findings.warning("topic", what, "make it anew with one partition");
    }
    let policy = match &observed.settings {
        Some(Ok(settings)) => {
            let n_replicas_min = topic.n_replicas_min;
            settings::judge(&settings::Topic { role, name, n_replicas_min, settings }, findings);
            settings.get("cleanup.policy").map_or("unknown", String::as_str)
        }
        Some(Err(refusal)) => {
            let what = format!("`{name}`: its settings cannot be read: {refusal}");
            findings.warning("topic", what, "allow `DescribeConfigs` on the topic");
            "unknown"
        }
        None => "unknown",
    };
    if findings.0.len() == n_before {
        let n_replicas = topic.n_replicas_min;
        let created = if observed.is_new { "created, " } else { "" };
        let what = format!(
            "`{name}`: {created}partitions {n_partitions}, replicas {n_replicas}, policy {policy}"
        );
        findings.ok("topic", what);
    }
}

fn judge_missing(
    role: Role,
    name: &str,
    n_partitions_input: Option<usize>,
    findings: &mut Findings,
) {
    let what = format!("`{name}` does not exist");
    let count = n_partitions_input.filter(|_| role != Role::Input);
    let count = count.map(|n_input| format!("{n_input} partitions"));
    let policy = role.is_compacted().then(|| "`cleanup.policy=compact`".to_owned());
    let settings: Vec<_> = count.into_iter().chain(policy).collect();
    let with = if settings.is_empty() { "" } else { " with " };
    let settings = settings.join(" and ");
    let remedy = format!("create it{with}{settings}, or let `--create-topics` do it");
    match role {
        Role::Models => findings.warning("topic", what + ": no model can be fitted", remedy),
        Role::Input | Role::Changelog | Role::Scores | Role::Signals | Role::Rejected => {
            findings.fault("topic", what, remedy);
        }
    }
}

/// Says so where lanes of this process alone outnumber the partitions.
pub(super) fn judge_lanes(workers: u32, n_partitions: usize, findings: &mut Findings) {
    if workers as usize > n_partitions {
        findings.warning(
            "workers",
            format!("{workers} lanes for {n_partitions} partitions: the others stand idle"),
            format!("set `processing.workers` to at most `{n_partitions}`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Level;
    use super::*;

    /// A topic of so many partitions on two brokers with this policy beside an input of 12: its
    /// finding must be of the level and hold the words.
    fn check(role: Role, n_partitions: usize, policy: &str, level: Level, expect: &str) {
        let topic = Topic { n_partitions, n_replicas_min: 2, leaderless: Vec::new() };
        let settings = [("cleanup.policy".to_owned(), policy.to_owned())].into();
        let observed = Observed { topic: Some(topic), is_new: false, settings: Some(Ok(settings)) };
        let mut findings = Findings::default();
        judge(role, "t", &observed, 2, Some(12), &mut findings);
        let [finding] = &findings.0[..] else { panic!("{role:?} {policy}: {findings:?}") };
        assert_eq!(finding.level, level, "{role:?} {policy}");
        assert!(finding.what.contains(expect), "{role:?} {policy}: {}", finding.what);
    }

    #[test]
    fn a_topic_that_is_right_is_described_and_its_settings_are_judged() {
        check(Role::Input, 12, "delete", Level::Ok, "partitions 12, replicas 2, policy delete");
        check(Role::Changelog, 12, "compact", Level::Ok, "");
        check(Role::Changelog, 12, "delete", Level::Fault, "state is lost");
        check(Role::Scores, 3, "compact", Level::Ok, "");
        check(Role::Models, 1, "compact", Level::Ok, "");
        check(Role::Models, 3, "compact", Level::Warning, "in no order");
    }

    #[test]
    fn the_changelog_has_the_partitions_of_the_input() {
        check(Role::Changelog, 6, "compact", Level::Fault, "6 partitions, the input has 12");
        check(Role::Changelog, 24, "compact", Level::Fault, "24 partitions, the input has 12");
    }

    #[test]
    fn replicas_and_leaders_are_looked_at() {
        let mut findings = Findings::default();
        let topic = Topic { n_partitions: 12, n_replicas_min: 1, leaderless: vec![3] };
        let settings = Some(Err(Refusal::new("not allowed")));
        let observed = Observed { topic: Some(topic), is_new: false, settings };
        judge(Role::Input, "t", &observed, 3, Some(12), &mut findings);
        let levels: Vec<_> = findings.0.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Fault, Level::Warning, Level::Warning], "{findings:?}");
        let mut findings = Findings::default();
        judge(Role::Input, "t", &observed, 1, Some(12), &mut findings);
        assert_eq!(findings.0.len(), 2, "one broker cannot hold two replicas: {findings:?}");
    }

    #[test]
    fn a_missing_topic_is_a_fault_with_the_counts_to_create_it() {
        let missing = Observed { topic: None, is_new: false, settings: None };
        let mut findings = Findings::default();
        judge(Role::Changelog, "t", &missing, 1, Some(12), &mut findings);
        judge(Role::Models, "t", &missing, 1, None, &mut findings);
        judge_lanes(13, 12, &mut findings);
        judge_lanes(12, 12, &mut findings);
        let levels: Vec<_> = findings.0.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Fault, Level::Warning, Level::Warning]);
        let remedy = &findings.0[0].remedy;
        assert!(remedy.starts_with("create it with 12 partitions and `cleanup.policy=compact`"));
    }
}

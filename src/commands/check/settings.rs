//! Settings of topics under which records are lost or cannot be written, and what to say of them.
//! No question is asked here. Called by `topics`.

use std::collections::BTreeMap;

use super::findings::{Findings, Level};
use super::topics::Role;

/// How long a topic should at least keep what nobody may have read: a weekend and a morning.
const RETENTION_MS_MIN: i64 = 3 * DAY_MS;
/// How long a tombstone should stay: far longer than a restore, or a consumer's restart, takes.
const TOMBSTONE_MS_MIN: i64 = 3_600_000;
/// How far ahead of the broker a producer may date its records before a wrong clock is the likelier
/// reason than a slow one.
const AHEAD_MS_MAX: i64 = DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// Kafka's default `max.message.bytes`; dead letters are cut to fit it.
const LETTER_BYTES: i64 = 1_048_588;
/// The most that a customer's state takes: 1,024 days, 256 open orders, 4,096 event ids.
const STATE_BYTES: i64 = 256 * 1024;
/// Far more than a score, a signal or a model takes.
const DOCUMENT_BYTES: i64 = 64 * 1024;

/// A topic with its settings.
pub(super) struct Topic<'a> {
    pub(super) role: Role,
    pub(super) name: &'a str,
    pub(super) n_replicas_min: usize,
    pub(super) settings: &'a BTreeMap<String, String>,
}

/// Says which settings of the topic lose records, or stop it.
pub(super) fn judge(topic: &Topic<'_>, findings: &mut Findings) {
    policy(topic, findings);
    retention(topic, findings);
    tombstones(topic, findings);
    replicas(topic, findings);
    size(topic, findings);
    stamps(topic, findings);
}

impl Topic<'_> {
    fn text(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str)
    }

    fn number(&self, setting: &str) -> Option<i64> {
        self.text(setting)?.parse().ok()
    }

    fn has_policy(&self, part: &str) -> bool {
        let policy = self.text("cleanup.policy").unwrap_or_default();
        policy.split(',').any(|one| one.trim() == part)
    }
}

fn policy(topic: &Topic<'_>, findings: &mut Findings) {
    let &Topic { role, name, .. } = topic;
    // A loss that no later event makes good is a fault.
    let (level, unwanted, loss) = match role {
        Role::Input => (Level::Fault, "compact", "all but a customer's last event are lost"),
        Role::Changelog => (Level::Fault, "delete", "state is lost with age"),
        Role::Scores => (Level::Warning, "delete", "scores of quiet customers are lost with age"),
        Role::Models => (Level::Warning, "delete", "the model in use is lost with age"),
        Role::Signals => (Level::Warning, "compact", "all but a customer's last signal are lost"),
        Role::Rejected => (Level::Warning, "compact", "all but a customer's last event are lost"),
    };
    if topic.has_policy(unwanted) {
        let policy = topic.text("cleanup.policy").unwrap_or_default();
        let what = format!("`{name}` has `cleanup.policy={policy}`: {loss}");
        let wanted = if role.is_compacted() { "compact" } else { "delete" };
        let remedy = format!("set `cleanup.policy={wanted}` on the topic");
        findings.push(level, "topic", what, remedy);
    }
}

fn retention(topic: &Topic<'_>, findings: &mut Findings) {
    let &Topic { role, name, .. } = topic;
    let loss = match role {
        Role::Input => "events that an outage leaves unread for longer are lost",
        Role::Signals => "signals that their readers have not taken by then are lost",
        Role::Rejected => "what nobody has mended by then cannot be sent again",
        Role::Changelog | Role::Scores | Role::Models => return,
    };
    if !topic.has_policy("delete") {
        return;
    }
    if let Some(kept_ms) =
        topic.number("retention.ms").filter(|ms| (0..RETENTION_MS_MIN).contains(ms))
    {
        let kept = span(kept_ms);
        let what = format!("`{name}` keeps records for {kept} (`retention.ms={kept_ms}`): {loss}");
        let remedy = format!(
            "set `retention.ms` on the topic to at least `{RETENTION_MS_MIN}` ({})",
            span(RETENTION_MS_MIN)
        );
        findings.warning("topic", what, remedy);
    }
    if let Some(n_bytes) = topic.number("retention.bytes").filter(|n_bytes| *n_bytes >= 0)
        && role == Role::Input
    {
        let what = format!(
            "`{name}` keeps at most `retention.bytes={n_bytes}` a partition: a burst pushes \
             events out, read or not"
        );
        findings.warning(
            "topic",
            what,
            "set `retention.bytes=-1` on the topic, and bound it by time",
        );
    }
}

fn tombstones(topic: &Topic<'_>, findings: &mut Findings) {
    let &Topic { role, name, .. } = topic;
    let loss = match role {
        Role::Changelog => "a restore that takes longer brings erased customers back",
        Role::Scores => "a reader that is further behind does not learn of an erasure",
        Role::Input | Role::Signals | Role::Rejected | Role::Models => return,
    };
    if let Some(kept_ms) = topic.number("delete.retention.ms").filter(|ms| *ms < TOMBSTONE_MS_MIN) {
        let kept = span(kept_ms);
        let what = format!(
            "`{name}` drops tombstones after {kept} (`delete.retention.ms={kept_ms}`): {loss}"
        );
        let remedy = "set `delete.retention.ms=86400000` on the topic, Kafka's default";
        findings.warning("topic", what, remedy);
    }
}

fn replicas(topic: &Topic<'_>, findings: &mut Findings) {
    let &Topic { name, n_replicas_min, .. } = topic;
    if topic.text("unclean.leader.election.enable") == Some("true") {
        let what = format!(
            "`{name}` has `unclean.leader.election.enable=true`: a broker that lags may lead, and \
             committed records are lost"
        );
        findings.warning("topic", what, "set `unclean.leader.election.enable=false` on the topic");
    }
    let Some(n_in_sync) = topic.number("min.insync.replicas") else { return };
    let n_replicas = i64::try_from(n_replicas_min).unwrap_or(i64::MAX);
    let has = format!("`{name}` has `min.insync.replicas={n_in_sync}` and {n_replicas} replicas");
    if n_in_sync > n_replicas {
        let remedy = "lower `min.insync.replicas` on the topic, or raise its replication";
        findings.fault("topic", format!("{has}: nothing can be written"), remedy);
    } else if n_replicas > 1 && n_in_sync == n_replicas {
        let what = format!("{has}: one broker that is down stops all writing");
        findings.warning("topic", what, "raise its replication to 3, and leave 2 in sync");
    } else if n_replicas > 1 && n_in_sync < 2 {
        let what = format!("{has}: what one broker alone has acknowledged is lost with it");
        findings.warning("topic", what, "set `min.insync.replicas=2` on the topic, of 3 replicas");
    }
}

fn size(topic: &Topic<'_>, findings: &mut Findings) {
    let &Topic { role, name, .. } = topic;
    let needed = match role {
        // What is too large for it stays with the producers.
        Role::Input => return,
        Role::Rejected => LETTER_BYTES,
        Role::Changelog => STATE_BYTES,
        Role::Scores | Role::Signals | Role::Models => DOCUMENT_BYTES,
    };
    if let Some(n_bytes) = topic.number("max.message.bytes").filter(|n_bytes| *n_bytes < needed) {
        let what = format!(
            "`{name}` has `max.message.bytes={n_bytes}`: a record may not fit, and stop its \
             partition"
        );
        findings.fault(
            "topic",
            what,
            format!("set `max.message.bytes={needed}` or more on the topic"),
        );
    }
}

/// `future` measures an event by its record's stamp, and so is as good as whoever sets that.
fn stamps(topic: &Topic<'_>, findings: &mut Findings) {
    let &Topic { role, name, .. } = topic;
    let by_producers = topic.text("message.timestamp.type") == Some("CreateTime");
    let ahead_ms = topic.number("message.timestamp.after.max.ms");
    if role == Role::Input && by_producers && ahead_ms.is_some_and(|ms| ms > AHEAD_MS_MAX) {
        let what = format!(
            "`{name}` takes any time that a producer stamps on a record: where its clock runs \
             ahead, events of days to come are not refused as `future`, and move time on"
        );
        let remedy = "set `message.timestamp.after.max.ms=3600000` on the topic, or \
                      `message.timestamp.type=LogAppendTime`";
        findings.warning("topic", what, remedy);
    }
}

/// A span in its largest whole unit.
fn span(span_ms: i64) -> String {
    let units = [(DAY_MS, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let whole =
        units.into_iter().find(|(unit_ms, _)| span_ms >= *unit_ms && span_ms % unit_ms == 0);
    match whole {
        Some((unit_ms, word)) => format!("{} {word}", span_ms / unit_ms),
        None => format!("{span_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a topic of three replicas with these settings beside Kafka's defaults: one
    /// level and the words, or nothing.
    fn check(
        role: Role,
        n_replicas_min: usize,
        changed: &[(&str, &str)],
        expect: &[(Level, &str)],
    ) {
        let policy = if role.is_compacted() { "compact" } else { "delete" };
        let mut settings: BTreeMap<String, String> = [
            ("cleanup.policy", policy),
            ("retention.ms", "604800000"),
            ("retention.bytes", "-1"),
            ("delete.retention.ms", "86400000"),
            ("max.compaction.lag.ms", "9223372036854775807"),
            ("min.insync.replicas", "2"),
            ("unclean.leader.election.enable", "false"),
            ("max.message.bytes", "1048588"),
            ("message.timestamp.type", "CreateTime"),
            ("message.timestamp.after.max.ms", "3600000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.extend(changed.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let mut findings = Findings::default();
        let topic = Topic { role, name: "t", n_replicas_min, settings: &settings };
        judge(&topic, &mut findings);
        assert_eq!(findings.0.len(), expect.len(), "{role:?} {changed:?}: {findings:?}");
        for (finding, (level, words)) in findings.0.iter().zip(expect) {
            assert_eq!(finding.level, *level, "{role:?} {changed:?}: {findings:?}");
            assert!(finding.what.contains(words), "{role:?} {changed:?}: {}", finding.what);
            assert!(!finding.remedy.is_empty());
        }
    }

    #[test]
    fn nothing_is_said_of_kafkas_defaults() {
        for role in Role::ALL {
            check(role, 3, &[], &[]);
            check(role, 1, &[("min.insync.replicas", "1")], &[]);
        }
    }

    #[test]
    fn a_topic_must_keep_what_it_is_for() {
        for (role, policy, expect) in [
            (Role::Input, "compact", (Level::Fault, "customer's last event")),
            (Role::Changelog, "delete", (Level::Fault, "state is lost")),
            (Role::Changelog, "compact, delete", (Level::Fault, "state is lost")),
            (Role::Scores, "delete", (Level::Warning, "quiet customers")),
            (Role::Signals, "compact", (Level::Warning, "last signal")),
            (Role::Rejected, "compact,delete", (Level::Warning, "last event")),
            (Role::Models, "delete", (Level::Warning, "model in use")),
        ] {
            check(role, 3, &[("cleanup.policy", policy)], &[expect]);
        }
    }

    #[test]
    fn what_is_kept_too_briefly_is_found_where_it_matters() {
        let short = [("retention.ms", "3600000")];
        check(Role::Input, 3, &short, &[(Level::Warning, "for 1 h (`retention.ms=3600000`)")]);
        check(Role::Signals, 3, &short, &[(Level::Warning, "their readers")]);
        check(Role::Rejected, 3, &short, &[(Level::Warning, "sent again")]);
        check(Role::Changelog, 3, &short, &[]);
        check(Role::Input, 3, &[("retention.ms", "-1")], &[]);
        check(Role::Input, 3, &[("retention.ms", "259200000")], &[]);
        check(
            Role::Input,
            3,
            &[("retention.ms", "259199999")],
            &[(Level::Warning, "259199999 ms")],
        );
        let bounded = [("retention.bytes", "1000000")];
        check(Role::Input, 3, &bounded, &[(Level::Warning, "pushes events out")]);
        check(Role::Signals, 3, &bounded, &[]);
        let tombstones = [("delete.retention.ms", "60000")];
        check(Role::Changelog, 3, &tombstones, &[(Level::Warning, "after 1 min")]);
        check(Role::Scores, 3, &tombstones, &[(Level::Warning, "an erasure")]);
        check(Role::Input, 3, &tombstones, &[]);
    }

    #[test]
    fn replicas_must_be_enough_to_write_and_to_lose_one() {
        let in_sync = |n| [("min.insync.replicas", n)];
        check(Role::Scores, 2, &in_sync("3"), &[(Level::Fault, "nothing can be written")]);
        check(Role::Scores, 1, &in_sync("2"), &[(Level::Fault, "nothing can be written")]);
        check(Role::Scores, 3, &in_sync("3"), &[(Level::Warning, "stops all writing")]);
        check(Role::Scores, 3, &in_sync("1"), &[(Level::Warning, "lost with it")]);
        let unclean = [("unclean.leader.election.enable", "true")];
        check(Role::Input, 3, &unclean, &[(Level::Warning, "committed records are lost")]);
    }

    #[test]
    fn records_must_fit_and_bear_times_that_can_be_believed() {
        let bytes = |n| [("max.message.bytes", n)];
        check(Role::Rejected, 3, &bytes("1048587"), &[(Level::Fault, "may not fit")]);
        check(Role::Changelog, 3, &bytes("262143"), &[(Level::Fault, "may not fit")]);
        check(Role::Changelog, 3, &bytes("262144"), &[]);
        check(Role::Scores, 3, &bytes("1000"), &[(Level::Fault, "may not fit")]);
        check(Role::Input, 3, &bytes("1000"), &[]);
        let any_time = ("message.timestamp.after.max.ms", "9223372036854775807");
        check(Role::Input, 3, &[any_time], &[(Level::Warning, "`future`")]);
        check(Role::Scores, 3, &[any_time], &[]);
        let by_broker = ("message.timestamp.type", "LogAppendTime");
        check(Role::Input, 3, &[any_time, by_broker], &[]);
    }
}

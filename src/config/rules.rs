//! What must hold between keys. Called by `config::load` after every key has been read.

use super::read::Reader;
use super::{Config, Kafka, Purpose};

/// Refund window and lateness together. The ledger keeps a customer's newest 1,024 purchase days
/// apart; an order still open to change must lie among them, also for who buys every day.
const OPEN_DAYS_MAX: i32 = 1_000;

/// Checks the rules between keys and notes what breaks them.
pub(super) fn check(config: &Config, reader: &mut Reader, purpose: Purpose) {
    timeouts(config, reader);
    stall(config, reader);
    if purpose == Purpose::Cluster {
        access(config, reader);
    }
    topics(&config.kafka, reader);
    let processing = &config.processing;
    let (refund_days, late_days) = (processing.refund_window_days, processing.lateness_days);
    if refund_days + late_days > OPEN_DAYS_MAX {
        let remedy = format!(
            "together with `processing.lateness_days` (`{late_days}`) it must not exceed \
             `{OPEN_DAYS_MAX}` days"
        );
        reader.fault("processing.refund_window_days", refund_days, remedy);
    }
    let base = processing.currency;
    if let Some(rate) = processing.rates.0.get(&base) {
        let remedy = format!("`{base}` is `processing.currency` itself; leave its rate out");
        reader.fault(&format!("processing.rates.{base}"), rate, remedy);
    }
    let churn = &config.churn;
    if churn.lapse_silence_tail > churn.at_risk_silence_tail {
        let remedy = format!(
            "must not be above `churn.at_risk_silence_tail` (`{}`): a customer is at risk before \
             they are lapsed",
            churn.at_risk_silence_tail
        );
        reader.fault("churn.lapse_silence_tail", churn.lapse_silence_tail, remedy);
    }
    tiers(config, reader);
}

/// Customer data is never open to other machines without a token.
fn access(config: &Config, reader: &mut Reader) {
    let listen = config.http.listen;
    let is_open = !listen.ip().to_canonical().is_loopback() && config.http.token_file.is_none();
    // An address that could not be read is a fault already.
    if is_open && !reader.has_fault_in("http.") {
        let remedy = format!(
            "other machines can reach it: set `http.token_file` to a file with a secret token, or \
             listen on `127.0.0.1:{}`",
            listen.port()
        );
        reader.fault("http.listen", listen, remedy);
    }
}

fn timeouts(config: &Config, reader: &mut Reader) {
    let kafka = &config.kafka;
    let commit_ms = config.processing.commit_interval_ms;
    let [commit, revoke] = ["processing.commit_interval_ms", "kafka.revoke_budget_ms"];
    let [transaction, session] = ["kafka.transaction_timeout_ms", "kafka.session_timeout_ms"];
    let (revoke_ms, transaction_ms) = (kafka.revoke_budget_ms, kafka.transaction_timeout_ms);
    for (key, value_ms, above, limit_ms) in [
        (commit, commit_ms, transaction, transaction_ms),
        (revoke, revoke_ms, transaction, transaction_ms),
        (transaction, transaction_ms, session, kafka.session_timeout_ms),
    ] {
        if value_ms >= limit_ms {
            reader.fault(key, value_ms, format!("must be below `{above}` (`{limit_ms}`)"));
        }
    }
}

/// A lane that only waits for its next commit does not stall.
fn stall(config: &Config, reader: &mut Reader) {
    let processing = &config.processing;
    let (timeout_s, commit_ms) = (processing.stall_timeout_s, processing.commit_interval_ms);
    if u64::from(timeout_s) * 1000 <= u64::from(commit_ms) {
        let remedy = format!("must be longer than `processing.commit_interval_ms` (`{commit_ms}`)");
        reader.fault("processing.stall_timeout_s", timeout_s, remedy);
    }
}

fn topics(kafka: &Kafka, reader: &mut Reader) {
    let topics = kafka.topics();
    for (i, (key, topic)) in topics.iter().enumerate() {
        if let Some((other, _)) = topics[..i].iter().find(|(_, name)| name == topic) {
            // Blame the one that somebody set, not the default that it met.
            let (key, other) = if reader.has_entry(key) { (key, other) } else { (other, key) };
            let remedy = format!("`{other}` names the same topic; each needs one of its own");
            reader.fault(key, topic, remedy);
        }
    }
}

fn tiers(config: &Config, reader: &mut Reader) {
    let tiers = &config.segments.tiers;
    // A bound that could not be read is a fault already; a rule about the rest would only confuse.
    if reader.has_fault_in("segments.tiers") {
        return;
    }
    if let Some(lowest) = tiers.first().filter(|lowest| lowest.from_minor != 0) {
        let remedy = "the lowest tier must begin at 0";
        reader.fault(&format!("segments.tiers.{}", lowest.name), "", remedy);
    }
    for pair in tiers.windows(2).filter(|pair| pair[0].from_minor == pair[1].from_minor) {
        let remedy = format!("tier `{}` begins there too; each needs its own bound", pair[0].name);
        reader.fault(&format!("segments.tiers.{}", pair[1].name), "", remedy);
    }
}

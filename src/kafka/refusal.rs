//! Why a broker, or the client on its behalf, does not do what was asked: what is so and what to do
//! about it, in words. It asks nothing. Called by `admin`, `topics` and the parts of a lane.

use std::sync::{Arc, Mutex};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message, Timestamp};
use rdkafka::producer::ProducerContext;

/// What was answered instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    /// What is so.
    pub what: String,
    /// What to do about it, where the answer tells.
    pub remedy: Option<String>,
}

impl Refusal {
    /// A refusal whose remedy is not known here.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: None }
    }

    /// What is so and what to do, in one sentence.
    pub fn sentence(self) -> String {
        match self.remedy {
            Some(remedy) => format!("{}; {remedy}", self.what),
            None => self.what,
        }
    }

    /// What `error` means beside what its client had said before.
    pub(super) fn of(error: &KafkaError, remarked: Option<Remarked>) -> Self {
        let answer = match error.rdkafka_error_code() {
            Some(code) => code.to_string(),
            None => error.to_string(),
        };
        Self::beside(answer, remarked)
    }

    /// What no answer within a time means beside what the client had said before.
    pub(super) fn silence(waited_s: u64, remarked: Option<Remarked>) -> Self {
        Self::beside(format!("no answer within {waited_s} s"), remarked)
    }

    fn beside(answer: String, remarked: Option<Remarked>) -> Self {
        let Some(Remarked { code, text, .. }) = remarked else { return Self::new(answer) };
        // How often and when does not matter to who reads it.
        let text = text.split(" (after ").next().unwrap_or(&text);
        connection(code, text).unwrap_or_else(|| Self::new(format!("{answer}: {text}")))
    }
}

/// What a failed connection means, where librdkafka's words tell: they begin with the broker, as in
/// `sasl_ssl://host:9093/bootstrap: `.
fn connection(code: RDKafkaErrorCode, text: &str) -> Option<Refusal> {
    let (broker, reason) = text.split_once(": ")?;
    let (_, broker) = broker.split_once("://")?;
    let broker = broker.split('/').next()?;
    let (what, remedy) = if code == RDKafkaErrorCode::Authentication {
        (
            format!("broker `{broker}` refuses the login: {reason}"),
            "correct `sasl.username`, `sasl.password` and `sasl.mechanism` in `[kafka.client]`"
                .to_owned(),
        )
    } else if code != RDKafkaErrorCode::SSL {
        return None;
    } else if reason.contains("certificate verify failed") {
        // The client does not say which of the two it is.
        (
            format!(
                "the certificate of broker `{broker}` is not valid: it has expired, or nobody \
                 whom this process trusts has signed it"
            ),
            format!(
                "look at it with `openssl s_client -connect {broker}`, and renew it, or set \
                 `ssl.ca.location` in `[kafka.client]` to the authority that signed it"
            ),
        )
    } else {
        (
            format!("broker `{broker}` does not come to terms over TLS: {reason}"),
            "correct `security.protocol` and the `ssl.…` settings in `[kafka.client]`".to_owned(),
        )
    };
    Some(Refusal { what, remedy: Some(remedy) })
}

/// What a process does with a topic, by the name of the right that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

/// The refusal that `code` stands for if a right is missing, where it was about this topic, this
/// group, or the transactional ids that begin with its name.
pub(super) fn missing_right(
    code: RDKafkaErrorCode,
    group_id: &str,
    topic: (&str, Use),
) -> Option<Refusal> {
    let (name, right) = topic;
    let (place, right) = if code == RDKafkaErrorCode::TopicAuthorizationFailed {
        let right = match right {
            Use::Read => "Read",
            Use::Write => "Write",
        };
        (format!("topic `{name}`"), right)
    } else if code == RDKafkaErrorCode::GroupAuthorizationFailed {
        (format!("group `{group_id}`"), "Read")
    } else if code == RDKafkaErrorCode::TransactionalIdAuthorizationFailed {
        (format!("transactional ids that begin with `{group_id}-`"), "Write")
    } else {
        return None;
    };
    Some(without_right(&place, right))
}

/// What it means that this right on this place is missing.
pub(super) fn without_right(place: &str, right: &str) -> Refusal {
    Refusal {
        what: format!("the broker does not let this process use {place}"),
        remedy: Some(format!("grant its user `{right}` on {place}")),
    }
}

/// What a client said beside its answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Remark {
    /// The last and weightiest thing that went wrong.
    said: Arc<Mutex<Option<Remarked>>>,
    /// When the broker took the last record, by its own clock, where it stamps records.
    appended_ms: Arc<Mutex<Option<i64>>>,
}

#[derive(Clone, Debug)]
pub(super) struct Remarked {
    weight: Weight,
    code: RDKafkaErrorCode,
    pub(super) text: String,
}

/// What a remark may say, by ascending weight: a lighter one does not replace a heavier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A connection failed; there may be others.
    Hint,
    /// A login or a certificate was refused: that is why connections fail.
    Cause,
    /// The transaction or its record is refused.
    Verdict,
}

impl Remark {
    fn put(&self, weight: Weight, code: RDKafkaErrorCode, text: &str) {
        // The name of librdkafka's thread comes first, as in `[thrd:main]: `.
        let text = text.split_once("]: ").map_or(text, |(_, text)| text);
        if let Ok(mut remark) = self.said.lock()
            && remark.as_ref().is_none_or(|known| weight >= known.weight)
        {
            *remark = Some(Remarked { weight, code, text: text.to_owned() });
        }
    }

    pub(super) fn is_verdict(&self) -> bool {
        let remark = self.said.lock();
        remark.is_ok_and(|remark| remark.as_ref().is_some_and(|r| r.weight == Weight::Verdict))
    }

    pub(super) fn take(&self) -> Option<Remarked> {
        self.said.lock().ok()?.take()
    }

    pub(super) fn appended_ms(&self) -> Option<i64> {
        *self.appended_ms.lock().ok()?
    }
}

impl ClientContext for Remark {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // librdkafka tells only its log why a transaction must be aborted.
        if facility == "TXNERR" {
            self.put(Weight::Verdict, RDKafkaErrorCode::Unknown, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        // Neither is a reason: one is the answer hoped for, the other follows from each failure.
        if matches!(code, RDKafkaErrorCode::PartitionEOF | RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        let is_cause = matches!(code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL);
        self.put(if is_cause { Weight::Cause } else { Weight::Hint }, code, reason);
    }
}

impl ConsumerContext for Remark {}

impl ProducerContext for Remark {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Ok(record) = result
            && let Timestamp::LogAppendTime(stamp_ms) = record.timestamp()
            && let Ok(mut appended_ms) = self.appended_ms.lock()
        {
            *appended_ms = Some(stamp_ms);
        }
        // The record of an aborted transaction that never left is purged: no answer at all.
        if let Err((error, _)) = result
            && !matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
            )
        {
            let text = Refusal::of(error, None).what;
            self.put(Weight::Verdict, RDKafkaErrorCode::Unknown, &text);
        }
    }
}

/// Hears which topic a lane may not write: what the calls themselves answer does not name it.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritable(Arc<Mutex<Option<String>>>);

impl Unwritable {
    pub(super) fn topic(&self) -> Option<String> {
        self.0.lock().ok()?.clone()
    }

    fn note(&self, topic: &str) {
        if let Ok(mut noted) = self.0.lock() {
            noted.get_or_insert_with(|| topic.to_owned());
        }
    }
}

impl ClientContext for Unwritable {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // As in `Failed to add partition "customer.scores" [1] to transaction: Broker: …`.
        if facility == "ADDPARTS"
            && message.contains("Topic authorization failed")
            && let Some(topic) = message.split('"').nth(1)
        {
            self.note(topic);
        }
        super::clients::log_line(level, facility, message);
    }
}

impl ProducerContext for Unwritable {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, record)) = result
            && error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
        {
            self.note(record.topic());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_outweighs_a_connection_and_is_named_with_its_broker() {
        let remark = Remark::default();
        let login = "[thrd:a]: sasl_ssl://b:9093/bootstrap: SASL says no (after 3ms in state X)";
        let error = |code| KafkaError::Global(code);
        remark.error(error(RDKafkaErrorCode::Authentication), login);
        remark.error(error(RDKafkaErrorCode::BrokerTransportFailure), "[thrd:a]: b: gone");
        let timed_out = error(RDKafkaErrorCode::OperationTimedOut);
        let sentence = Refusal::of(&timed_out, remark.take()).sentence();
        let expect = "broker `b:9093` refuses the login: SASL says no; correct `sasl.username`";
        assert!(sentence.starts_with(expect), "{sentence}");
        assert!(Refusal::of(&timed_out, remark.take()).remedy.is_none());
    }

    #[test]
    fn only_a_missing_right_is_taken_for_one() {
        let sentence = |code| missing_right(code, "g", ("t", Use::Read)).map(Refusal::sentence);
        for (code, expect) in [
            (RDKafkaErrorCode::TopicAuthorizationFailed, "`Read` on topic `t`"),
            (RDKafkaErrorCode::GroupAuthorizationFailed, "`Read` on group `g`"),
            (RDKafkaErrorCode::TransactionalIdAuthorizationFailed, "that begin with `g-`"),
        ] {
            assert!(sentence(code).unwrap().ends_with(expect), "{code}");
        }
        assert_eq!(sentence(RDKafkaErrorCode::UnknownTopicOrPartition), None);
    }
}

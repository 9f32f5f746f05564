//! Every key with its default and its range: layers in, structs out. Rules between keys are in
//! `rules`. Called by `config::load`.

use std::net::SocketAddr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::client;
use super::faults::one_of;
use super::hints;
use super::layers::Entry;
use super::read::{Reader, plain_name};
use super::{
    Churn, Config, Emit, Http, Kafka, Log, ModelChoice, Processing, Purpose, Segments, Sources,
};
use crate::churn::Tier;
use crate::logs;
use crate::money::{Currency, Rates, parse_minor};

/// Kafka's own limit on a topic's name.
const TOPIC_BYTES_MAX: usize = 249;
/// Room for `group-instance-lane` in any log or metric; Kafka sets no limit of its own.
const ID_BYTES_MAX: usize = 200;
/// The longest name in the domain name system.
const HOST_BYTES_MAX: usize = 253;
/// The names of tiers are segments of scores and labels of metrics.
const TIER_BYTES_MAX: usize = 32;

pub(super) fn read(reader: &mut Reader, sources: &Sources<'_>) -> Config {
    let http = http(reader);
    let processing = processing(reader);
    let churn = churn(reader, &processing.time_zone);
    let segments = segments(reader, processing.currency);
    let model = model(reader);
    let kafka = kafka(reader, sources, http.listen.port());
    let log = log(reader);
    Config { kafka, processing, model, churn, segments, http, log }
}

fn kafka(reader: &mut Reader, sources: &Sources<'_>, port: u16) -> Kafka {
    let id = |entry: &Entry| entry.name(ID_BYTES_MAX);
    let mut topic = |key, default: &str| {
        reader.take(key, default.to_owned(), |entry| {
            let name = entry.name(TOPIC_BYTES_MAX)?;
            if name == "." || name == ".." {
                Err("Kafka does not allow this name")
            } else {
                Ok(name)
            }
            .map_err(str::to_owned)
        })
    };
    let input_topic = topic("kafka.input_topic", "checkout.events");
    let scores_topic = topic("kafka.scores_topic", "customer.scores");
    let signals_topic = topic("kafka.signals_topic", "churn.signals");
    let dlq_topic = topic("kafka.dlq_topic", "checkout.events.dlq");
    let changelog_topic = topic("kafka.changelog_topic", "lifetide.changelog");
    let models_topic = topic("kafka.models_topic", "lifetide.models");
    let (client, client_files) = client::read(reader, sources);
    Kafka {
        brokers: brokers(reader, sources.purpose),
        group_id: reader.take("kafka.group_id", "lifetide".to_owned(), id),
        instance_id: instance_id(reader, sources, port),
        static_membership: reader.take("kafka.static_membership", true, Entry::flag),
        session_timeout_ms: reader
            .take("kafka.session_timeout_ms", 20_000, |entry| entry.whole(6_000..=300_000)),
        transaction_timeout_ms: reader
            .take("kafka.transaction_timeout_ms", 10_000, |entry| entry.whole(1_000..=900_000)),
        revoke_budget_ms: reader
            .take("kafka.revoke_budget_ms", 5_000, |entry| entry.whole(100..=600_000)),
        input_topic,
        scores_topic,
        signals_topic,
        dlq_topic,
        changelog_topic,
        models_topic,
        client,
        client_files,
    }
}

fn brokers(reader: &mut Reader, purpose: Purpose) -> String {
    let brokers = reader.take("kafka.brokers", None, |entry| {
        if let Some(list) = hints::joined(&entry.value) {
            return Err(format!("must be one string, as in `{list}`"));
        }
        let brokers = entry.string()?;
        match brokers.split(',').map(str::trim).find_map(hints::broker_fault) {
            None => Ok(Some(brokers)),
            Some(fault) => Err(format!("must be `host:port`, several separated by commas{fault}")),
        }
    });
    if brokers.is_none() && purpose == Purpose::Cluster && !reader.has_entry("kafka.brokers") {
        let remedy = "name the brokers, as in `brokers = \"127.0.0.1:9092\"` under `[kafka]` or \
                      `LIFETIDE__KAFKA__BROKERS`";
        reader.fault("kafka.brokers", "", remedy);
    }
    brokers.unwrap_or_else(|| "127.0.0.1:9092".to_owned())
}

/// Recovery after a crash hangs on an identity that the restarted process has again and no other
/// process has: the host and its HTTP port, which two processes of a host cannot share.
fn instance_id(reader: &mut Reader, sources: &Sources<'_>, port: u16) -> String {
    let host = sources.host;
    let given = reader.take("kafka.instance_id", None, |entry| {
        let is_empty = entry.string()?.is_empty();
        if is_empty { Ok(None) } else { entry.name(ID_BYTES_MAX).map(Some) }
    });
    if given.is_none() && sources.purpose == Purpose::Cluster && (host.is_none() || port == 0) {
        let remedy = "set a name that this process keeps over restarts and shares with no other; \
                      it can be derived only from a host name and a fixed port in `http.listen`";
        reader.fault("kafka.instance_id", "", remedy);
    }
    given.unwrap_or_else(|| {
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "._-".contains(*letter);
        let host: String = host.unwrap_or("localhost").chars().filter(is_plain).collect();
        format!("{host}-{port}")
    })
}

fn processing(reader: &mut Reader) -> Processing {
    let us_dollar = Currency::parse("USD").expect("`USD` is three capital letters");
    let rates = reader.table("processing.rates", rate).into_iter().map(|(_, rate)| rate);
    Processing {
        workers: reader.take("processing.workers", 2, |entry| entry.whole(1..=64)),
        commit_interval_ms: reader
            .take("processing.commit_interval_ms", 100, |entry| entry.whole(1..=60_000)),
        transaction_events_max: reader
            .take("processing.transaction_events_max", 20_000, |entry| entry.whole(1..=100_000)),
        transaction_bytes_max: reader.take("processing.transaction_bytes_max", 32 << 20, |entry| {
            entry.whole(64 << 10..=1 << 30)
        }),
        emit: reader.take("processing.emit", Emit::Commit, |entry| match &*entry.string()? {
            "commit" => Ok(Emit::Commit),
            "event" => Ok(Emit::Event),
            other => Err(one_of(other, &["commit", "event"])),
        }),
        currency: reader.take("processing.currency", us_dollar, |entry| currency(&entry.string()?)),
        rates: Rates(rates.collect()),
        time_zone: reader.take("processing.time_zone", TimeZone::UTC, |entry| {
            let name = entry.string()?;
            TimeZone::get(&name).map_err(|_| hints::time_zone(&name))
        }),
        refund_window_days: reader
            .take("processing.refund_window_days", 180, |entry| entry.whole(0..=1_000)),
        lateness_days: reader.take("processing.lateness_days", 30, |entry| entry.whole(0..=1_000)),
        dedup_events: reader.take("processing.dedup_events", 64, |entry| entry.whole(1..=4_096)),
        erasure_memory_days: reader
            .take("processing.erasure_memory_days", 365, |entry| entry.whole(0..=36_500)),
        future_skew_max_s: reader
            .take("processing.future_skew_max_s", 3_600, |entry| entry.whole(0..=31_536_000)),
        idle_lag_s: reader.take("processing.idle_lag_s", Some(60), |entry| {
            if entry.whole(-1..=-1).is_ok_and(|lag_s: i64| lag_s == -1) {
                return Ok(None);
            }
            entry.whole(5..=31_536_000).map(Some).map_err(|rule| rule + ", or `-1`")
        }),
        stall_timeout_s: reader
            .take("processing.stall_timeout_s", 60, |entry| entry.whole(5..=86_400)),
        score_drift_max: reader.take("processing.score_drift_max", 0.1, |entry| {
            entry.number(|value| value > 0.0 && value <= 1.0, "above 0 and at most 1")
        }),
    }
}

fn currency(code: &str) -> Result<Currency, String> {
    Currency::parse(code).ok_or_else(|| hints::currency(code))
}

fn rate(code: &str, entry: &Entry) -> Result<(Currency, Decimal), String> {
    let currency = currency(code)?;
    let rate: Option<Decimal> = entry.decimal()?.parse().ok();
    let range = Decimal::new(1, 9)..=Decimal::from(1_000_000_000);
    rate.filter(|rate| range.contains(rate)).map(|rate| (currency, rate)).ok_or_else(|| {
        "must be what one unit is worth in `processing.currency`, from 0.000000001 to 1000000000"
            .to_owned()
    })
}

fn model(reader: &mut Reader) -> ModelChoice {
    ModelChoice {
        file: reader.take("model.file", None, Entry::path),
        pin: reader.take("model.pin", None, |entry| {
            let label = entry.string()?;
            match label.split_once('/') {
                None if label.is_empty() => Ok(None),
                Some((name, version)) if !name.is_empty() && !version.is_empty() => Ok(Some(label)),
                _ => Err("must be a model's `name/version`, as scores show it".to_owned()),
            }
        }),
        fit_every_days: reader.take("model.fit_every_days", 7, |entry| entry.whole(0..=3_650)),
        horizon_months: reader.take("model.horizon_months", 12, |entry| entry.whole(1..=120)),
        discount_monthly: reader.take("model.discount_monthly", 0.01, |entry| {
            entry.number(|value| (0.0..1.0).contains(&value), "from 0 to below 1, as in `0.01`")
        }),
        orders_horizon_days: reader
            .take("model.orders_horizon_days", 365, |entry| entry.whole(1..=3_650)),
        retention_months: reader.take("model.retention_months", 24, |entry| entry.whole(1..=1_200)),
    }
}

fn churn(reader: &mut Reader, zone: &TimeZone) -> Churn {
    let chance =
        |entry: &Entry| entry.number(|value| value > 0.0 && value < 1.0, "above 0 and below 1");
    let prior = |entry: &Entry| {
        entry.number(|value| (0.001..=1e6).contains(&value), "from 0.001 to 1000000")
    };
    let days = |entry: &Entry| entry.whole(0..=36_500);
    let alarms =
        |entry: &Entry| entry.number(|value| (0.001..=12.0).contains(&value), "from 0.001 to 12");
    Churn {
        at_risk_silence_tail: reader.take("churn.at_risk_silence_tail", 0.1, chance),
        lapse_p_alive: reader.take("churn.lapse_p_alive", 0.5, chance),
        lapse_silence_tail: reader.take("churn.lapse_silence_tail", 0.02, chance),
        lapse_days_single: reader
            .take("churn.lapse_days_single", 180, |entry| entry.whole(1..=36_500)),
        lapse_days_min: reader.take("churn.lapse_days_min", 14, |entry| entry.whole(1..=36_500)),
        cooldown_days: reader.take("churn.cooldown_days", 30, days),
        signals_from_ms: reader.take("churn.signals_from", None, |entry| instant_ms(entry, zone)),
        prior_orders: reader.take("churn.prior_orders", 2.0, prior),
        prior_weeks: reader.take("churn.prior_weeks", 8.0, prior),
        false_alarms_per_customer_year: reader.take(
            "churn.false_alarms_per_customer_year",
            0.25,
            alarms,
        ),
        usage_false_alarms_per_customer_year: reader.take(
            "churn.usage_false_alarms_per_customer_year",
            0.25,
            alarms,
        ),
    }
}

/// An instant, or a local date or date-time of the zone. An empty string is none.
fn instant_ms(entry: &Entry, zone: &TimeZone) -> Result<Option<i64>, String> {
    let text = entry.text();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(Some(instant.as_millisecond()));
    }
    let local = text.parse::<DateTime>().ok();
    let zoned = local.and_then(|local| zone.to_ambiguous_zoned(local).compatible().ok());
    zoned.map(|zoned| Some(zoned.timestamp().as_millisecond())).ok_or_else(|| {
        "must be a time such as `2026-01-01T00:00:00Z`, or a date of `processing.time_zone`"
            .to_owned()
    })
}

fn segments(reader: &mut Reader, currency: Currency) -> Segments {
    let given = reader.has_table("segments.tiers");
    let mut tiers: Vec<Tier> = reader
        .table("segments.tiers", |name, entry| {
            plain_name(name, TIER_BYTES_MAX)?;
            let bound = parse_minor(&entry.decimal()?, currency).map_err(|error| {
                format!("must be the tier's lowest value in major units: {error}")
            })?;
            Ok(i128::from(bound))
        })
        .into_iter()
        .map(|(name, from_minor)| Tier { name, from_minor })
        .collect();
    if !given {
        let major_minor = 10i128.pow(currency.decimals());
        tiers = [("low", 0), ("medium", 100), ("high", 500)]
            .map(|(name, bound)| Tier { name: name.to_owned(), from_minor: bound * major_minor })
            .into();
    }
    tiers.sort_by(|one, other| (one.from_minor, &one.name).cmp(&(other.from_minor, &other.name)));
    Segments { tiers }
}

fn http(reader: &mut Reader) -> Http {
    let listen = reader.take("http.listen", SocketAddr::from(([127, 0, 0, 1], 9464)), |entry| {
        let text = entry.string()?;
        text.parse().map_err(|_| hints::listen(&text))
    });
    let advertise = reader.take("http.advertise", None, |entry| {
        let text = entry.string()?;
        if text.is_empty() { Ok(None) } else { host_and_port(&text).map(Some) }
    });
    let ip = listen.ip().to_canonical();
    let is_one_address = !ip.is_unspecified() && !ip.is_loopback() && listen.port() != 0;
    Http {
        listen,
        token_file: reader.take("http.token_file", None, Entry::path),
        advertise: advertise.or_else(|| is_one_address.then(|| listen.to_string())),
    }
}

/// A name or an address, and a port.
fn host_and_port(text: &str) -> Result<String, String> {
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_host = !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(is_of_host);
    let is_address = text.parse::<SocketAddr>().is_ok();
    if (is_host || is_address) && port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Ok(text.to_owned());
    }
    Err("must be a host name or address and a port, as in `lifetide-0.lifetide:9464`".to_owned())
}

fn log(reader: &mut Reader) -> Log {
    let level = reader.take("log.level", None, |entry| {
        let rules = entry.string()?;
        if rules.is_empty() { Ok(None) } else { logs::checked(&rules).map(Some) }
    });
    Log { level }
}

//! The models topic of a process: what is published there is known to its lanes, and where the
//! process owns partition 0 it publishes what it fits to the changelog, once there is enough to
//! know and then on a schedule. It changes no partition: `remodeller` does. Started by `service`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::census::{self, Census};
use super::clients::{self, Quiet};
use super::lane::Common;
use super::mover::{Addressed, Mover};
use super::topics;
use super::turns::{self, Past, Stock};
use crate::calendar::{Calendar, Day};
use crate::clv::{Model, ModelFile};
use crate::config::Config;
use crate::fit::succession::{REPEATERS_MIN, SPAN_DAYS_MIN, held_back};
use crate::fit::{self, Fitted, Request, Statistics};
use crate::metrics::FitOutcome;
use crate::models::Models;
use crate::money::Currency;
use crate::record::model::{self, CURRENT, Entry};

/// Models live in one partition, so that they are read in the order in which they were written.
const PARTITION: i32 = 0;
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(500);
/// How long the topic may take to be read at the start.
const PATIENCE: Duration = Duration::from_mins(1);

/// What lies in the topic.
#[derive(Default)]
struct Published {
    files: BTreeMap<String, (ModelFile, Arc<Model>)>,
    /// The newest label that was published as the one to go on with.
    current: Option<String>,
    /// When the newest model was published, in milliseconds since 1970.
    at_ms: Option<i64>,
    /// The last day of what any of the models was fitted to.
    reached: Option<Day>,
}

impl Published {
    /// Takes a record in, unless it cannot be used.
    fn take(&mut self, entry: Entry, at_ms: Option<i64>, currency: Currency) {
        match entry {
            Entry::Model(_, model) if model.currency().is_some_and(|other| other != currency) => {
                warn!(model = model.label(), "a model of another currency is left alone");
            }
            Entry::Model(file, model) => {
                // A clock that ran ahead delays no fit for longer than the others do.
                self.at_ms = self.at_ms.max(at_ms.map(|at_ms| at_ms.min(now_ms())));
                self.reached = self.reached.max(last_day(&file.version));
                let label = model.label().to_owned();
                self.files.entry(label).or_insert((*file, Arc::from(model)));
            }
            Entry::Current(label) if !self.files.contains_key(&label) => {
                warn!(model = label, "the model to go on with is not in the topic; left alone");
            }
            Entry::Current(label) => self.current = Some(label),
        }
    }
}

/// Reads the topic, and fits.
pub struct Modeller {
    common: Common,
    reader: Reader,
    published: Published,
    /// The last attempt, and when it ended.
    tried: Option<(Stock, Instant)>,
}

impl std::fmt::Debug for Modeller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let current = &self.published.current;
        f.debug_struct("Modeller").field("current", current).finish_non_exhaustive()
    }
}

impl Modeller {
    /// Reads what was published so far. `None` where there is no topic to publish to: then there is
    /// no model, and all else works.
    ///
    /// # Errors
    /// The topic cannot be read, or holds no model that is pinned; with the remedy.
    pub fn open(common: &Common) -> Result<Option<Self>, String> {
        let Some((reader, published)) = Reader::open(common)? else {
            let topic = &common.config.kafka.models_topic;
            if let Some(pin) = common.models.pin() {
                return Err(format!("`model.pin` is `{pin}`, and the topic `{topic}` is missing"));
            }
            warn!(
                topic,
                "the models topic is missing, so nothing is predicted; `lifetide check \
                 --create-topics` creates it"
            );
            return Ok(None);
        };
        let modeller = Self { common: common.clone(), reader, published, tried: None };
        modeller.tell(None);
        modeller.models().check_pin(modeller.models().pin().as_deref())?;
        Ok(Some(modeller))
    }

    /// Works until shutdown.
    pub fn run(&mut self) {
        while !self.common.shutdown.is_requested() {
            let before = self.published.current.clone();
            match self.reader.poll(&mut self.published) {
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Ok(())) => {
                    self.tell(before.as_deref());
                    continue;
                }
                Some(Err(error)) => {
                    clients::log_passing(&error, "failed to read the models; trying again");
                }
            }
            if let Some(stock) = self.stock().filter(|stock| self.is_due(*stock)) {
                self.attempt(stock);
            }
        }
    }

    fn models(&self) -> &Models {
        &self.common.models
    }

    /// Lets the lanes know what is published, where another model was current before.
    fn tell(&self, before: Option<&str>) {
        let Published { files, current, at_ms, .. } = &self.published;
        self.common.metrics.set_model_published(at_ms.unwrap_or(0));
        for (_, model) in files.values() {
            self.models().learn(Arc::clone(model));
        }
        let Some(label) = current.as_deref().filter(|label| before != Some(label)) else { return };
        let is_known = self.models().want(label);
        if is_known && self.models().pin().is_none() {
            info!(model = label, "going on with this model");
        }
    }

    /// What there is to fit to, where it is this process's turn.
    fn stock(&self) -> Option<Stock> {
        let first = self.common.store.customers(PARTITION)?;
        let calendar = &self.models().rules().calendar;
        // What is dated ahead of today hastens nothing.
        let day = first.newest_event_ms().map(|at_ms| calendar.day(at_ms.min(now_ms())));
        Some(Stock { n_customers: first.n_customers(), day })
    }

    fn is_due(&self, stock: Stock) -> bool {
        let past = Past {
            published_ms: self.published.at_ms,
            day: self.published.reached,
            tried: self.tried.map(|(before, ended)| (before, ended.elapsed())),
            is_pinned: self.models().pin().is_some(),
        };
        turns::is_due(self.common.config.model.fit_every_days, &past, stock, now_ms())
    }

    fn attempt(&mut self, stock: Stock) {
        let began = Instant::now();
        let (outcome, day) = match self.fit() {
            Ok(outcome) => (outcome, stock.day),
            Err(error) if self.common.shutdown.is_requested() => {
                info!(error, "a fit was broken off");
                return;
            }
            Err(error) => {
                warn!(error, "failed to fit a model; trying again later");
                (FitOutcome::Failed, self.tried.and_then(|(before, _)| before.day))
            }
        };
        self.tried = Some((Stock { day, ..stock }, Instant::now()));
        self.common.metrics.fitted(outcome, began.elapsed());
    }

    fn fit(&mut self) -> Result<FitOutcome, String> {
        let Common { config, models, shutdown, .. } = &self.common;
        let Some(census) = census::take(config, &models.rules(), shutdown)? else {
            return Err("shutting down".to_owned());
        };
        let Census { statistics, first_day, last_day } = &census;
        let span_days = first_day.zip(*last_day).map_or(0, |(first, last)| last.days_since(first));
        let Some(last_day) = last_day
            .filter(|_| statistics.n_repeaters() >= REPEATERS_MIN && span_days >= SPAN_DAYS_MIN)
        else {
            let n_repeaters = statistics.n_repeaters();
            info!(n_repeaters, span_days, "too little is known for a model yet");
            return Ok(FitOutcome::TooLittle);
        };
        let request = Request {
            name: None,
            version: last_day.to_string(),
            currency: Some(config.processing.currency),
        };
        let fitted = fit::fit(statistics, &request).map_err(|error| error.to_string())?;
        for warning in &fitted.warnings {
            warn!(warning, "of the fitted model");
        }
        self.publish(statistics, fitted)
    }

    /// Reads the topic anew, now that nobody else can write to it: a process that lost partition 0
    /// while it fitted must not come after the one that has it. Tells the lanes nothing.
    fn catch_up(&self) -> Result<Published, String> {
        let Some((_, fresh)) = Reader::open(&self.common)? else {
            return Err("the models topic is gone".to_owned());
        };
        if !fresh.files.keys().eq(self.published.files.keys()) {
            return Err("another process has published a model meanwhile".to_owned());
        }
        match self.common.store.customers(PARTITION) {
            Some(_) => Ok(fresh),
            None => Err("partition 0 has gone to another process".to_owned()),
        }
    }

    /// The day up to which the data reach, with a number behind it where that was taken.
    fn version(&self, day: &str) -> String {
        let is_taken = |version: &str| {
            fit::Name::ALL.iter().any(|name| {
                self.published.files.contains_key(&format!("{}/{version}", name.as_str()))
            })
        };
        let numbered = (2_u32..).map(|n| format!("{day}.{n}"));
        let mut versions = std::iter::once(day.to_owned()).chain(numbered);
        versions.find(|version| !is_taken(version)).unwrap_or_else(|| day.to_owned())
    }

    /// The model, and that it is to be gone on with unless it is held back, in one transaction.
    fn publish(
        &mut self,
        statistics: &Statistics,
        mut fitted: Fitted,
    ) -> Result<FitOutcome, String> {
        let mut mover = Mover::connect(&self.common.config, "fit")?;
        let fresh = self.catch_up()?;
        let in_use = self.models().pin().or(fresh.current);
        let in_use = in_use.and_then(|label| fresh.files.get(&label));
        let held = in_use.and_then(|(file, model)| held_back(statistics, &fitted, (file, model)));
        fitted.file.version = self.version(&fitted.file.version);
        let label = format!("{}/{}", fitted.file.name, fitted.file.version);
        let value = model::encode(&fitted.file)?;
        let mut send = |key: &str, value: &[u8]| {
            mover.send(Addressed {
                topic: &self.reader.topic,
                partition: Some(PARTITION),
                key: Some(key.as_bytes()),
                value: Some(value),
                headers: &[],
            })
        };
        send(&label, &value)?;
        if held.is_none() {
            send(CURRENT, label.as_bytes())?;
        }
        mover.commit(None)?;
        match held {
            None => info!(model = label, customers = statistics.n_customers(), "published a model"),
            Some(reason) => {
                let reason = reason.to_string();
                warn!(model = label, reason, "held a model back; `model.pin` would take it");
            }
        }
        Ok(held.map_or(FitOutcome::Published, FitOutcome::from))
    }
}

/// Reads the models topic from its beginning.
struct Reader {
    topic: String,
    currency: Currency,
    consumer: BaseConsumer<Quiet>,
}

impl Reader {
    /// A reader behind what lies in the topic, and that; `None` where there is no topic.
    fn open(common: &Common) -> Result<Option<(Self, Published)>, String> {
        let topic = common.config.kafka.models_topic.clone();
        if !topics::is_there(&common.config.kafka, &topic)? {
            return Ok(None);
        }
        let consumer: BaseConsumer<Quiet> = clients::reader(&common.config.kafka, "read_committed")
            .create_with_context(Quiet)
            .map_err(|error| format!("failed to create a consumer: {error}"))?;
        let mut partitions = TopicPartitionList::new();
        partitions
            .add_partition_offset(&topic, PARTITION, Offset::Beginning)
            .and_then(|()| consumer.assign(&partitions))
            .map_err(|error| format!("failed to read `{topic}`: {error}"))?;
        let reader = Self { topic, currency: common.config.processing.currency, consumer };
        let published = reader.read_to_end()?;
        Ok(Some((reader, published)))
    }

    fn read_to_end(&self) -> Result<Published, String> {
        let (mut published, began) = (Published::default(), Instant::now());
        loop {
            match self.poll(&mut published) {
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(published),
                Some(Err(error))
                    if error.rdkafka_error_code().is_some_and(clients::is_hopeless) =>
                {
                    return Err(format!("failed to read `{}`: {error}", self.topic));
                }
                Some(Err(error)) => {
                    clients::log_passing(&error, "failed to read the models; trying again");
                }
                Some(Ok(())) | None => {}
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "`{}` could not be read within {} s; are the brokers up?",
                    self.topic,
                    PATIENCE.as_secs()
                ));
            }
        }
    }

    /// Takes the next record, if one comes.
    fn poll(&self, published: &mut Published) -> Option<Result<(), KafkaError>> {
        let message = match self.consumer.poll(POLL)? {
            Ok(message) => message,
            Err(error) => return Some(Err(error)),
        };
        match read(&message) {
            Ok(Some(entry)) => {
                published.take(entry, message.timestamp().to_millis(), self.currency);
            }
            Ok(None) => {}
            Err(fault) => {
                let (topic, offset) = (&self.topic, message.offset());
                warn!(topic, offset, fault, "a model cannot be used");
            }
        }
        Some(Ok(()))
    }
}

/// The day up to which the data of a version reach, as [`Modeller::version`] writes it, unless it
/// is to come.
fn last_day(version: &str) -> Option<Day> {
    let tomorrow = Calendar::utc().day(now_ms()).plus(1);
    let day = version.split('.').next()?.parse().ok().map(Day::from_date);
    day.filter(|day| *day <= tomorrow)
}

fn read(message: &BorrowedMessage<'_>) -> Result<Option<Entry>, String> {
    let Some(value) = message.payload() else { return Ok(None) };
    model::read(message.key().unwrap_or_default(), value).map(Some)
}

/// Whether the configuration leaves the model to the topic.
pub fn is_wanted(config: &Config) -> bool {
    config.model.file.is_none()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

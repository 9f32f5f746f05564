//! Lifetide reads checkout events from Kafka and keeps, for every customer, what they have been
//! worth, what they will be worth, whether their spending falls, and when silence will change that.
//! This page is the map: the way of an event, the modules in the order in which to read them, and
//! what is absent on purpose.
//!
//! ```text
//! bytes -decode-> Event -apply-> Customer -score-> Score -judge-> Signal? -encode-> records
//!                                   |                                                  |
//!                                   one timer: the next day on which          one transaction with
//!                                   silence alone changes the answer          state and offsets
//! ```
//!
//! | module | does |
//! |---|---|
//! | [`calendar`] [`money`] | days of a time zone; integer minor units, rates (pure) |
//! | [`event`] | 1 decode: bytes to an event, or a rejection with a reason (pure) |
//! | [`customer`] | 2 aggregate: day ledger, open orders, path state (pure) |
//! | [`clv`] | 3 score: purchase and spend models, the articles' formulas (pure) |
//! | [`fit`] | the parameters of those models by maximum likelihood (pure) |
//! | [`evaluation`] | what those models foretold on a past day, against what came of it (pure) |
//! | [`churn`] | 4 judge: evidence of decline, lifecycle, deadlines, signals (pure) |
//! | [`population`] | what customers are worth together, and what moves it (pure) |
//! | [`record`] | 5 publish: the bytes of every record, versioned, both ways (pure) |
//! | [`pipeline`] | 1 to 5 for one customer and one input (pure) |
//! | [`explanation`] | what a score is made of, and what would change it (pure) |
//! | [`engine`] | the loop over inputs: stage, fire timers, commit or drop; no Kafka client |
//! | [`store`] | committed customers: one writer a partition, many readers |
//! | [`kafka`] | lanes: poll thread, transactions, restore, what topics must be |
//! | [`http`] [`metrics`] [`lifecycle`] | look-ups and probes; Prometheus; readiness and shutdown |
//! | [`broadcast`] | the newest signals, for those who watch them over HTTP |
//! | [`logs`] [`reload`] | how a line looks; what changes while it runs |
//! | [`config`] | file, environment, `--set`; every rule between keys |
//! | [`models`] | the models that are known, and the one to go on with |
//! | [`plan`] | pipelines of a configuration and its model file |
//! | [`lookup`] | what HTTP says of one customer, and whom it lists |
//! | [`service`] | one running processor: the parts above, wired |
//! | [`history`] [`replay`] | files of past orders; their recount without Kafka |
//! | `dice` | seeded draws |
//! | [`sim`] | everything that can fail around the engine, by seeds, with an independent recount |
//! | [`calibration`] | the price of the decline signals, by simulation |
//! | [`demo`] | a simulated shop with planted churners, and the verdict on what was found |
//! | [`cli`] [`commands`] | arguments; one file a subcommand, thin |
//!
//! # Absent on purpose
//! - In the pure modules: I/O, clocks, locks, logs, randomness, unordered iteration and stored
//!   floats. Time is an argument, money is an integer, and logarithms come from `libm`, so that
//!   every machine computes the same bytes. A test holds all modules to what they may import.
//! - State outside Kafka: no database, no local files. A restart reads the changelog.
//! - A cluster of our own: groups, transactions and compacted topics are all there is between
//!   processes. Lanes of one process share the committed store and the metrics, nothing else.
//! - Scans for silence: each customer has one timer in closed form.
//! - Global state: metrics, configuration and shutdown are passed by value.

pub mod broadcast;
pub mod calendar;
pub mod calibration;
pub mod churn;
pub mod cli;
pub mod clv;
pub mod commands;
pub mod config;
pub mod customer;
pub mod demo;
mod dice;
pub mod engine;
pub mod evaluation;
pub mod event;
pub mod explanation;
pub mod fit;
pub mod history;
pub mod http;
pub mod kafka;
pub mod lifecycle;
pub mod logs;
pub mod lookup;
pub mod metrics;
pub mod models;
pub mod money;
pub mod pipeline;
pub mod plan;
pub mod population;
pub mod record;
pub mod reload;
pub mod replay;
pub mod service;
pub mod sim;
pub mod store;

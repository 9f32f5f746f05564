//! Lifetide reads checkout events from Kafka and keeps, for every customer, what they have been
//! worth, what they will be worth, whether their spending falls, and when silence will change that.

pub mod calendar;
pub mod churn;
pub mod cli;
pub mod clv;
pub mod commands;
pub mod config;
pub mod customer;
pub mod demo;
pub mod engine;
pub mod event;
pub mod history;
pub mod http;
pub mod kafka;
pub mod lifecycle;
pub mod lookup;
pub mod metrics;
pub mod money;
pub mod pipeline;
pub mod plan;
pub mod record;
pub mod replay;
pub mod service;
pub mod store;

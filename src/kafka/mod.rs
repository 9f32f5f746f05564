//! Everything that speaks to Kafka: `lane` puts the parts together; `source` and `callbacks` read,
//! `sink` commits through a `writer`, `steward` and `restore` ask and read back beside them, and
//! `watchdog` judges whether partitions come on. Each blocking call of librdkafka is made on a
//! thread of our own: no futures, no wakers that could be lost. `feed`, `tail` and `embedded` are
//! no part of a lane: a producer, a reader and a broker for `demo`. Nor are `signals`, which reads
//! for those who watch over HTTP, `admin` and `clock`, which ask for `check` and `init`, `span`,
//! `scan` and `mover`, with which commands read and write topics, `placement` and `custom`, which
//! say where keys lie, `group`, which says who is there, and `repartition`, which moves state
//! between two runs.

pub mod admin;
mod callbacks;
mod census;
pub mod clients;
pub mod clock;
mod cover;
pub mod custom;
pub mod embedded;
mod ends;
pub mod feed;
pub mod group;
pub mod lane;
pub mod modeller;
pub mod mover;
mod ownership;
pub mod placement;
mod refusal;
mod remodeller;
pub mod repartition;
mod restore;
pub mod scan;
pub mod signals;
mod sink;
mod source;
pub mod span;
mod steward;
pub mod tail;
pub mod topics;
mod turns;
mod watchdog;
mod writer;

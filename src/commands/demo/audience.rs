//! The thread that reads the output topics of a demo as any other program would, and ends once it
//! has read everything that was there when it was asked for the result. Called by `show`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::config::Kafka;
use crate::demo::outputs::Outputs;
use crate::kafka::tail::Tail;
use crate::lifecycle::Shutdown;

/// How long one look waits for a record.
const POLL: Duration = Duration::from_millis(50);
/// How long the reading may take to its end.
const END_MAX: Duration = Duration::from_secs(20);

/// A reader at work.
#[derive(Debug)]
pub(super) struct Audience {
    reading: JoinHandle<Result<Outputs, String>>,
    is_over: Shutdown,
    n_signals: Arc<AtomicU64>,
}

impl Audience {
    /// Begins to read at the beginning of all output topics.
    ///
    /// # Errors
    /// The topics cannot be read.
    pub(super) fn admit(kafka: &Kafka) -> Result<Self> {
        let topics = [&*kafka.scores_topic, &kafka.signals_topic, &kafka.dlq_topic];
        let tail = Tail::open(kafka, &topics).map_err(anyhow::Error::msg)?;
        let (is_over, n_signals) = (Shutdown::new(), Arc::new(AtomicU64::new(0)));
        let reader = Reader {
            tail,
            kafka: kafka.clone(),
            outputs: Outputs::default(),
            is_over: is_over.clone(),
        };
        let count = Arc::clone(&n_signals);
        let reading =
            thread::Builder::new().name("audience".to_owned()).spawn(move || reader.run(&count))?;
        Ok(Self { reading, is_over, n_signals })
    }

    /// Signals read so far.
    pub(super) fn n_signals(&self) -> u64 {
        self.n_signals.load(Ordering::Relaxed)
    }

    /// Reads what is there, and ends.
    ///
    /// # Errors
    /// Something cannot be read, or not in time.
    pub(super) fn leave(self) -> Result<Outputs> {
        self.is_over.request();
        let outputs = self.reading.join().map_err(|_| anyhow!("the reading thread panicked"))?;
        outputs.map_err(anyhow::Error::msg)
    }
}

struct Reader {
    tail: Tail,
    kafka: Kafka,
    outputs: Outputs,
    is_over: Shutdown,
}

impl Reader {
    fn run(mut self, n_signals: &AtomicU64) -> Result<Outputs, String> {
        while !self.is_over.is_requested() {
            self.turn()?;
            n_signals.store(self.outputs.signals.len() as u64, Ordering::Relaxed);
        }
        let over_at = Instant::now();
        let ends = self.tail.ends()?;
        while !self.tail.has_reached(&ends)? {
            if over_at.elapsed() > END_MAX {
                return Err("the output topics were not read to their end in time".to_owned());
            }
            // Whole bursts between two looks at the positions.
            while self.turn()? {}
        }
        Ok(self.outputs)
    }

    /// Takes the next record; returns whether there was one.
    fn turn(&mut self) -> Result<bool, String> {
        let Self { tail, kafka, outputs, .. } = self;
        tail.next(POLL, |found| {
            if found.topic == kafka.scores_topic {
                outputs.score(found.payload)
            } else if found.topic == kafka.signals_topic {
                outputs.signal(found.payload.unwrap_or_default())
            } else {
                outputs.n_rejected += 1;
                Ok(())
            }
        })
    }
}

//! The last steps of a run in plain words: who did what to which partition at which offset. Kept
//! only while a failure is played again, so that runs that find nothing do not pay for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Steps that a failure shows.
const STEPS_MAX: usize = 40;

/// The last steps, if they are wanted.
#[derive(Debug, Default)]
pub(super) struct Trace {
    steps: Option<RefCell<VecDeque<String>>>,
    now: Cell<u64>,
}

impl Trace {
    /// A trace that keeps the last steps.
    pub(super) fn kept() -> Self {
        Self { steps: Some(RefCell::default()), now: Cell::new(0) }
    }

    /// From now on, steps happen at this tick.
    pub(super) fn at(&self, now: u64) {
        self.now.set(now);
    }

    /// Takes note of a step.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let Some(steps) = &self.steps else { return };
        let mut steps = steps.borrow_mut();
        if steps.len() == STEPS_MAX {
            steps.pop_front();
        }
        steps.push_back(format!("  {:>5}  {}", self.now.get(), what()));
    }

    /// All that was kept, a step a line.
    pub(super) fn told(&self) -> String {
        let steps = self.steps.iter().flat_map(|steps| steps.borrow().clone());
        steps.collect::<Vec<_>>().join("\n")
    }
}

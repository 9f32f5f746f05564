//! A list of all committed customers by what is at stake with them. It keeps nothing between two
//! lists, so that a customer's memory stays as it is, and holds no part of the store for longer
//! than one customer's bytes take to copy. Called by `http` at most now and then.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::http::{CustomerLists, List};
use crate::lifecycle::{Lanes, Shutdown};
use crate::pipeline::Pipeline;
use crate::record::changelog;
use crate::store::{Customers, Store};

/// Makes lists from committed state.
#[derive(Debug)]
pub struct Lister {
    /// The committed customers.
    pub store: Arc<Store>,
    /// Says whether all of them are there.
    pub lanes: Arc<Lanes>,
    /// How many value tiers there are.
    pub n_tiers: usize,
    /// Breaks a list off.
    pub shutdown: Shutdown,
}

impl CustomerLists for Lister {
    fn make(&self) -> List {
        let mut list = List::new(self.n_tiers);
        list.is_partial = self.is_waiting();
        let mut made: Option<Pipeline> = None;
        for partition in self.store.owned() {
            let Some(customers) = self.store.customers(partition) else { continue };
            // By the rules and the model of the partition, as look-ups.
            let Some(plan) = customers.plan() else {
                list.is_partial = true;
                continue;
            };
            let pipeline = match made.take() {
                Some(pipeline) if pipeline.plan().is(&plan) => pipeline,
                Some(_) | None => plan.pipeline(),
            };
            self.add(&customers, &pipeline, &mut list);
            made = Some(pipeline);
        }
        list.is_partial |= self.is_waiting();
        list
    }
}

impl Lister {
    /// Adds the partition, or a part of it once the process is to stop.
    fn add(&self, customers: &Customers, pipeline: &Pipeline, list: &mut List) {
        customers.visit_copies(|entry| {
            if self.shutdown.is_requested() {
                list.is_partial = true;
                return ControlFlow::Break(());
            }
            if let Ok(customer) = changelog::decode(entry.value) {
                list.offer(entry.id, pipeline.stake(&customer));
            }
            ControlFlow::Continue(())
        });
    }

    fn is_waiting(&self) -> bool {
        !self.lanes.waiting().is_empty()
    }
}

#[cfg(test)]
mod tests;

//! A list of all committed customers by what is at stake with them. It keeps nothing between two
//! lists, so that a customer's memory stays as it is, and holds no part of the store for longer
//! than one customer's bytes take to copy. Called by `http` at most now and then.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::http::{CustomerLists, List, Listing};
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
        let mut is_partial = !self.lanes.waiting().is_empty();
        let mut listing = Listing::new(self.n_tiers);
        let mut made: Option<Pipeline> = None;
        for partition in self.store.owned() {
            let Some(customers) = self.store.customers(partition) else { continue };
            // By the rules and the model of the partition, as look-ups.
            let Some(plan) = customers.plan() else {
                is_partial = true;
                continue;
            };
            let pipeline = match made.take() {
                Some(pipeline) if pipeline.plan().is(&plan) => pipeline,
                Some(_) | None => plan.pipeline(),
            };
            is_partial |= !self.add(&customers, &pipeline, &mut listing);
            made = Some(pipeline);
        }
        listing.finish(is_partial || !self.lanes.waiting().is_empty())
    }
}

impl Lister {
    /// Whether all of the partition has been added: not once the process is to stop.
    fn add(&self, customers: &Customers, pipeline: &Pipeline, listing: &mut Listing) -> bool {
        let mut is_whole = true;
        customers.visit_copies(|entry| {
            is_whole = !self.shutdown.is_requested();
            if !is_whole {
                return ControlFlow::Break(());
            }
            if let Ok(customer) = changelog::decode(entry.value) {
                listing.offer(entry.id.to_owned(), pipeline.stake(&customer));
            }
            ControlFlow::Continue(())
        });
        is_whole
    }
}

#[cfg(test)]
mod tests;

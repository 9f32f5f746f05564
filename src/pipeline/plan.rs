//! By what customers are judged: rules and model. Makes pipelines of them, each with a table of its
//! own. Held by whoever must know by which of several a customer's timer was set.

use std::sync::Arc;

use super::{Pipeline, Rules};
use crate::clv::Model;

/// What makes the pipelines of a process: each thread that scores has its own.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The rules.
    pub rules: Arc<Rules>,
    /// The model, if there is one.
    pub model: Option<Arc<Model>>,
}

impl Plan {
    /// A pipeline.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline::new(Arc::clone(&self.rules), self.model.clone())
    }

    /// `name/version` of the model, or `none`.
    pub fn model_label(&self) -> &str {
        self.model.as_ref().map_or("none", |model| model.label())
    }

    /// Whether the other is made of the very same parts. Equal ones count as different, which costs
    /// a judgement of everybody and changes nothing.
    pub fn is(&self, other: &Self) -> bool {
        let is_same_model = match (&self.model, &other.model) {
            (None, None) => true,
            (Some(model), Some(other)) => Arc::ptr_eq(model, other),
            (Some(_), None) | (None, Some(_)) => false,
        };
        is_same_model && Arc::ptr_eq(&self.rules, &other.rules)
    }
}

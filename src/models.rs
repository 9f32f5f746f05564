//! The models that this process knows, and the one to go on with. A restore resumes with the model
//! that its marker names; each partition then changes over by itself. It reads no file and no
//! topic: `plan` and `kafka::modeller` tell it. Asked by lanes and by look-ups.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::clv::Model;
use crate::pipeline::{Pipeline, Rules};

/// What is known, shared by the threads of a process.
#[derive(Debug)]
pub struct Models {
    rules: Arc<Rules>,
    /// Whether a file has said the model once and for all.
    is_fixed: bool,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_label: BTreeMap<String, Arc<Model>>,
    wanted: Option<Arc<Model>>,
}

impl Models {
    /// The model of a file, or none, and no other ever.
    pub fn fixed(rules: Arc<Rules>, model: Option<Arc<Model>>) -> Self {
        let known = Known { wanted: model, ..Known::default() };
        Self { rules, is_fixed: true, known: RwLock::new(known) }
    }

    /// None yet: they will be learnt.
    pub fn learning(rules: Arc<Rules>) -> Self {
        Self { rules, is_fixed: false, known: RwLock::default() }
    }

    /// What scores depend on beside the model.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Takes note of a model; the first of a name is the one.
    pub fn learn(&self, model: Arc<Model>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.by_label.entry(model.label().to_owned()).or_insert(model);
    }

    /// Goes on with a model that is known. Says whether it is.
    pub fn want(&self, label: &str) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(model) = known.by_label.get(label).cloned() else { return false };
        known.wanted = Some(model);
        true
    }

    /// The model to go on with.
    pub fn wanted(&self) -> Option<Arc<Model>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).wanted.clone()
    }

    /// The names of those that were learnt, ascending.
    pub fn labels(&self) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_label.keys().cloned().collect()
    }

    /// A pipeline of the model to go on with.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline::new(Arc::clone(&self.rules), self.wanted())
    }

    /// A pipeline of the model that a marker names, or of the one to go on with where that is not
    /// known, or a file says otherwise.
    pub fn pipeline_of(&self, label: Option<&str>) -> Pipeline {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let named = label.and_then(|label| known.by_label.get(label)).cloned();
        let is_modelless = !self.is_fixed && label == Some("none");
        let model = if is_modelless { None } else { named.or_else(|| known.wanted.clone()) };
        Pipeline::new(Arc::clone(&self.rules), model)
    }
}

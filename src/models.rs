//! What customers are to be judged by: the rules, the models that this process knows, and the one
//! to go on with. A restore resumes with the model that its marker names; each partition then
//! changes over by itself. It reads no file and no topic: `plan`, `kafka::modeller` and `reload`
//! tell it. Asked by lanes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clv::Model;
use crate::pipeline::{Plan, Rules};

/// What is known, shared by the threads of a process.
#[derive(Debug)]
pub struct Models {
    /// Whether files say the model.
    is_fixed: bool,
    known: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    /// What to go on with.
    wanted: Plan,
    by_label: BTreeMap<String, Arc<Model>>,
    /// Stronger than what is published.
    pin: Option<String>,
    /// What was published last as the one to go on with.
    published: Option<String>,
}

impl Known {
    /// Goes on with the pinned model, or with the published one, once it is known.
    fn settle(&mut self) {
        let label = self.pin.as_ref().or(self.published.as_ref());
        if let Some(model) = label.and_then(|label| self.by_label.get(label)) {
            self.wanted.model = Some(Arc::clone(model));
        }
    }
}

impl Models {
    /// The model of a file, or none.
    pub fn fixed(plan: Plan) -> Self {
        let (by_label, pin, published) = (BTreeMap::new(), None, None);
        let known = RwLock::new(Known { wanted: plan, by_label, pin, published });
        Self { is_fixed: true, known }
    }

    /// None yet: they will be learnt. The pinned one is stronger than what is published.
    pub fn learning(rules: Arc<Rules>, pin: Option<String>) -> Self {
        let (wanted, by_label, published) = (Plan { rules, model: None }, BTreeMap::new(), None);
        let known = RwLock::new(Known { wanted, by_label, pin, published });
        Self { is_fixed: false, known }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What scores depend on beside the model.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.read().wanted.rules)
    }

    /// Takes note of a model; the first of a name is the one.
    pub fn learn(&self, model: Arc<Model>) {
        let mut known = self.write();
        known.by_label.entry(model.label().to_owned()).or_insert(model);
        known.settle();
    }

    /// Goes on with a model that is known, unless another is pinned. Says whether it is known.
    pub fn want(&self, label: &str) -> bool {
        let mut known = self.write();
        if !known.by_label.contains_key(label) {
            return false;
        }
        known.published = Some(label.to_owned());
        known.settle();
        true
    }

    /// The name of the model that is pinned.
    pub fn pin(&self) -> Option<String> {
        self.read().pin.clone()
    }

    /// Whether the model can be pinned: where files say it, it has been compared already.
    ///
    /// # Errors
    /// It is none of those that are known; with their names.
    pub fn check_pin(&self, pin: Option<&str>) -> Result<(), String> {
        let Known { by_label, .. } = &*self.read();
        let Some(pin) = pin.filter(|pin| !self.is_fixed && !by_label.contains_key(*pin)) else {
            return Ok(());
        };
        let known: Vec<String> = by_label.keys().map(|label| format!("`{label}`")).collect();
        Err(format!(
            "`model.pin` is `{pin}`, and the topic of the models holds {}; name one of these, or \
             leave the pin out",
            if known.is_empty() { "no model".to_owned() } else { known.join(", ") }
        ))
    }

    /// Goes on with other rules, and with the model of `plan` where files say it; else with the
    /// pinned one whatever is published, or with what is published again.
    pub fn change(&self, plan: Plan, pin: Option<String>) {
        let mut known = self.write();
        known.wanted.rules = plan.rules;
        if self.is_fixed {
            known.wanted.model = plan.model;
        } else {
            known.pin = pin;
            known.settle();
        }
    }

    /// What to go on with.
    pub fn wanted(&self) -> Plan {
        self.read().wanted.clone()
    }

    /// What a restore resumes with: today's rules and the model that its marker names, or the one
    /// to go on with where that is not known, or a file says otherwise.
    pub fn resumed(&self, label: Option<&str>) -> Plan {
        let Known { wanted, by_label, .. } = &*self.read();
        let named = label.and_then(|label| by_label.get(label)).cloned();
        let is_modelless = !self.is_fixed && label == Some("none");
        let model = if is_modelless { None } else { named.or_else(|| wanted.model.clone()) };
        Plan { rules: Arc::clone(&wanted.rules), model }
    }

    /// What a partition that stands on `plan` should go over to, if to anything: no model is given
    /// up for none.
    pub fn successor(&self, plan: &Plan) -> Option<Plan> {
        let Plan { rules, model } = self.wanted();
        let wanted = Plan { rules, model: model.or_else(|| plan.model.clone()) };
        (!wanted.is(plan)).then_some(wanted)
    }
}

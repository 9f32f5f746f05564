//! Why a customer has the score that they have: the inputs, the pieces of each figure, and what
//! would change the answer and when. A pure function of state, instant, model and configuration. It
//! judges nothing itself: what silence or a purchase would bring is found by playing the customer
//! on with the code that judges in operation. Called by `lookup` and `commands::explain`.
//!
//! `document` what there is to say · `figures` inputs and pieces · `evidence` lapse line and
//! channels · `ahead` silence and a purchase, played on · `sentences` the short of it

mod ahead;
mod document;
mod evidence;
mod figures;
mod sentences;

use serde::Serialize;
use serde_json::value::RawValue;

pub use document::{
    Alarm, Change, Channel, Decline, ExpectedOrders, ExpectedValue, Explanation, Formula, Historic,
    Inputs, Lapse, LeftOut, PAlive, Pieces, Predicted, PurchaseDay, PurchaseToday, Shift,
    SilenceTail, Simple, Total,
};

use crate::churn::Cause;
use crate::customer::Customer;
use crate::pipeline::Pipeline;
use crate::record::score::Score;
use crate::record::wire::{Date, Money};

/// Purchase days that an explanation shows.
const PURCHASE_DAYS_SHOWN: usize = 32;

/// A score and why it is so.
#[derive(Debug)]
pub struct Document<'a> {
    /// The score, its cause time as in every look-up.
    pub score: Score<'a>,
    /// Why.
    pub explanation: Explanation,
}

impl Document<'_> {
    /// The document as JSON.
    ///
    /// # Errors
    /// None that is known: its keys are text and its numbers finite.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Whole<'a> {
            score: &'a RawValue,
            explanation: &'a Explanation,
        }
        let score = self.score.to_json();
        let score: &RawValue = serde_json::from_slice(&score)?;
        serde_json::to_vec(&Whole { score, explanation: &self.explanation })
    }
}

/// Explains the score of a customer as of an instant no earlier than their last step and before
/// their timer.
pub fn explain<'a>(
    pipeline: &'a mut Pipeline,
    id: &'a str,
    customer: &'a Customer,
    as_of_ms: i64,
) -> Document<'a> {
    let changes = ahead::silence(pipeline, id, customer, as_of_ms);
    let purchase = ahead::purchase(pipeline, id, customer, as_of_ms);
    let pipeline = &*pipeline;
    let account = pipeline.account(id, customer, as_of_ms, Cause::Time, None);
    let reading = account.reading.as_ref();
    let purchases = reading.map(|reading| reading.purchases);
    let currency = pipeline.rules().intake.currency;
    let mut explanation = Explanation {
        x: purchases.map(|purchases| purchases.x),
        t_x_days: purchases.map(|purchases| purchases.t_x_days),
        t_days: purchases.map(|purchases| purchases.t_days),
        repeat_net: Money::new(customer.ledger.repeat_net_minor(), currency),
        silence_changes_on: pipeline.due_day(customer).map(Date),
        sentences: Vec::new(),
        inputs: figures::inputs(pipeline, customer, &account),
        pieces: figures::pieces(pipeline, customer, &account),
        lapse: reading.and_then(|reading| evidence::lapse(pipeline, customer, reading)),
        decline: reading.and_then(|reading| evidence::decline(pipeline, customer, reading)),
        ahead: ahead::with_next_order(changes, &account),
        purchase_today: purchase.map(|purchase| purchase.against(&account.score)),
        purchase_days: customer
            .ledger
            .days()
            .iter()
            .rev()
            .take(PURCHASE_DAYS_SHOWN)
            .map(|entry| PurchaseDay {
                on: Date(entry.day),
                orders: entry.n_orders,
                net: Money::new(entry.net_minor, currency),
            })
            .collect(),
    };
    explanation.sentences = sentences::of(pipeline, &account, &explanation);
    Document { score: account.score, explanation }
}

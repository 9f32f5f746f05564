//! `lifetide explain`: why one customer of a history has their score, through the same domain code
//! as `replay`. Opens the files and finds the customer; `explanation` explains, `page` prints.

mod page;

use std::io::{Write, stdout};

use anyhow::{Context, Result, bail};

use super::reading::{self, Wanted};
use super::{Outcome, load_config, printed};
use crate::calendar::Day;
use crate::cli;
use crate::config::{Purpose, edit_distance};
use crate::explanation::explain;
use crate::history::Order;
use crate::plan::{Plan, read_model};
use crate::replay::Replay;

/// Explains the score of a customer.
///
/// # Errors
/// Bad usage or configuration, a file that cannot be read, a customer who is not there.
pub fn execute(arguments: &cli::Explain) -> Result<Outcome> {
    let config =
        load_config(arguments.layers.config.as_deref(), &arguments.layers.sets, Purpose::Offline)?;
    let mut plan = Plan::new(&config, None)?;
    if let Some(path) = &arguments.model {
        plan.model = Some(read_model(path, config.processing.currency, None)?);
    }
    let calendar = plan.rules.calendar.clone();
    let until = arguments.until.map(Day::from_date);
    let wanted = Wanted {
        path: &arguments.history.input,
        mapping: &arguments.history.map,
        until,
        order: Order::Time,
        is_strict: false,
    };
    let name = arguments.history.input.display();
    let (rows, _) = reading::read_file(&wanted, &plan.rules)?;
    let mut replay: Replay = rows.into_iter().map(|row| row.event).collect();
    let id = arguments.customer.as_str();
    if !replay.ids().any(|known| known == id) {
        bail!("`{name}` has no event of a customer `{id}`{}", near(id, replay.ids()));
    }
    let last = replay.stream_ms().map(|stream_ms| calendar.day(stream_ms));
    let end_ms = until.or(last).map_or(0, |day| calendar.end_ms(day));
    replay.narrow(id);
    let mut pipeline = plan.pipeline();
    let recounted = replay.play(&mut pipeline, |_| end_ms).next();
    let Some(mut recounted) = recounted else {
        bail!("`{name}` erases the customer `{id}`: nothing is left to explain");
    };
    recounted.customer.path.source = None;
    let document = explain(&mut pipeline, id, &recounted.customer, end_ms);
    let out = &mut stdout().lock();
    let written = if arguments.json {
        let json = document.to_json().context("the explanation is no JSON")?;
        out.write_all(&json).and_then(|()| writeln!(out))
    } else {
        page::print(out, &document)
    };
    printed(written, Outcome::Done)
}

/// A hint at the id that was most likely meant, if any is near enough to be worth saying.
fn near<'a>(wrong: &str, ids: impl Iterator<Item = &'a str>) -> String {
    let wrong = plain(wrong);
    ids.map(|id| (id, plain(id)))
        .filter(|(_, id)| id.len().abs_diff(wrong.len()) <= 1)
        .map(|(id, plain)| (edit_distance(&wrong, &plain), id))
        .filter(|(n_edits, _)| *n_edits <= 1)
        .min()
        .map_or_else(String::new, |(_, id)| format!("; did you mean `{id}`?"))
}

/// An id without what gets lost most easily: case, signs and leading zeros.
fn plain(id: &str) -> String {
    let letters = id.chars().filter(|letter| letter.is_alphanumeric());
    letters.skip_while(|letter| *letter == '0').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_hinted_at_where_one_is_near() {
        let ids = ["00004", "00018", "C-77 ada", "zoe"];
        let check = |wrong, expect| assert_eq!(near(wrong, ids.into_iter()), expect, "{wrong}");
        check("4", "; did you mean `00004`?");
        check("018", "; did you mean `00018`?");
        check("c77ada", "; did you mean `C-77 ada`?");
        check("zoé", "; did you mean `zoe`?");
        check("nobody", "");
    }
}

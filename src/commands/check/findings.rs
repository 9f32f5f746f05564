//! Findings of `check`, as a table for people and as one JSON document for programs. No question is
//! asked here.

use std::io::{self, Write};

use serde::Serialize;

/// The schema that the document states.
const SCHEMA: &str = "lifetide.check/1";

/// Where the third column begins, and where a remedy's text does.
const WHAT_COLUMN: usize = 22;
const REMEDY_COLUMN: usize = 25;

/// The narrowest text that is worth breaking into lines.
const TEXT_CHARS_MIN: usize = 30;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warning,
    Fault,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }

    /// The colour's sequence on a terminal: green, yellow, bold red.
    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Fault => "\x1b[1;31m",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at, in one word.
    pub(super) subject: &'static str,
    /// What is so.
    pub(super) what: String,
    /// What to do about it; empty where nothing must be done.
    pub(super) remedy: String,
}

/// What the table is printed on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paper {
    pub(super) is_coloured: bool,
    /// Where lines are broken; never, if absent.
    pub(super) n_columns: Option<usize>,
}

/// Everything that was looked at, in that order.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    ok: bool,
    faults: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Findings {
    pub(super) fn ok(&mut self, subject: &'static str, what: String) {
        self.push(Level::Ok, subject, what, String::new());
    }

    pub(super) fn warning(
        &mut self,
        subject: &'static str,
        what: String,
        remedy: impl Into<String>,
    ) {
        self.push(Level::Warning, subject, what, remedy.into());
    }

    pub(super) fn fault(&mut self, subject: &'static str, what: String, remedy: impl Into<String>) {
        self.push(Level::Fault, subject, what, remedy.into());
    }

    pub(super) fn has_fault(&self) -> bool {
        self.count(Level::Fault) > 0
    }

    /// A row for each finding, its remedy below it, and a last line that counts.
    pub(super) fn print(&self, out: &mut impl Write, paper: Paper) -> io::Result<()> {
        for Finding { level, subject, what, remedy } in &self.0 {
            let word = level.word();
            let (colour, plain) =
                if paper.is_coloured { (level.colour(), "\x1b[0m") } else { ("", "") };
            let what = broken(what.trim_end(), WHAT_COLUMN, paper);
            writeln!(out, "{colour}{word:<8}{plain} {subject:<12} {what}")?;
            if !remedy.is_empty() {
                let remedy = broken(remedy, REMEDY_COLUMN, paper);
                writeln!(out, "{:<WHAT_COLUMN$}-> {remedy}", "")?;
            }
        }
        let (n_faults, n_warnings) = (self.count(Level::Fault), self.count(Level::Warning));
        writeln!(out, "{}, {}", counted(n_faults, "fault"), counted(n_warnings, "warning"))
    }

    /// The same as one JSON document.
    pub(super) fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        let document = Document {
            schema: SCHEMA,
            ok: !self.has_fault(),
            faults: self.count(Level::Fault),
            warnings: self.count(Level::Warning),
            findings: &self.0,
        };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    pub(super) fn push(
        &mut self,
        level: Level,
        subject: &'static str,
        what: String,
        remedy: String,
    ) {
        self.0.push(Finding { level, subject, what, remedy });
    }
}

/// The text with its further lines, and those that the paper breaks off, begun at the column.
fn broken(text: &str, column: usize, paper: Paper) -> String {
    let room = paper.n_columns.and_then(|n_columns| n_columns.checked_sub(column));
    let n_chars_max = room.filter(|room| *room >= TEXT_CHARS_MIN).unwrap_or(usize::MAX);
    let mut lines: Vec<String> = Vec::new();
    for given in text.lines() {
        let mut line = String::new();
        for word in given.split(' ') {
            let n_chars = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && n_chars > n_chars_max {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join(&format!("\n{:<column$}", ""))
}

fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let mut findings = Findings::default();
        findings.ok("config", "`a.toml` is valid".to_owned());
        findings.warning("model", "none".to_owned(), "make one");
        assert!(!findings.has_fault());
        findings.fault("permission", "`t`: refused:\nno".to_owned(), "allow it");
        assert!(findings.has_fault());
        findings
    }

    fn table(paper: Paper) -> String {
        let mut table = Vec::new();
        findings().print(&mut table, paper).unwrap();
        String::from_utf8(table).unwrap()
    }

    #[test]
    fn the_table_is_aligned_and_counts_what_is_wrong() {
        let expect = "\
ok       config       `a.toml` is valid
warning  model        none
                      -> make one
fault    permission   `t`: refused:
                      no
                      -> allow it
1 fault, 1 warning
";
        assert_eq!(table(Paper::default()), expect);
        let coloured = table(Paper { is_coloured: true, n_columns: None });
        assert!(coloured.contains("\x1b[33mwarning \x1b[0m model"), "{coloured}");
        let bare = ["\x1b[0m", "\x1b[32m", "\x1b[33m", "\x1b[1;31m"];
        assert_eq!(bare.iter().fold(coloured, |text, it| text.replace(it, "")), expect);
    }

    #[test]
    fn lines_are_broken_where_the_paper_ends_and_no_word_is_lost() {
        let words = "one two three four five six seven eight nine ten".to_owned();
        let mut findings = Findings::default();
        findings.fault("topic", words.clone(), words.clone());
        let mut table = Vec::new();
        findings.print(&mut table, Paper { is_coloured: false, n_columns: Some(55) }).unwrap();
        let table = String::from_utf8(table).unwrap();
        let expect = "\
fault    topic        one two three four five six seven
                      eight nine ten
                      -> one two three four five six
                         seven eight nine ten
1 fault, 0 warnings
";
        assert_eq!(table, expect);
        let paper = Paper { is_coloured: false, n_columns: Some(40) };
        assert_eq!(broken(&words, WHAT_COLUMN, paper), words, "too narrow to be worth it");
    }

    #[test]
    fn the_document_has_its_schema_and_every_finding() {
        let mut out = Vec::new();
        findings().print_json(&mut out).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expect = serde_json::json!({
            "schema": "lifetide.check/1",
            "ok": false,
            "faults": 1,
            "warnings": 1,
            "findings": [
                {"level": "ok", "subject": "config", "what": "`a.toml` is valid", "remedy": ""},
                {"level": "warning", "subject": "model", "what": "none", "remedy": "make one"},
                {"level": "fault", "subject": "permission", "what": "`t`: refused:\nno",
                 "remedy": "allow it"},
            ],
        });
        assert_eq!(document, expect);
    }
}

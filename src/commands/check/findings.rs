//! Findings of `check` and their table. No question is asked here.

use std::fmt;
use std::io::{self, Write};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    Warning,
    Fault,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at, in one word.
    pub(super) subject: &'static str,
    /// What is so.
    pub(super) what: String,
    /// What to do about it; empty where nothing must be done.
    pub(super) remedy: String,
}

/// Everything that was looked at, in that order.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

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
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for Finding { level, subject, what, remedy } in &self.0 {
            let what = what.trim_end().replace('\n', &format!("\n{:<22}", ""));
            writeln!(out, "{level:<8} {subject:<12} {what}")?;
            if !remedy.is_empty() {
                writeln!(out, "{:<21} -> {remedy}", "")?;
            }
        }
        let (n_faults, n_warnings) = (self.count(Level::Fault), self.count(Level::Warning));
        writeln!(out, "{}, {}", counted(n_faults, "fault"), counted(n_warnings, "warning"))
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

fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned_and_counts_what_is_wrong() {
        let mut findings = Findings::default();
        findings.ok("config", "`a.toml` is valid".to_owned());
        findings.warning("model", "none".to_owned(), "make one");
        assert!(!findings.has_fault());
        findings.fault("permission", "`t`: refused:\nno".to_owned(), "allow it");
        assert!(findings.has_fault());
        let mut table = Vec::new();
        findings.print(&mut table).unwrap();
        let expect = "\
ok       config       `a.toml` is valid
warning  model        none
                      -> make one
fault    permission   `t`: refused:
                      no
                      -> allow it
1 fault, 1 warning
";
        assert_eq!(String::from_utf8(table).unwrap(), expect);
    }
}

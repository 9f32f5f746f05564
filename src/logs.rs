//! Logs: on standard error, for people on a terminal, else one JSON object a line. Knows how a line
//! looks and what is logged, which a running process may change. Says nothing by itself but what a
//! panic says. Started by `main`, asked by `cli` and `config`, told by `reload`.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::fmt;
use std::io::{IsTerminal, stderr};
use std::panic::{self, PanicHookInfo};
use std::path::Path;

use jiff::Zoned;
use tracing::{Event, Level, Subscriber, debug, enabled, error, warn};
use tracing_subscriber::fmt::format::{
    DefaultFields, FormatEvent, FormatFields, JsonFields, Writer,
};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{self as lines, FmtContext};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

/// What may be said alone, in the order of how much is logged.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The logs of this process.
#[derive(Clone, Debug)]
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    default: &'static str,
    /// Whether `--log` or `RUST_LOG` has said what is logged, once and for all.
    is_settled: bool,
    is_json: bool,
}

impl Logs {
    /// Starts the logs of a command that logs `default` where nobody says otherwise. `rules` come
    /// from `--log` and have been checked.
    pub fn start(rules: Option<&str>, default: &'static str) -> Self {
        // An empty variable is how many a container unsets one.
        let variable = env::var(EnvFilter::DEFAULT_ENV).ok().filter(|it| !it.trim().is_empty());
        let mut not_understood = None;
        let (filter, is_settled) = match (rules, variable.map(EnvFilter::try_new)) {
            (Some(rules), _) => (EnvFilter::new(rules), true),
            (None, Some(Ok(filter))) => (filter, true),
            (None, Some(Err(error))) => {
                not_understood = Some(error);
                (EnvFilter::new(default), false)
            }
            (None, None) => (EnvFilter::new(default), false),
        };
        let (filter, handle) = reload::Layer::new(filter);
        let is_json = !stderr().is_terminal();
        let layer = lines::layer().with_writer(stderr);
        let layer = if is_json {
            let form = || lines::format().json().flatten_event(true).with_span_list(false);
            let form = || form().with_current_span(false);
            let lines = Lines { brief: form().with_target(false), full: form() };
            layer.fmt_fields(JsonFields::new()).event_format(lines).boxed()
        } else {
            let form = || lines::format().with_timer(LocalTime);
            let lines = Lines { brief: form().with_target(false), full: form() };
            layer.fmt_fields(DefaultFields::new()).event_format(lines).boxed()
        };
        tracing_subscriber::registry().with(filter).with(layer).init();
        log_panics();
        if let Some(error) = not_understood {
            warn!("`RUST_LOG` is not understood, so it is `{default}`: {error}");
        }
        Self { filter: handle, default, is_settled, is_json }
    }

    /// Logs what the configuration says from now on, or the default where it says nothing. Says
    /// whether that counts: `--log` and `RUST_LOG` are stronger.
    pub fn follow(&self, rules: Option<&str>) -> bool {
        let filter = EnvFilter::new(rules.unwrap_or(self.default));
        !self.is_settled && self.filter.reload(filter).is_ok()
    }

    /// Whether each line is a JSON object: then nothing else should be written beside them.
    pub const fn are_for_machines(&self) -> bool {
        self.is_json
    }
}

/// What may be logged, as `--log` and `log.level` say it.
///
/// # Errors
/// What is wrong with it.
pub fn checked(rules: &str) -> Result<String, String> {
    let is_word = |rule: &str| rule.bytes().all(|byte| byte.is_ascii_alphabetic());
    // A bare word that is no level would be taken for a module, and silence everything else.
    let unknown = rules
        .split(',')
        .find(|rule| is_word(rule) && !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(rule)));
    if let Some(word) = unknown {
        return Err(format!("`{word}` is no level; the levels are {}", LEVELS.join(", ")));
    }
    EnvFilter::builder().parse(rules).map_err(|error| error.to_string())?;
    Ok(rules.to_owned())
}

/// Where in the source a line comes from is of use to who asked for more than the usual.
struct Lines<F> {
    brief: F,
    full: F,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let is_usual = *event.metadata().level() <= Level::INFO;
        let form = if is_usual { &self.brief } else { &self.full };
        form.format_event(context, writer, event)
    }
}

/// The time of day where the terminal stands.
struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", Zoned::now().strftime("%H:%M:%S%.3f"))
    }
}

/// Panics go where all else goes. What one of another crate says may quote the text that it met, a
/// customer's id for one: that is for who debugs.
fn log_panics() {
    let unlogged = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !enabled!(Level::ERROR) {
            return unlogged(panic);
        }
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let message = panic.payload_as_str().unwrap_or("no message");
        if is_ours(panic) {
            error!(thread, at, "a defect: {message}");
        } else {
            error!(thread, at, "a defect; its message is logged at `debug`");
            debug!(thread, at, "a defect: {message}");
        }
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            error!(thread, %backtrace, "the way to the defect");
        }
    }));
}

/// Cargo names the files of this crate from its root, those of others from the disk's.
fn is_ours(panic: &PanicHookInfo<'_>) -> bool {
    panic.location().is_some_and(|location| Path::new(location.file()).is_relative())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_level_is_a_level_and_a_rule_names_its_module() {
        for rules in ["info", "WARN", "off", "info,lifetide::engine=debug", "lifetide=trace,off"] {
            assert_eq!(checked(rules), Ok(rules.to_owned()));
        }
        for rules in ["loud", "info,debgu", "", "debug,,info"] {
            assert!(checked(rules).unwrap_err().contains("is no level"), "{rules}");
        }
        assert!(checked("lifetide=loud").is_err());
    }
}

//! What was likely meant by a value that is refused: a broker, a currency, a time zone, an address.
//! Decides nothing; the rule that is broken stands first in each. Called by `sections`.

use jiff::tz;

use super::faults::nearest_word;
use crate::money::Currency;

/// A list of texts as the one string that it should be.
pub(super) fn joined(value: &toml::Value) -> Option<String> {
    let items: Option<Vec<&str>> = value.as_array()?.iter().map(toml::Value::as_str).collect();
    items.map(|items| items.join(","))
}

/// What a broker's address lacks, to end the rule with; `None` if it is one.
pub(super) fn broker_fault(broker: &str) -> Option<String> {
    let bare = broker.rsplit_once("://").map_or(broker, |(_, bare)| bare).trim_end_matches('/');
    let is_host = |host: &str| !host.is_empty() && !host.contains([' ', '/']);
    match bare.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            let meant = format!("; did you mean `{bare}`?");
            (bare != broker).then_some(meant)
        }
        None if is_host(bare) => Some(format!("; did you mean `{bare}:9092`?")),
        Some(_) | None => Some(String::new()),
    }
}

/// The rule of a currency.
pub(super) fn currency(code: &str) -> String {
    let rule = "must be an ISO 4217 code of three capital letters, as in `EUR`";
    let upper = code.trim().to_uppercase();
    let meant = match &*upper {
        "$" | "US$" | "DOLLAR" | "DOLLARS" => "USD",
        "\u{20ac}" | "EURO" | "EUROS" => "EUR",
        "\u{a3}" | "POUND" | "POUNDS" => "GBP",
        "\u{a5}" | "YEN" => "JPY",
        other if Currency::parse(other).is_some() => other,
        _ => return rule.to_owned(),
    };
    format!("{rule}; did you mean `{meant}`?")
}

/// The rule of a time zone, with the zone of that city or the nearest name.
pub(super) fn time_zone(name: &str) -> String {
    let city = name.trim().replace(' ', "_").to_lowercase();
    let database = tz::db();
    let known: Vec<String> = database.available().map(|zone| zone.to_string()).collect();
    let is_of_city =
        |zone: &&String| zone.rsplit_once('/').is_some_and(|(_, last)| last.to_lowercase() == city);
    let meant = known.iter().find(is_of_city).map(String::as_str);
    let meant = meant.or_else(|| nearest_word(name, known.iter().map(String::as_str)));
    let meant = meant.map(|zone| format!("; did you mean `{zone}`?")).unwrap_or_default();
    format!(
        "not a time zone this host knows; write a name of the IANA database such as \
         `Europe/Berlin`, and install `tzdata` if it should be known{meant}"
    )
}

/// The rule of `http.listen`.
pub(super) fn listen(text: &str) -> String {
    let rule = "must be an address and a port, as in `127.0.0.1:9464` or `0.0.0.0:9464`";
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None if text.parse::<u16>().is_ok() => ("", text),
        None => (text, "9464"),
    };
    let host = match host {
        "" | "localhost" => "127.0.0.1",
        "*" => "0.0.0.0",
        other => other,
    };
    let meant = format!("{host}:{port}");
    match meant.parse::<std::net::SocketAddr>() {
        Ok(_) => format!("{rule}; did you mean `{meant}`?"),
        Err(_) => rule.to_owned(),
    }
}

//! `[kafka.client]`: librdkafka's settings by their own names. Which of them are not the user's to
//! change, which stand in a file, and what was likely meant by one that does not exist. Asks
//! librdkafka itself through `Sources`. Called by `sections` and `unknown`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::faults::{MASK, is_masked, nearest_word, one_of};
use super::layers::Entry;
use super::read::Reader;
use super::{ClientSettings, Sources};

/// What a setting's name ends with whose value stands in a file, as in `sasl.password.file`. In
/// the environment that is `…__SASL_PASSWORD_FILE`, as container platforms have it.
pub(super) const FILE_SUFFIX: &str = ".file";

/// librdkafka's own settings that end alike.
const OWN_FILES: [&str; 3] = [
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
];

/// The largest file of a setting: room for a bundle of all certificates that a system trusts.
pub const SETTING_FILE_BYTES_MAX: usize = 1 << 20;

/// Settings that people give, to find what was meant by a name that librdkafka does not know.
pub const COMMON_SETTINGS: [&str; 60] = [
    "api.version.request.timeout.ms",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "enable.metrics.push",
    "enable.ssl.certificate.verification",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "linger.ms",
    "log_level",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.max.bytes",
    "metadata.max.age.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.config",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
];

/// Names of other clients' settings, and what does the same here.
const FOREIGN_SETTINGS: [(&str, &str); 9] = [
    ("sasl.jaas.config", "that is for Java; set `sasl.username` and `sasl.password` instead"),
    ("ssl.truststore.location", "that is for Java; set `ssl.ca.location` to a PEM file instead"),
    ("ssl.truststore.password", "that is for Java; `ssl.ca.location` is a PEM file without one"),
    ("ssl.truststore.type", "that is for Java; set `ssl.ca.location` to a PEM file instead"),
    ("ssl.keystore.type", "that is for Java; `ssl.keystore.location` is a PKCS#12 file"),
    ("ssl.cafile", "set `ssl.ca.location` instead"),
    ("ssl.certfile", "set `ssl.certificate.location` instead"),
    ("ssl.keyfile", "set `ssl.key.location` instead"),
    ("max.poll.records", "a transaction's size is `processing.transaction_events_max`"),
];

/// Settings of a few values, where librdkafka finds a wrong one late or says little.
const CHOICES: [(&str, &[&str]); 5] = [
    ("security.protocol", &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]),
    ("sasl.mechanism", MECHANISMS),
    ("sasl.mechanisms", MECHANISMS),
    ("compression.type", CODECS),
    ("compression.codec", CODECS),
];
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];

/// The setting whose value the file of this name holds, if the name is of that form.
pub(super) fn set_by_file(name: &str) -> Option<&str> {
    name.strip_suffix(FILE_SUFFIX).filter(|_| !OWN_FILES.contains(&name))
}

/// The settings, and the files of those that stand in one.
pub(super) fn read(
    reader: &mut Reader,
    sources: &Sources<'_>,
) -> (ClientSettings, BTreeMap<String, PathBuf>) {
    let mut files = BTreeMap::new();
    let given = reader.table("kafka.client", |name, entry| match set_by_file(name) {
        Some(setting) => {
            let (value, path) = value_in_file(setting, entry, sources)?;
            files.insert(setting.to_owned(), path);
            Ok((setting.to_owned(), value))
        }
        None => Ok((name.to_owned(), value(name, entry, sources)?)),
    });
    let mut settings = BTreeMap::new();
    for (name, (setting, value)) in given {
        if settings.insert(setting.clone(), value).is_some() {
            let remedy = format!("`{setting}` itself is set as well; give one of the two");
            reader.fault(&format!("kafka.client.{name}"), "", remedy);
        }
    }
    (ClientSettings(settings), files)
}

fn value(name: &str, entry: &Entry, sources: &Sources<'_>) -> Result<String, String> {
    if entry.value.is_array() && entry.raw.is_none() {
        return Err("must be a string, a number or a boolean".to_owned());
    }
    let value = entry.text();
    check(name, &value, sources)?;
    Ok(value)
}

fn value_in_file(
    setting: &str,
    entry: &Entry,
    sources: &Sources<'_>,
) -> Result<(String, PathBuf), String> {
    let text = entry.string()?;
    let path = Path::new(&text);
    if !path.is_absolute() {
        return Err(format!("must be the absolute path of a file that holds `{setting}`"));
    }
    let unusable = |what: &str| {
        format!("the file {what}: it must hold the value of `{setting}` and nothing else")
    };
    let bytes = (sources.read_file)(path, SETTING_FILE_BYTES_MAX + 1).map_err(|error| {
        format!("the file cannot be read: {error}; mount it, and let this user read it")
    })?;
    if bytes.len() > SETTING_FILE_BYTES_MAX {
        return Err(unusable(&format!("has over `{SETTING_FILE_BYTES_MAX}` bytes")));
    }
    let held = String::from_utf8(bytes).map_err(|_| unusable("is not UTF-8"))?;
    let value = held.trim_end_matches(['\r', '\n']);
    if value.trim().is_empty() {
        return Err(unusable("is empty"));
    }
    check(setting, value, sources)?;
    Ok((value.to_owned(), path.to_owned()))
}

/// Whether the setting may be given, and librdkafka takes the value.
fn check(name: &str, value: &str, sources: &Sources<'_>) -> Result<(), String> {
    if let Some(remedy) = refused(name) {
        return Err(remedy.to_owned());
    }
    if let Some((_, remedy)) = FOREIGN_SETTINGS.iter().find(|(foreign, _)| *foreign == name) {
        return Err((*remedy).to_owned());
    }
    if let Some((_, choices)) = CHOICES.iter().find(|(setting, _)| *setting == name)
        && !choices.iter().any(|choice| choice.eq_ignore_ascii_case(value))
        && value != "GSSAPI"
    {
        return Err(one_of(value, choices));
    }
    (sources.check_client)(name, value).map_err(|reason| {
        // librdkafka quotes the value that it refuses, and it may be a secret.
        let is_hidden = is_masked(&format!("kafka.client.{name}")) && !value.is_empty();
        let reason = if is_hidden { reason.replace(value, MASK) } else { reason };
        match nearest_word(name, COMMON_SETTINGS) {
            Some(meant) if meant != name => format!("{reason}; did you mean `{meant}`?"),
            _ => reason,
        }
    })
}

/// Why a setting may not be given, and what to use instead; `None` if it may.
fn refused(name: &str) -> Option<&'static str> {
    let remedy = match name {
        "bootstrap.servers" | "metadata.broker.list" => "set `kafka.brokers` instead",
        "group.id" => "set `kafka.group_id` instead",
        "group.instance.id" => {
            "it is `kafka.instance_id` and the lane; set `kafka.instance_id`, or turn \
             `kafka.static_membership` off"
        }
        "session.timeout.ms" => "set `kafka.session_timeout_ms` instead",
        "transactional.id" => {
            "it is made of `kafka.group_id`, `kafka.instance_id` and the lane; set those"
        }
        "transaction.timeout.ms" => "set `kafka.transaction_timeout_ms` instead",
        "enable.auto.commit" | "auto.commit.enable" | "enable.auto.offset.store" => {
            "offsets are committed within the transaction only; leave it out"
        }
        "auto.offset.reset" => {
            "a new group starts at the oldest record; set `churn.signals_from` so that old ones \
             raise no signals, and leave it out"
        }
        "isolation.level" => {
            "events are read committed, or aborted ones would be counted; leave it out"
        }
        "enable.idempotence" | "acks" | "request.required.acks" => {
            "transactions need idempotence and all acknowledgements; leave it out"
        }
        "group.protocol" | "partition.assignment.strategy" => {
            "partitions move by cooperative-sticky assignment of the classic protocol; leave it out"
        }
        "client.rack" => {
            "ends are asked of leaders, and a follower that lags would report earlier ones; leave \
             it out"
        }
        "enable.partition.eof" => "each client sets what it needs of it; leave it out",
        _ => return None,
    };
    Some(remedy)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::tests::sources;
    use super::super::{Config, load};
    use super::*;

    fn held(path: &Path, n_bytes_max: usize) -> io::Result<Vec<u8>> {
        let bytes = match path.to_str().unwrap() {
            "/run/password" => b"hunter2 \n".to_vec(),
            "/run/windows" => b"hunter2\r\n".to_vec(),
            "/run/blank" => b" \n".to_vec(),
            "/run/large" => vec![b'h'; 2 * SETTING_FILE_BYTES_MAX],
            "/run/binary" => vec![0xff, 0xfe],
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(bytes.into_iter().take(n_bytes_max).collect())
    }

    fn load_with(text: &str, variable: (&str, &str), set: &str) -> Result<Config, String> {
        let sets = [set.to_owned()];
        let variables = [variable].into_iter().filter(|(name, _)| !name.is_empty());
        let variables: Vec<_> = variables.collect();
        let sets = if set.is_empty() { &[][..] } else { &sets };
        let mut sources = sources(text, &variables, sets);
        sources.read_file = held;
        load(&sources).map_err(|faults| faults.to_string())
    }

    const NONE: (&str, &str) = ("", "");
    const VARIABLE: &str = "LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD_FILE";

    #[test]
    fn a_setting_comes_out_of_its_file_from_every_layer_without_its_line_end() {
        let password = |config: Result<Config, String>| {
            let config = config.unwrap();
            assert!(!format!("{config:?}").contains("hunter2"));
            let file = config.kafka.client_files.get("sasl.password").cloned();
            (config.kafka.client.0["sasl.password"].clone(), file)
        };
        let file = |path: &str| Some(PathBuf::from(path));
        let given = password(load_with("", (VARIABLE, "/run/password"), ""));
        assert_eq!(given, ("hunter2 ".to_owned(), file("/run/password")));
        let text = "[kafka.client]\n\"sasl.password.file\" = \"/run/windows\"\n";
        assert_eq!(
            password(load_with(text, NONE, "")),
            ("hunter2".to_owned(), file("/run/windows"))
        );
        let set = "kafka.client.sasl.password.file=/run/windows";
        assert_eq!(password(load_with("", NONE, set)).1, file("/run/windows"));
        // A stronger layer wins in whichever form it gives the setting.
        let given = password(load_with(text, NONE, "kafka.client.sasl.password=other"));
        assert_eq!(given, ("other".to_owned(), None));
        let text = "[kafka.client]\n\"sasl.password\" = \"other\"\n";
        let given = password(load_with(text, (VARIABLE, "/run/windows"), ""));
        assert_eq!(given, ("hunter2".to_owned(), file("/run/windows")));
    }

    #[test]
    fn a_file_that_cannot_serve_is_named_with_its_key_and_never_quoted() {
        for (path, expect) in [
            ("/run/missing", "the file cannot be read: "),
            ("/run/blank", "the file is empty"),
            ("/run/large", "over `1048576` bytes"),
            ("/run/binary", "not UTF-8"),
        ] {
            let fault = load_with("", (VARIABLE, path), "").unwrap_err();
            let begin = format!("`kafka.client.sasl.password.file` is `{path}` (environment");
            assert!(fault.starts_with(&begin) && fault.contains(expect), "{fault}");
            assert!(!fault.contains("hhh"), "{fault}");
        }
        // Somebody may put the password itself there.
        let fault = load_with("", (VARIABLE, "hunter2"), "").unwrap_err();
        assert!(fault.contains("`***`") && fault.contains("absolute path"), "{fault}");
        assert!(!fault.contains("hunter2"), "{fault}");
        let fault = load_with("", NONE, "kafka.client.group.id.file=/run/windows").unwrap_err();
        assert!(fault.contains("set `kafka.group_id` instead"), "{fault}");
        let both =
            "[kafka.client]\n\"sasl.password\" = \"x\"\n\"sasl.password.file\" = \"/run/windows\"";
        let fault = load_with(both, NONE, "").unwrap_err();
        assert!(fault.contains("give one of the two"), "{fault}");
    }

    #[test]
    fn what_librdkafka_itself_calls_a_file_is_its_own() {
        let set = "kafka.client.sasl.oauthbearer.assertion.file=/run/missing";
        let config = load_with("", NONE, set).unwrap();
        assert_eq!(config.kafka.client.0["sasl.oauthbearer.assertion.file"], "/run/missing");
        assert_eq!(set_by_file("sasl.password.file"), Some("sasl.password"));
    }
}

//! Mistakes as people make them, in each layer, and what they are told.

use super::tests::sources;
use super::*;

/// Where somebody wrote something.
enum Wrote<'a> {
    File(&'a str),
    Variable(&'a str, &'a str),
    Set(&'a str),
}

/// The one fault of what was written must hold the words.
fn check(wrote: &Wrote<'_>, expect: &str) {
    let (text, environment, sets) = match *wrote {
        Wrote::File(text) => (text, Vec::new(), Vec::new()),
        Wrote::Variable(name, value) => ("", vec![(name, value)], Vec::new()),
        Wrote::Set(set) => ("", Vec::new(), vec![set.to_owned()]),
    };
    let shown = format!("{text}{environment:?}{sets:?}");
    let mut sources = sources(text, &environment, &sets);
    sources.check_client = |name, _| {
        if COMMON_SETTINGS.contains(&name) { Ok(()) } else { Err("unknown".to_owned()) }
    };
    let faults = load(&sources).expect_err(&shown).0;
    assert_eq!(faults.len(), 1, "{shown}: {faults:?}");
    let said = faults[0].to_string();
    assert!(said.contains(expect), "{shown}: {said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_wrong_key_in_the_file_is_answered_with_the_right_one() {
    for (text, meant) in [
        ("[kafka]\nbootstrap_servers = \"a:1\"", "`kafka.brokers`"),
        ("brokers = \"a:1\"", "`kafka.brokers`"),
        ("[Kafka]\nBrokers = \"a:1\"", "`kafka.brokers`"),
        ("[kafak]\nbrokers = \"a:1\"", "`kafka.brokers`"),
        ("[kafka]\ntopic = \"a\"", "`kafka.input_topic`"),
        ("[kafka]\n\"sasl.password\" = \"hunter2\"", "`kafka.client.sasl.password`"),
        ("[kafka]\nsasl_username = \"me\"", "`kafka.client.sasl.username`"),
        ("[kafka.clients]\n\"x.y\" = \"hunter2\"", "`kafka.client.x.y`"),
        ("[kafka.client]\n\"sasl.pasword\" = \"hunter2\"", "`sasl.password`"),
        ("[proccessing]\nworkers = 2", "`processing.workers`"),
        ("[processing]\nthreads = 2", "`processing.workers`"),
        ("[processing]\ntimezone = \"UTC\"", "`processing.time_zone`"),
        ("[processing.rate]\nEUR = 1", "`processing.rates.EUR`"),
        ("[segments]\nlow = 0", "`segments.tiers.low`"),
        ("[segments.tier]\nlow = 0", "`segments.tiers.low`"),
        ("[http]\nport = 80", "`http.listen`"),
        ("[http]\ntoken = \"hunter2\"", "`http.token_file`"),
    ] {
        check(&Wrote::File(text), &format!("did you mean {meant}?"));
    }
    for (text, instead) in [
        ("[kafka.client]\n\"sasl.jaas.config\" = \"hunter2\"", "`sasl.username` and"),
        ("[kafka.client]\n\"ssl.truststore.location\" = \"x\"", "`ssl.ca.location` to a PEM"),
    ] {
        check(&Wrote::File(text), &format!("that is for Java; set {instead}"));
    }
}

#[test]
fn a_wrong_variable_is_answered_with_the_right_one() {
    for (variable, meant) in [
        ("LIFETIDE__KAFKA_BROKERS", "LIFETIDE__KAFKA__BROKERS"),
        ("LIFETIDE__KAFKA__BROKER", "LIFETIDE__KAFKA__BROKERS"),
        ("LIFETIDE__KAFKA__BOOTSTRAP_SERVERS", "LIFETIDE__KAFKA__BROKERS"),
        ("LIFETIDE__BROKERS", "LIFETIDE__KAFKA__BROKERS"),
        ("LIFETIDE__KAFKA__SASL_PASSWORD", "LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD"),
        ("LIFETIDE__KAFKA_CLIENT_SASL_PASSWORD", "LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD"),
        ("LIFETIDE__KAFKA__SASL_PASSWORD_FILE", "LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD_FILE"),
        ("LIFETIDE__PROCESSING__RATES_EUR", "LIFETIDE__PROCESSING__RATES__EUR"),
        ("LIFETIDE__WORKERS", "LIFETIDE__PROCESSING__WORKERS"),
    ] {
        check(&Wrote::Variable(variable, "2"), &format!("did you mean `{meant}`?"));
    }
}

#[test]
fn a_wrong_value_is_answered_with_what_was_meant() {
    for (set, expect) in [
        ("processing.emit=comit", "did you mean `commit`?"),
        ("processing.emit=Events", "did you mean `event`?"),
        ("processing.currency=usd", "did you mean `USD`?"),
        ("processing.currency=Euro", "did you mean `EUR`?"),
        ("processing.rates.€=1", "did you mean `EUR`?"),
        ("processing.time_zone=Berlin", "did you mean `Europe/Berlin`?"),
        ("processing.time_zone=Europe/Belin", "did you mean `Europe/Berlin`?"),
        ("processing.workers=\"4\"", "without quotes"),
        ("processing.commit_interval_ms=100ms", "without a unit: the key has it"),
        ("model.discount_monthly=0,01", "with a point before the decimals"),
        ("kafka.static_membership=yes", "did you mean `true`?"),
        ("kafka.brokers=kafka-1", "did you mean `kafka-1:9092`?"),
        ("kafka.brokers=kafka://kafka-1:9092/", "did you mean `kafka-1:9092`?"),
        ("kafka.brokers=a:1,,b:2", "must be `host:port`"),
        ("kafka.brokers=a:0", "must be `host:port`"),
        ("kafka.client.security.protocol=SASL-SSL", "did you mean `sasl_ssl`?"),
        ("kafka.client.sasl.mechanism=SCRAM-SHA512", "did you mean `SCRAM-SHA-512`?"),
        ("kafka.client.compression.type=zst", "did you mean `zstd`?"),
        ("http.listen=:9464", "did you mean `127.0.0.1:9464`?"),
        ("http.listen=9500", "did you mean `127.0.0.1:9500`?"),
        ("http.listen=0.0.0.0", "did you mean `0.0.0.0:9464`?"),
        ("segments.tiers=[\"low\"]", "under `[segments.tiers]`"),
    ] {
        check(&Wrote::Set(set), expect);
    }
    for (text, expect) in [
        ("[kafka]\nbrokers = [\"a:1\", \"b:2\"]", "must be one string, as in `a:1,b:2`"),
        ("[[segments.tiers]]\nname = \"low\"\nfrom = 0", "`low = \"0\"` under `[segments.tiers]`"),
        ("[processing]\nrates = [\"EUR\"]", "under `[processing.rates]`"),
        ("[[kafka]]\nclient.\"sasl.password\" = \"hunter2\"", "`kafka` is a table"),
    ] {
        check(&Wrote::File(text), expect);
    }
}

#[test]
fn a_protocol_and_a_mechanism_that_are_right_are_taken() {
    let sets = ["kafka.client.security.protocol=SASL_SSL", "kafka.client.sasl.mechanism=PLAIN"];
    let sets = sets.map(str::to_owned);
    assert!(load(&sources("", &[], &sets)).is_ok());
}

#[test]
fn the_models_faults_stand_beside_those_of_the_configuration() {
    let sets = ["model.file=/m.toml", "processing.workers=0"].map(str::to_owned);
    let mut sources = sources("", &[], &sets);
    sources.model_faults = |model, currency| {
        assert!(model.file.is_some() && currency.is_some());
        vec!["one".to_owned(), "two".to_owned()]
    };
    let faults = load(&sources).unwrap_err().to_string();
    let lines: Vec<_> = faults.lines().skip(1).collect();
    let expect = ["one", "two"].map(|it| format!("`model.file` is `/m.toml` (--set): {it}"));
    assert_eq!(lines, expect);
    sources.sets = &sets[..1];
    assert!(load(&sources).is_ok(), "who reads the model of a right configuration judges it");
}

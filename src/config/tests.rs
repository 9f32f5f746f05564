//! Tests of the layers, the rules and the reference file.

use super::*;

const REFERENCE: &str = include_str!("../../config/lifetide.toml");

pub(super) fn sources<'a>(
    text: &'a str,
    environment: &[(&str, &str)],
    sets: &'a [String],
) -> Sources<'a> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        file: Some(File { name: "test.toml", text }),
        environment: environment.iter().map(owned).collect(),
        host: Some("shop-1"),
        check_client: |name, value| match name {
            "no.such" => Err("unknown".to_owned()),
            "log.queue" => Err(format!("`{value}` is neither true nor false")),
            _ => Ok(()),
        },
        ..Sources::only(sets)
    }
}

fn load_file(text: &str) -> Result<Config, ConfigFaults> {
    load(&sources(text, &[], &[]))
}

fn load_set(set: &str) -> Result<Config, ConfigFaults> {
    load(&sources("", &[], &[set.to_owned()]))
}

/// The faults of one `--set` must name the key and hold the words.
fn check(set: &str, expect: &str) {
    let faults = load_set(set).expect_err(set).0;
    assert_eq!(faults.len(), 1, "{set}: {faults:?}");
    let key = set.split('=').next().unwrap();
    assert_eq!(faults[0].key, key, "{set}");
    assert!(faults[0].to_string().contains(expect), "{set}: {}", faults[0]);
}

#[test]
fn the_reference_file_shows_every_key_with_its_default() {
    let sources = sources(REFERENCE, &[], &[]);
    let (config, reader) = interpret(Layers::from_sources(&sources), &sources);
    let known = reader.known().clone();
    assert_eq!(reader.finish().0, []);
    assert_eq!(config, load_file("").unwrap());
    let table: toml::Table = REFERENCE.parse().unwrap();
    for key in known {
        let (section, name) = key.split_once('.').unwrap();
        assert!(table[section].get(name).is_some(), "`{key}` is missing");
    }
}

#[test]
fn every_key_of_the_reference_file_is_explained() {
    let mut is_explained = false;
    for line in REFERENCE.lines().filter(|line| !line.is_empty() && !line.starts_with('[')) {
        let is_tier = ["low", "medium", "high"].iter().any(|tier| line.starts_with(tier));
        assert!(line.starts_with('#') || is_explained || is_tier, "{line}");
        is_explained = line.starts_with('#');
    }
}

#[test]
fn later_layers_win_and_any_text_is_a_string() {
    let file = "[kafka]\nbrokers = \"a:1\"\ngroup_id = \"file\"\n[processing]\nworkers = 3\n";
    let environment = [
        ("LIFETIDE__KAFKA__GROUP_ID", "1e5"),
        ("LIFETIDE__PROCESSING__WORKERS", "4"),
        ("LIFETIDE__PROCESSING__RATES__EUR", "1.08"),
        ("LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD", "0123 = {x}"),
        ("LIFETIDE__KAFKA__CLIENT__SASL__USERNAME", "{a = 1}"),
        ("LIFETIDE_PORT", "tcp://10.0.0.1:80"),
    ];
    let sets = ["processing.workers=5", "model.file=a b.toml"].map(str::to_owned);
    let config = load(&sources(file, &environment, &sets)).unwrap();
    assert_eq!(config.kafka.brokers, "a:1");
    assert_eq!(config.kafka.group_id, "1e5");
    assert_eq!(config.processing.workers, 5);
    assert_eq!(config.model.file, Some(PathBuf::from("a b.toml")));
    let euro = Currency::parse("EUR").unwrap();
    let rate = config.processing.rates.rate(euro, config.processing.currency).unwrap();
    assert_eq!(rate.to_string(), "1.08");
    let client: Vec<_> = config.kafka.client.0.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(client, [("sasl.password", "0123 = {x}"), ("sasl.username", "{a = 1}")]);
}

#[test]
fn quoted_and_nested_client_settings_are_the_same() {
    let config =
        load_file("[kafka.client]\nsasl.mechanism = \"PLAIN\"\n\"linger.ms\" = 5").unwrap();
    let client: Vec<_> = config.kafka.client.0.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(client, [("linger.ms", "5"), ("sasl.mechanism", "PLAIN")]);
}

#[test]
fn tiers_given_as_a_table_replace_those_of_weaker_layers() {
    let names = |config: &Config| -> Vec<String> {
        config.segments.tiers.iter().map(|tier| tier.name.clone()).collect()
    };
    let file = "[segments.tiers]\nbronze = 0\nsilver = \"99.99\"\n";
    let config = load_file(file).unwrap();
    assert_eq!(names(&config), ["bronze", "silver"]);
    assert_eq!(config.segments.tiers[1].from_minor, 9_999);
    let sets = ["segments.tiers.gold=20.5".to_owned()];
    let config = load(&sources(file, &[], &sets)).unwrap();
    assert_eq!(names(&config), ["bronze", "gold", "silver"]);
    let sets = ["segments.tiers={all=0}".to_owned()];
    assert_eq!(names(&load(&sources(file, &[], &sets)).unwrap()), ["all"]);
    let yen = load_set("processing.currency=JPY").unwrap();
    assert_eq!(yen.segments.tiers[2].from_minor, 500);
}

#[test]
fn signals_from_is_an_instant_or_a_local_date() {
    for (text, expect_ms) in [
        ("", None),
        ("2026-01-01T00:00:00Z", Some(1_767_225_600_000)),
        ("2026-01-01", Some(1_767_222_000_000)),
        ("2026-01-01T00:00:00", Some(1_767_222_000_000)),
        ("2026-01-01T01:00:00+02:00", Some(1_767_222_000_000)),
    ] {
        let sets =
            ["processing.time_zone=Europe/Berlin".to_owned(), format!("churn.signals_from={text}")];
        let config = load(&sources("", &[], &sets)).unwrap();
        assert_eq!(config.churn.signals_from_ms, expect_ms, "{text}");
    }
    let file = "churn.signals_from = 2026-01-01T00:00:00Z";
    assert_eq!(load_file(file).unwrap().churn.signals_from_ms, Some(1_767_225_600_000));
}

#[test]
fn a_wrong_value_is_named_with_its_rule() {
    check("processing.workers=0", "from `1` to `64`");
    check("processing.workers=65", "is `65` (--set)");
    check("processing.workers=two", "whole number");
    check("processing.workers=4294967298", "whole number");
    check("processing.emit=often", "`commit` or `event`");
    check("processing.dedup_events=4097", "`4096`");
    for lag_s in ["-2", "0", "4", "soon"] {
        check(&format!("processing.idle_lag_s={lag_s}"), "from `5` to `31536000`, or `-1`");
    }
    check("kafka.session_timeout_ms=300001", "to `300000`");
    check("processing.currency=usd", "ISO 4217");
    check("processing.time_zone=Europe/Atlantis", "IANA");
    check("processing.refund_window_days=971", "must not exceed `1000`");
    check("processing.score_drift_max=0", "above 0 and at most 1");
    check("processing.commit_interval_ms=10000", "below `kafka.transaction_timeout_ms`");
    check("processing.rates.EUR=0", "0.000000001");
    check("processing.rates.EUR=1e10", "1000000000");
    check("processing.rates.euro=1", "ISO 4217");
    check("processing.rates.USD=1", "leave its rate out");
    check("kafka.brokers=kafka-1", "`host:port`");
    check("kafka.group_id=a b", "letters, digits");
    check("kafka.input_topic=..", "does not allow");
    check("kafka.scores_topic=churn.signals", "`kafka.signals_topic` names the same");
    check("kafka.transaction_timeout_ms=20000", "below `kafka.session_timeout_ms`");
    check("kafka.revoke_budget_ms=10000", "below `kafka.transaction_timeout_ms`");
    check("kafka.static_membership=yes", "`true` or `false`");
    check("model.pin=7", "name/version");
    check("model.discount_monthly=nan", "from 0 to below 1");
    check("churn.lapse_p_alive=1", "above 0 and below 1");
    check("churn.at_risk_silence_tail=0.0", "above 0 and below 1");
    check("churn.lapse_silence_tail=0.2", "`churn.at_risk_silence_tail` (`0.1`)");
    check("churn.signals_from=yesterday", "must be a time");
    check("http.listen=localhost:9464", "an address and a port");
}

#[test]
fn tiers_must_begin_at_zero_and_differ() {
    let faults = load_set("segments.tiers={a=1, b=1}").unwrap_err().0;
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "`segments.tiers.a` is `1` (--set): the lowest tier must begin at 0",
            "`segments.tiers.b` is `1` (--set): tier `a` begins there too; each needs its \
             own bound",
        ]
    );
    assert!(
        load_set("segments.tiers={a=0, b=1.005}").unwrap_err().to_string().contains("decimals")
    );
    assert!(load_set("segments.tiers={\"a b\"=0}").unwrap_err().to_string().contains("letters"));
}

#[test]
fn a_slip_in_a_key_is_answered_with_the_key_that_was_meant() {
    check("kafka.broker=x", "did you mean `kafka.brokers`?");
    check("processing.idle_lag_ms=5", "did you mean `processing.idle_lag_s`?");
    check("model.workers=2", "did you mean `processing.workers`?");
    check("kafka=1", "`kafka` is a table");
    check("frobnicate=1", "lists them all");
    let faults = load_set("workers").unwrap_err();
    assert!(faults.to_string().contains("a key and a value"), "{faults}");
}

#[test]
fn client_settings_that_would_break_exactness_are_refused() {
    for (name, remedy) in [
        ("enable.auto.commit", "within the transaction"),
        ("isolation.level", "read committed"),
        ("auto.offset.reset", "oldest record"),
        ("transactional.id", "`kafka.instance_id`"),
        ("group.id", "`kafka.group_id`"),
        ("group.instance.id", "`kafka.instance_id`"),
        ("enable.idempotence", "idempotence"),
        ("acks", "acknowledgements"),
        ("bootstrap.servers", "`kafka.brokers`"),
        ("no.such", "unknown"),
    ] {
        check(&format!("kafka.client.{name}=x"), remedy);
    }
}

#[test]
fn all_faults_come_at_once_with_their_origins() {
    let file = "[kafka]\nbroker = \"x\"\n[processing]\nworkers = 0\n";
    let environment = [("LIFETIDE__HTTP__LISTEN", "here")];
    let mut sources = sources(file, &environment, &[]);
    sources.purpose = Purpose::Cluster;
    sources.host = None;
    let text = load(&sources).unwrap_err().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(
        lines[0]
            .starts_with("`http.listen` is `here` (environment LIFETIDE__HTTP__LISTEN): must be")
    );
    assert!(lines[1].starts_with("`processing.workers` is `0` (file test.toml): must be"));
    assert!(lines[2].starts_with("`kafka.brokers` is not set: name the brokers"));
    assert!(lines[3].starts_with("`kafka.instance_id` is not set: set a name"));
    assert!(lines[4].starts_with("`kafka.broker` is `x` (file test.toml): no such key"));
}

#[test]
fn the_identity_is_the_host_and_its_port_unless_it_is_given() {
    assert_eq!(load_set("http.listen=0.0.0.0:80").unwrap().kafka.instance_id, "shop-1-80");
    assert_eq!(load_set("kafka.instance_id=a").unwrap().kafka.instance_id, "a");
    let sets = ["kafka.brokers=a:1", "http.listen=127.0.0.1:0"].map(str::to_owned);
    let mut sources = sources("", &[], &sets);
    sources.purpose = Purpose::Cluster;
    let faults = load(&sources).unwrap_err().to_string();
    assert!(faults.starts_with("`kafka.instance_id` is not set"), "{faults}");
}

#[test]
fn secrets_are_never_shown() {
    let variables = [("LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD", "hunter2")];
    let sets = ["kafka.client.sasl.password=hunter2".to_owned()];
    let shown = format!("{:?}", sources("\"sasl.password\" = \"hunter2\"", &variables, &sets));
    assert!(shown.contains("test.toml") && !shown.contains("hunter2"), "{shown}");
    let file = "[kafka.client]\n\"sasl.password\" = \"hunter2\"\n\"sasl.username\" = \"shop\"\n";
    let shown = format!("{:?}", load_file(file).unwrap());
    assert!(shown.contains("shop") && !shown.contains("hunter2"), "{shown}");
    for file in [
        "kafka.client.password = \"hunter2\"\nkafka.sasl_password = \"hunter2\"",
        "\"sasl.password\" = \"hunter2",
        "[kafka.client]\n\"no.such\" = \"hunter2\"\n\"log.queue\" = \"hunter2\"",
        "[kafka.clients]\nsasl = \"hunter2\"",
        "kafka.sasl_oauthbearer_config = \"hunter2\"",
    ] {
        let faults = load_file(file).unwrap_err();
        assert!(!format!("{faults} {faults:?}").contains("hunter2"), "{faults}");
    }
    for variable in [
        "LIFETIDE_KAFKA_CLIENT_SASL_OAUTHBEARER_CONFIG",
        "LIFETIDE__KAFKA_CLIENT_SASL_OAUTHBEARER_CONFIG",
        "LIFETIDE__KAFKA__SASL_OAUTHBEARER_CONFIG",
        "LIFETIDE__KAFKA__SASL_PASSWORD",
    ] {
        let faults = load(&sources("", &[(variable, "hunter2")], &[])).unwrap_err();
        assert!(!format!("{faults} {faults:?}").contains("hunter2"), "{faults}");
    }
    for set in ["sasl.password hunter2", "sasl.password: hunter2", "sasl.password\thunter2"] {
        let faults = load_set(&format!("kafka.client.{set}")).unwrap_err();
        assert!(faults.to_string().starts_with("`kafka.client.sasl.password` is"), "{faults}");
        assert!(!format!("{faults} {faults:?}").contains("hunter2"), "{faults}");
    }
}

#[test]
fn a_public_address_needs_a_token_where_customers_are_served() {
    let faults = |listen: &str, token_file: &str, purpose| {
        let sets = [
            "kafka.brokers=a:1".to_owned(),
            format!("http.listen={listen}"),
            format!("http.token_file={token_file}"),
        ];
        let mut sources = sources("", &[], &sets);
        sources.purpose = purpose;
        load(&sources).err().map(|faults| faults.to_string())
    };
    for listen in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(faults(listen, "", Purpose::Cluster), None, "{listen}");
    }
    for listen in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
        let text = faults(listen, "", Purpose::Cluster).expect(listen);
        assert!(text.starts_with("`http.listen` is"), "{text}");
        assert!(text.contains("set `http.token_file`") && !text.contains('\n'), "{text}");
        assert_eq!(faults(listen, "token", Purpose::Cluster), None, "{listen}");
        assert_eq!(faults(listen, "", Purpose::Offline), None, "{listen}");
    }
}

#[test]
fn what_the_group_tells_of_the_address_is_given_or_is_where_the_process_listens() {
    let told = |sets: &[&str]| {
        let mut all = vec!["kafka.brokers=a:1".to_owned(), "http.token_file=t".to_owned()];
        all.extend(sets.iter().map(|&set| set.to_owned()));
        load(&sources("", &[], &all)).map(|config| config.http.advertise).ok()
    };
    let given =
        |address: &str| told(&["http.listen=10.0.0.1:1", &format!("http.advertise={address}")]);
    let some = |address: &str| Some(Some(address.to_owned()));
    for address in ["lifetide-0.lifetide:9464", "a_b:1", "10.0.0.2:65535", "[::1]:9464"] {
        assert_eq!(given(address), some(address));
    }
    for wrong in
        ["a", "a:", ":1", "a:0", "a:65536", "a b:1", "http://a:1", "a:1/x", "::1:x", "a@b:1"]
    {
        assert_eq!(given(wrong), None, "{wrong}");
    }
    assert_eq!(given(""), some("10.0.0.1:1"));
    for nowhere in ["0.0.0.0:1", "[::]:1", "127.0.0.1:1", "[::ffff:127.0.0.1]:1", "10.0.0.1:0"] {
        assert_eq!(told(&[&format!("http.listen={nowhere}"), "kafka.instance_id=a"]), Some(None));
    }
}

#[test]
fn a_file_that_is_not_toml_is_named_with_its_line() {
    let text = load_file("[kafka]\nbrokers = \n").unwrap_err().to_string();
    assert!(text.starts_with("`line` is `2` (file test.toml): not TOML"), "{text}");
}

#[test]
fn a_variable_with_too_few_underscores_is_named_and_others_are_left_alone() {
    let faults = |variable: &str| match load(&sources("", &[(variable, "x")], &[])) {
        Ok(_) => Vec::new(),
        Err(ConfigFaults(faults)) => faults,
    };
    for (variable, meant) in [
        ("LIFETIDE_KAFKA_BROKERS", "LIFETIDE__KAFKA__BROKERS"),
        ("LIFETIDE_KAFKA__GROUP_ID", "LIFETIDE__KAFKA__GROUP_ID"),
        ("LIFETIDE_HTTP_TOKEN_FILE", "LIFETIDE__HTTP__TOKEN_FILE"),
        ("LIFETIDE_PROCESSING_RATES_EUR", "LIFETIDE__PROCESSING__RATES__EUR"),
    ] {
        let [fault] = &faults(variable)[..] else { panic!("{variable}") };
        assert!(fault.remedy.contains(&format!("`{meant}`")), "{fault}");
    }
    let [password] = &faults("LIFETIDE_KAFKA_CLIENT_SASL_PASSWORD")[..] else { panic!() };
    assert_eq!(password.value, "***");
    assert!(password.remedy.contains("`LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD`"), "{password}");
    for variable in ["LIFETIDE_PORT", "LIFETIDE_HTTP_PORT", "LIFETIDE_PROPERTY_CASES"] {
        assert_eq!(faults(variable), []);
    }
}

#[test]
fn a_file_that_is_not_toml_is_the_only_fault() {
    let mut sources = sources("[kafka\nbrokers = \"a:1\"", &[], &[]);
    sources.purpose = Purpose::Cluster;
    let faults = load(&sources).unwrap_err().0;
    let [fault] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!((&*fault.key, &*fault.value), ("line", "1"));
}

#[test]
fn only_what_may_be_a_secret_of_the_client_is_masked() {
    for (set, shown) in [
        ("kafka.client.sasl.password", "***"),
        ("kafka.client.no.such", "***"),
        ("kafka.client.debug", "v"),
    ] {
        let fault = Fault::new(set, "v", Origin::Set, "");
        assert_eq!(fault.value, shown, "{set}");
    }
}

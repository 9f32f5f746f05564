//! What the command line takes, and what it refuses.

use clap::CommandFactory;
use clap::error::ErrorKind;

use jiff::civil::Date;

use super::*;

fn parse(line: &str) -> Result<Cli, ErrorKind> {
    Cli::try_parse_from(line.split(' ')).map_err(|error| error.kind())
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn what_speaks_to_a_cluster_needs_a_configuration_and_nothing_else_does() {
    for line in ["lifetide run", "lifetide check", "lifetide import --input a", "lifetide redrive"]
    {
        assert_eq!(parse(line).unwrap_err(), ErrorKind::MissingRequiredArgument, "{line}");
    }
    for line in ["lifetide demo", "lifetide replay --input a", "lifetide completions bash"] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn arguments_are_read_as_they_are_documented() {
    let line = "lifetide replay --input a.csv --map customer_id=id,occurred_at=date \
                --until 1998-06-30 --order file --strict \
                --set model.file=m.toml --set processing.workers=2 --log debug";
    let Ok(Cli { command: Command::Replay(replay), log }) = parse(line) else {
        panic!("{line} is not read as a replay");
    };
    assert_eq!(replay.until, Some(Date::constant(1998, 6, 30)));
    assert_eq!((replay.order, replay.strict, replay.layers.sets.len()), (Order::File, true, 2));
    assert_eq!(log.as_deref(), Some("debug"));
}

#[test]
fn a_redrive_sends_only_when_told_to_and_takes_filters_more_than_once() {
    let parse = |line: &str| match parse(line) {
        Ok(Cli { command: Command::Redrive(redrive), .. }) => redrive,
        other => panic!("{line} is read as {other:?}"),
    };
    let dry = parse("lifetide redrive --config a");
    assert!(!dry.send && dry.reasons.is_empty() && dry.partitions.is_empty());
    let line = "lifetide redrive --config a --reason bad_value --reason future --partition 3 \
                --partition 0 --since 2026-05-01T12:00:00+02:00 --send";
    let redrive = parse(line);
    assert_eq!(redrive.reasons, [Reason::BadValue, Reason::Future]);
    assert_eq!((redrive.partitions, redrive.send), (vec![3, 0], true));
    assert_eq!(redrive.since.unwrap().to_string(), "2026-05-01T10:00:00Z");
}

#[test]
fn a_value_that_cannot_be_meant_is_refused() {
    for line in [
        "lifetide demo --duration 0s",
        "lifetide demo --duration=-3s",
        "lifetide demo --duration soon",
        "lifetide demo --listen 9464",
        "lifetide demo --log lifetide=loud",
        "lifetide replay --input a --map customer=id",
        "lifetide replay --input a --map amount",
        "lifetide replay --input a --until 1998-02-30",
        "lifetide check --config a --create-topics --partitions 0",
        "lifetide import --config a --input a --until 1998-02-30",
        "lifetide import --config a --input a --map customer=id",
        "lifetide fit --input a --map customer=id",
        "lifetide redrive --config a --reason bored",
        "lifetide redrive --config a --partition=-1",
        "lifetide redrive --config a --since yesterday",
        "lifetide redrive --config a --until 2026-05-01T12:00:00",
    ] {
        let kind = parse(line).expect_err(line);
        assert_eq!(kind, ErrorKind::ValueValidation, "{line}");
    }
    let kind = parse("lifetide fit --input a --name nbd").unwrap_err();
    assert_eq!(kind, ErrorKind::InvalidValue);
    let kind = parse("lifetide check --config a --partitions 3").unwrap_err();
    assert_eq!(kind, ErrorKind::MissingRequiredArgument);
    for other in ["--scores s", "--signals s"] {
        let kind = parse(&format!("lifetide replay --input a --against b {other}"));
        assert_eq!(kind.unwrap_err(), ErrorKind::ArgumentConflict, "{other}");
    }
}

#[test]
fn a_duration_has_a_unit() {
    for (text, seconds) in [("20s", 20), ("2m", 120), ("1h 30m", 5_400)] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    assert!(duration("20").is_err());
}

#[test]
fn debug_output_has_no_secret() {
    for command in ["run --config c.toml", "replay --config c.toml --input a"] {
        let line = format!("lifetide {command} --set kafka.client.sasl.password=hunter2");
        let shown = format!("{:?}", parse(&line).unwrap());
        assert!(shown.contains("c.toml") && !shown.contains("hunter2"), "{shown}");
    }
}

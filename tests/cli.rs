//! The program as a script sees it: exit codes, what goes to which stream.

use std::process::{Command, Output};

fn lifetide(arguments: &[&str]) -> Output {
    lifetide_in(arguments, &[])
}

fn lifetide_in(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lifetide"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the program was built for this test")
}

fn check(arguments: &[&str], code: i32, stdout: &str, stderr: &str) {
    let output = lifetide(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}{err}");
    assert!(out.contains(stdout) && (stdout.is_empty() == out.is_empty()), "{arguments:?}\n{out}");
    assert!(err.contains(stderr) && (stderr.is_empty() == err.is_empty()), "{arguments:?}\n{err}");
}

#[test]
fn help_and_version_are_answers_and_bad_usage_is_64() {
    check(&["--version"], 0, concat!("lifetide ", env!("CARGO_PKG_VERSION")), "");
    for help in [&["--help"][..], &["run", "--help"], &["check", "--help"], &["demo", "--help"]] {
        check(help, 0, "Exit codes:", "");
    }
    check(&["completions", "bash"], 0, "_lifetide()", "");
    check(&[], 64, "", "Usage: lifetide");
    check(&["frobnicate"], 64, "", "frobnicate");
    check(&["run"], 64, "", "--config");
    check(&["check", "--config"], 64, "", "--config");
    check(&["replay", "--input", "a", "--order", "random"], 64, "", "time");
}

#[test]
fn a_bad_configuration_is_64_with_every_fault_on_its_own_line() {
    check(&["check", "--config", "/no/such.toml"], 64, "", "`/no/such.toml`");
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/config/lifetide.toml");
    let sets = ["--set", "processing.workers=0", "--set", "kafka.broker=a:1"];
    let output = lifetide(&[&["check", "--config", reference][..], &sets].concat());
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).expect("messages are UTF-8");
    assert_eq!(
        text,
        "error: `processing.workers` is `0` (--set): must be a whole number from `1` to \
         `64`\nerror: `kafka.broker` is `a:1` (--set): no such key; did you mean \
         `kafka.brokers`?\n"
    );
}

/// What `run` says of a model file that is not there, with this `log.level`.
fn last_words(rules: &str, environment: &[(&str, &str)]) -> String {
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/config/lifetide.toml");
    let sets = ["--set", "model.file=/no/such.toml", "--set", &format!("log.level={rules}")];
    let output = lifetide_in(&[&["run", "--config", reference][..], &sets].concat(), environment);
    assert_eq!(output.status.code(), Some(64));
    String::from_utf8(output.stderr).expect("messages are UTF-8")
}

#[test]
fn what_ends_a_run_is_said_whatever_is_logged() {
    for rules in ["off", "lifetide::http=debug"] {
        let text = last_words(rules, &[]);
        assert!(
            text.starts_with("error: the model file `/no/such.toml` cannot"),
            "{rules}: {text}"
        );
    }
    for rules in ["error", "off,lifetide::commands=error"] {
        let text = last_words(rules, &[]);
        assert!(text.starts_with('{') && text.contains("/no/such.toml"), "{rules}: {text}");
    }
}

#[test]
fn an_empty_rust_log_is_none_and_another_is_stronger_than_the_configuration() {
    for (variable, is_followed) in [("", true), (" ", true), ("error", false)] {
        let text = last_words("off", &[("RUST_LOG", variable)]);
        assert_eq!(text.starts_with("error: "), is_followed, "`{variable}`: {text}");
    }
}

//! A broker with TLS, SCRAM and an authorizer: the rights that deploy/operating.md lists are enough
//! and each is needed, and what is refused is said in one sentence. Read with `read_committed`.

use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use crate::equality::Outcome;
use crate::support::acls::{Acls, Resource, Right};
use crate::support::broker::unique;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::secure::Secure;
use crate::support::wait_until;

const OPERATING: &str = include_str!("../../deploy/operating.md");
const SEED: u64 = 12;
const DEADLINE: Duration = Duration::from_mins(2);
/// The document promises 10 s where nobody answers; the rest is for a slow machine.
const REFUSAL_DEADLINE: Duration = Duration::from_mins(1);

/// One right of the document's table, with the key of the topic, and who needs it.
#[derive(Clone, Debug)]
struct Listed {
    right: Right,
    needed_by: Vec<String>,
}

impl Listed {
    fn is_for(&self, command: &str) -> bool {
        self.needed_by.iter().any(|needed| needed == command)
    }
}

/// The table of rights, where `name` says what the keys of `[kafka]` hold.
fn listed(name: impl Fn(&str) -> String) -> Vec<Listed> {
    let table = OPERATING.split_once("| resource | operations | for |\n").expect("the table").1;
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut rights = Vec::new();
    for row in table.lines().skip(1).take_while(|row| row.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [places, operations, needed_by] = &cells[..] else { panic!("{row}") };
        for place in quoted(places) {
            let (resource, name) = match places.split(' ').next().unwrap() {
                "group" => (Resource::Group, name(&place)),
                "transactional" => {
                    let key = place.strip_prefix('<').and_then(|place| place.strip_suffix(">-"));
                    (Resource::TransactionalIds, name(key.expect(row)) + "-")
                }
                "topic" | "topics" => (Resource::Topic, name(&place)),
                other => panic!("`{other}` is no resource that is known here"),
            };
            for operation in quoted(operations) {
                let right = Right { resource, name: name.clone(), operation };
                rights.push(Listed { right, needed_by: quoted(needed_by) });
            }
        }
    }
    assert!(rights.len() >= 20, "{rights:?}");
    rights
}

/// Grants what `command` needs.
fn grant(acls: &Acls, rights: &[Listed], command: &str) {
    rights.iter().filter(|one| one.is_for(command)).for_each(|one| acls.grant(&one.right));
}

/// What the configuration of a deployment holds under a key.
fn name_in(deployment: &Deployment) -> impl Fn(&str) -> String + '_ {
    |key| match key {
        "group_id" => deployment.name().to_owned(),
        "input_topic" => deployment.topic("events"),
        "scores_topic" => deployment.topic("scores"),
        "signals_topic" => deployment.topic("signals"),
        "dlq_topic" => deployment.topic("refused"),
        "changelog_topic" => deployment.topic("state"),
        "models_topic" => deployment.topic("models"),
        other => panic!("`{other}` is no key that is known here"),
    }
}

/// Nothing is left that `check` would warn of.
fn complete(deployment: &Deployment) {
    let compacted = ("cleanup.policy", "compact");
    deployment.topics.create(&deployment.topic("models"), 1, &[compacted]);
    deployment.topics.configure(&deployment.topic("scores"), compacted.0, compacted.1);
}

/// What a command said: the findings last, whatever the client logs after them.
fn text(output: &Output) -> String {
    [&output.stderr[..], &output.stdout].map(String::from_utf8_lossy).concat()
}

#[test]
fn the_listed_rights_are_enough_to_check_and_to_run() {
    let Some(secure) = Secure::shared() else { return };
    let (deployment, load) =
        (Deployment::new(&secure.open_address()), Load::new(Order::Time, SEED));
    complete(&deployment);
    let (acls, rights) = (secure.acls(), listed(name_in(&deployment)));
    let mut instance = secure.lead(deployment.instance("modest", 2));

    grant(&acls, &rights, "check");
    let output = instance.check(&[]);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("0 faults, 0 warnings\n"), "{said}");

    // What only `check` needs is not there while it runs.
    for one in rights.iter().filter(|one| one.is_for("check") && !one.is_for("run")) {
        acls.revoke(&one.right);
    }
    let feed = deployment.feed();
    let watch = deployment.watch();
    for part in load.stream.chunks(load.stream.len().div_ceil(2)) {
        feed.send(part.to_vec());
        let ends = deployment.topics.end_offsets(&deployment.topic("events"));
        let mut process = instance.start();
        wait_until("all that was sent to be processed", DEADLINE, || {
            process.assert_runs();
            watch.has_reached(&ends)
        });
        Instance::stop(process);
    }
    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_restore(&mut instance);
    assert!(!instance.logs().contains(secure.password()));
}

#[test]
fn the_listed_rights_are_enough_to_create_the_topics() {
    let Some(secure) = Secure::shared() else { return };
    let deployment = Deployment::new(&secure.open_address());
    let shop = unique("made");
    let name = |key: &str| format!("{shop}.{}", key.trim_end_matches("_topic"));
    let rights = listed(|key| match key {
        "group_id" => deployment.name().to_owned(),
        topic => name(topic),
    });
    let mut sets = Vec::new();
    for key in ["input", "scores", "signals", "dlq", "changelog", "models"] {
        sets.push(format!("kafka.{key}_topic={}", name(key)));
    }
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let instance = secure.lead(deployment.instance("creates", 2)).with(&sets);
    grant(&secure.acls(), &rights, "check");
    let output = instance.check(&["--create-topics"]);
    let said = text(&output);
    assert!(!output.status.success() && said.contains("allow `Create` on the topic"), "{said}");
    grant(&secure.acls(), &rights, "check --create-topics");
    let output = instance.check(&["--create-topics"]);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("0 faults, 0 warnings\n"), "{said}");
}

/// Goal: whichever right is taken away, `check` and `run` name it and its place.
#[test]
fn each_listed_right_is_needed_and_missed_in_one_sentence() {
    let Some(secure) = Secure::shared() else { return };
    let (deployment, load) =
        (Deployment::new(&secure.open_address()), Load::new(Order::Time, SEED));
    complete(&deployment);
    let (acls, rights) = (secure.acls(), listed(name_in(&deployment)));
    let mut instance = secure.lead(deployment.instance("poor", 2));
    grant(&acls, &rights, "check");
    // Something to do, so that each right is used.
    deployment.feed().send(load.stream.clone());
    let input = deployment.topic("events");

    for one in rights.iter().filter(|one| one.is_for("check")) {
        let Right { name, operation, .. } = &one.right;
        let words = [format!("`{operation}`"), format!("`{name}`")];
        acls.revoke(&one.right);
        let output = instance.check(&[]);
        let said = text(&output);
        if operation == "DescribeConfigs" {
            assert!(output.status.success() && said.ends_with("0 faults, 1 warning\n"), "{said}");
        } else {
            // Without the input nobody can try whether the group may be used.
            let n_warnings =
                if operation == "Read" && *name == input { "1 warning" } else { "0 warnings" };
            let counts = format!("1 fault, {n_warnings}\n");
            assert!(said.ends_with(&counts), "{:?}: {said}", one.right);
            assert_eq!(output.status.code(), Some(1), "{:?}: {said}", one.right);
        }
        let (_, finding) = said.rsplit_once("\nfault").or(said.rsplit_once("\nwarning")).unwrap();
        assert!(words.iter().all(|word| finding.contains(word)), "{:?}: {said}", one.right);
        if one.is_for("run") {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            expect_refusal(&mut instance, &words);
        }
        acls.grant(&one.right);
    }
    assert!(!instance.logs().contains(secure.password()));
}

/// `run` must end with exit code 1 and one sentence that has these words.
fn expect_refusal(instance: &mut Instance, words: &[&str]) {
    let began = Instant::now();
    let mut process = instance.start();
    let status = wait_until(format!("a refusal with {words:?}"), REFUSAL_DEADLINE, || {
        process.exit_status().ok_or_else(|| process.log())
    });
    let log = process.log();
    eprintln!("refused after {:?} with {words:?}", began.elapsed());
    assert_eq!(status.code(), Some(1), "{log}");
    // What a lane says before is of that lane alone.
    let is_last_word =
        |line: &&str| line.contains("\"level\":\"ERROR\"") && !line.contains("\"lane\":");
    let sentences: Vec<&str> = log.lines().filter(is_last_word).collect();
    let [sentence] = sentences[..] else { panic!("not one sentence:\n{log}") };
    assert_eq!(log.lines().last(), Some(sentence), "{log}");
    assert!(words.iter().all(|word| sentence.contains(word)), "{words:?}: {sentence}");
}

#[test]
fn a_login_or_a_certificate_that_fails_is_one_sentence() {
    const WRONG: &str = "not-the-password";
    let Some(secure) = Secure::shared() else { return };
    let deployment = Deployment::new(&secure.open_address());
    let (valid, expired) = (secure.address(), secure.expired_address());
    let foreign = secure.foreign_authority();
    let instance = |name: &str| secure.lead(deployment.instance(name, 2));
    let login = format!("broker `{valid}` refuses the login: ");
    let certificate = |address: &str| format!("the certificate of broker `{address}` is not valid");
    let cases = [
        (
            instance("password").with_variable("LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD", WRONG),
            [login, "`sasl.password`".to_owned()],
        ),
        (
            instance("expired").with(&[&format!("kafka.brokers={expired}")]),
            [certificate(&expired), "has expired".to_owned()],
        ),
        (
            instance("authority")
                .with(&[&format!("kafka.client.ssl.ca.location={}", foreign.display())]),
            [certificate(&valid), "`ssl.ca.location`".to_owned()],
        ),
        (
            instance("cleartext").with(&["kafka.client.security.protocol=SASL_PLAINTEXT"]),
            [format!("`{valid}`"), "`security.protocol`".to_owned()],
        ),
    ];
    thread::scope(|scope| {
        for (mut instance, words) in cases {
            let (valid_password, words) = (secure.password(), words);
            scope.spawn(move || {
                let words = words.each_ref().map(String::as_str);
                let output = instance.check(&[]);
                let said = text(&output);
                assert_eq!(output.status.code(), Some(1), "{said}");
                assert!(said.ends_with("1 fault, 0 warnings\n"), "{said}");
                assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
                expect_refusal(&mut instance, &words);
                for secret in [valid_password, WRONG] {
                    assert!(!(said.contains(secret) || instance.logs().contains(secret)));
                }
            });
        }
    });
}

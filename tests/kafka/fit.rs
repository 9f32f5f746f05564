//! A model fitted to the input topic is the model fitted to the file that was imported into it. The
//! topic is read with `read_committed`.

use std::path::Path;

use crate::support::broker::Broker;
use crate::support::deployment::Deployment;
use crate::support::topics::Outgoing;

const CDNOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cdnow_sample.csv");
const HISTORY: [&str; 4] = ["--input", CDNOW, "--map", "occurred_at=date"];

/// Runs a command, which must succeed, and returns what it prints.
fn run(deployment: &Deployment, name: &str, arguments: &[&str]) -> String {
    let output = deployment.command(name, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_input_topic_gives_the_bytes_that_the_file_gives() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    run(&deployment, "import", &HISTORY);
    let (key, payload) = (Some(b"a".to_vec()), Some(b"no event".to_vec()));
    deployment.feed().send([Outgoing { key, payload, timestamp_ms: None }]);
    let folder = tempfile::tempdir().unwrap();
    let [file, topic] = ["file.toml", "topic.toml"].map(|name| folder.path().join(name));
    let until = ["--until", "1997-09-30", "--output"];
    let fit = |source: &[&str], output: &Path| {
        let output = output.display().to_string();
        run(&deployment, "fit", &[source, &until, &[&output]].concat())
    };
    fit(&HISTORY, &file);
    let printed = fit(&["--topic"], &topic);
    assert!(printed.contains("1   skipped: not_json"), "{printed}");
    assert!(printed.contains("2357 customers"), "{printed}");
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&topic).unwrap());
}

//! What `check` looks at on this machine: the model file, the token, the files of secrets. Asks no
//! broker. Called by `check`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use super::findings::Findings;
use crate::clv::Model;
use crate::config::{Config, is_secret};
use crate::http::{Token, guard};
use crate::plan::{configured_model, model_faults};

/// After so long a shop's customers are likely to have changed, and a fit costs a command.
const MODEL_AGE_DAYS_MAX: i32 = 180;

/// Settings of librdkafka's that are files with private keys.
const KEY_FILES: [&str; 2] = ["ssl.key.location", "ssl.keystore.location"];

pub(super) fn check(config: &Config, findings: &mut Findings) {
    match configured_model(config) {
        Ok(Some(model)) => {
            let today = Timestamp::now().to_zoned(config.processing.time_zone.clone()).date();
            judge_model(&model, today, findings);
        }
        Ok(None) => findings.ok("model", from_the_stream(config)),
        Err(_) => {
            let file = config.model.file.as_deref().unwrap_or(Path::new(""));
            for fault in model_faults(&config.model, Some(config.processing.currency)) {
                let remedy = "correct the file, by the example in deploy/models.md, or name \
                              another one";
                findings.fault("model", format!("`{}`: {fault}", file.display()), remedy);
            }
        }
    }
    let token = config.http.token_file.as_deref().map(Token::read).transpose();
    match token.and_then(|token| guard(config.http.listen, token)) {
        Ok(_) => {}
        Err(error) => {
            let remedy = "write the token into the file, readable by this user";
            findings.fault("http", error.to_string(), remedy);
        }
    }
    secret_files(config, findings);
}

/// What is gone on with where no file says it.
fn from_the_stream(config: &Config) -> String {
    let topic = &config.kafka.models_topic;
    match (&config.model.pin, config.model.fit_every_days) {
        (Some(pin), _) => format!("`{pin}` from `{topic}`, as `model.pin` says"),
        (None, 0) => format!("what lies in `{topic}`; none is fitted"),
        (None, days) => format!("fitted in the stream to `{topic}` every `{days}` days"),
    }
}

fn judge_model(model: &Model, today: Date, findings: &mut Findings) {
    let label = model.label();
    let n_before = findings.0.len();
    if !model.identifiable() {
        findings.warning(
            "model",
            format!(
                "`{label}`: its history did not tell leaving from rare buying, so `p_alive` stays \
                 out of the lapse line"
            ),
            "fit a longer history, or rely on the silence rules",
        );
    }
    if model.spend().is_some() && model.currency().is_none() {
        findings.warning(
            "model",
            format!("`{label}`: its `[spend]` is in a currency that the file does not name"),
            "write `currency` into it, so that another `processing.currency` is refused",
        );
    }
    // `fit` calls a model by the day as of which it was fitted.
    let made_on = label.rsplit('/').next().and_then(|version| version.parse::<Date>().ok());
    let age_days = made_on.and_then(|day| today.since(day).ok()).map(|span| span.get_days());
    if let Some(age_days) = age_days.filter(|days| *days > MODEL_AGE_DAYS_MAX) {
        findings.warning(
            "model",
            format!("`{label}`: fitted {age_days} days ago"),
            "fit it again with `lifetide fit`, or leave `model.file` out to have it fitted in the \
             stream",
        );
    }
    if findings.0.len() == n_before {
        findings.ok("model", format!("`{label}`"));
    }
}

fn secret_files(config: &Config, findings: &mut Findings) {
    let kafka = &config.kafka;
    let by_file = kafka.client_files.iter().filter(|(setting, _)| is_secret(setting));
    let mut files: Vec<(String, &Path)> = by_file
        .map(|(setting, path)| (format!("kafka.client.{setting}.file"), path.as_path()))
        .collect();
    let named = |name: &&str| Some((format!("kafka.client.{name}"), kafka.client.0.get(*name)?));
    let keys = KEY_FILES.iter().filter_map(named);
    files.extend(keys.map(|(key, path)| (key, Path::new(path))));
    let token = config.http.token_file.as_deref();
    files.extend(token.map(|path| ("http.token_file".to_owned(), path)));
    for (key, path) in files {
        // One that cannot be looked at is a fault where it is read.
        let Ok(metadata) = fs::metadata(path) else { continue };
        if metadata.permissions().mode() & 0o004 != 0 {
            let name = path.display();
            findings.warning(
                "secret",
                format!("`{name}` (`{key}`) can be read by every user of this machine"),
                format!("`chmod o-r {name}`, or `defaultMode: 0440` where Kubernetes mounts it"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Level;
    use super::*;
    use crate::clv::{Evidence, ModelFile, Parameters, Spend};

    fn check(version: &str, change: impl FnOnce(&mut ModelFile), expect: &[(Level, &str)]) {
        let one = Some(1.0);
        let mut file = ModelFile {
            schema: "lifetide.model/1".to_owned(),
            name: "bg-nbd".to_owned(),
            version: version.to_owned(),
            unit: "week".to_owned(),
            currency: Some("USD".to_owned()),
            parameters: Parameters { r: one, alpha: one, a: one, b: one, s: None, beta: None },
            spend: Some(Spend { p: one, q: Some(2.0), gamma: one }),
            season: None,
            evidence: None,
        };
        change(&mut file);
        let mut findings = Findings::default();
        let today = Date::constant(2026, 11, 20);
        judge_model(&Model::from_file(file).unwrap(), today, &mut findings);
        assert_eq!(findings.0.len(), expect.len(), "{findings:?}");
        for (finding, (level, words)) in findings.0.iter().zip(expect) {
            assert_eq!(finding.level, *level, "{findings:?}");
            assert!(finding.what.contains(words), "{findings:?}");
        }
    }

    #[test]
    fn a_model_is_looked_at_for_what_it_can_tell_and_for_its_age() {
        check("2026-11-01", |_| {}, &[(Level::Ok, "`bg-nbd/2026-11-01`")]);
        check("spring", |_| {}, &[(Level::Ok, "`bg-nbd/spring`")]);
        check("2026-05-24", |_| {}, &[(Level::Ok, "")]);
        check("2026-05-23", |_| {}, &[(Level::Warning, "fitted 181 days ago")]);
        check("2024-05-23", |_| {}, &[(Level::Warning, "fitted 911 days ago")]);
        let unsure = Evidence { identifiable: Some(false), ..Evidence::default() };
        check("1", |file| file.evidence = Some(unsure), &[(Level::Warning, "rare buying")]);
        check("1", |file| file.currency = None, &[(Level::Warning, "does not name")]);
    }
}

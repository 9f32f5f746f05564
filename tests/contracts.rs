//! The schemas under `deploy/contracts` speak of the program's own names and bounds, and it reads
//! their examples and those of the README. Whether what it writes fits them is not looked at here
//! but in `tests/operate/test_contracts.py`.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use lifetide::churn::{Cause, Lifecycle};
    use lifetide::customer::{Driver, SignalKind};
    use lifetide::event::{
        CHANNEL_BYTES_MAX, DETAIL_BYTES_MAX, Envelope, ID_BYTES_MAX, Intake, Kind,
        OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN, QUANTITY_THOUSANDTHS_MAX, Reason, decode,
    };
    use lifetide::money::{AMOUNT_MINOR_MAX, Currency, Rates};
    use lifetide::record::dead_letter::{DeadLetter, Headers};
    use lifetide::record::redriven::Offsets;
    use lifetide::record::score::Score;
    use lifetide::record::signal::Signal;
    use serde_json::{Value, json};

    fn root(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn schema(name: &str) -> Value {
        serde_json::from_str(&root(&format!("deploy/contracts/{name}.schema.json"))).unwrap()
    }

    fn examples(name: &str) -> Vec<Value> {
        let examples = schema(name)["examples"].as_array().unwrap().clone();
        assert!(!examples.is_empty(), "{name}");
        examples
    }

    fn reads_event(event: &Value) {
        let payload = event.to_string();
        let key = event["customer_id"].as_str().unwrap().as_bytes();
        let currency = Currency::parse("USD").unwrap();
        let intake = Intake { currency, rates: Rates::default(), future_skew_max_ms: None };
        let envelope =
            Envelope { payload: Some(payload.as_bytes()), key: Some(key), timestamp_ms: None };
        let kind =
            decode(envelope, &intake).unwrap_or_else(|why| panic!("{payload}: {why}")).kind();
        assert_eq!(event["type"], kind.as_str());
    }

    fn reads_score(score: &Value) {
        let json = score.to_string();
        let read = Score::read(json.as_bytes()).unwrap_or_else(|why| panic!("{json}: {why}"));
        assert_eq!(serde_json::from_slice::<Value>(&read.to_json()).unwrap(), *score);
    }

    #[test]
    fn the_examples_of_the_schemas_are_read_and_written_back() {
        examples("event").iter().for_each(reads_event);
        examples("score").iter().for_each(reads_score);
        for signal in examples("signal") {
            let json = signal.to_string();
            let read = Signal::read(json.as_bytes()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&read.to_json()).unwrap(), signal);
        }
        let headers = |example: &Value| -> Headers {
            let named = example.as_object().unwrap().iter();
            let bytes = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
            named.map(|(name, value)| (name.clone(), Some(bytes(value)))).collect()
        };
        for example in examples("dead_letter") {
            let letter = DeadLetter { key: None, payload: None, headers: headers(&example) };
            let origin = letter.read().unwrap();
            assert_eq!(example["lifetide.detail"], origin.rejection.detail);
            assert!(origin.headers.is_empty(), "{:?}", origin.headers);
        }
        for example in examples("receipt") {
            Offsets::read_receipt(&headers(&example)).unwrap().unwrap();
        }
    }

    #[test]
    fn the_readmes_event_and_score_are_read() {
        let readme = root("README.md");
        let (_, event) = readme.split_once("echo 'c-1001|").unwrap();
        let (event, _) = event.split_once("' |").unwrap();
        let event = event.replace("'$(date -u +%FT%TZ)'", "2026-11-22T12:46:04Z");
        reads_event(&serde_json::from_str(&event).unwrap());
        let (_, score) = readme.split_once("```text\n{\"schema\"").unwrap();
        let (score, _) = score.split_once("```").unwrap();
        let score: Value = serde_json::from_str(&format!("{{\"schema\"{score}")).unwrap();
        reads_score(&score);
        assert_eq!(examples("score")[0], score);
    }

    #[test]
    fn the_lists_of_values_are_the_programs_own() {
        let check = |name: &str, pointer: &str, values: Vec<&str>| {
            let schema = schema(name);
            assert_eq!(schema.pointer(pointer), Some(&json!(values)), "{name} {pointer}");
        };
        let types = Kind::ALL.map(Kind::as_str).to_vec();
        check("event", "/properties/type/enum", types);
        let causes = Cause::ALL.map(Cause::as_str).to_vec();
        check("score", "/properties/cause/enum", causes);
        let lifecycles = Lifecycle::ALL.map(Lifecycle::as_str).to_vec();
        check("score", "/properties/segment/properties/lifecycle/enum", lifecycles);
        let drivers = Driver::ALL.map(Driver::as_str).to_vec();
        let of_trend = "/properties/trend/properties/driver/x-extensible-enum";
        check("score", of_trend, drivers.clone());
        check("signal", "/properties/driver/x-extensible-enum", drivers);
        let kinds = SignalKind::ALL.map(SignalKind::as_str).to_vec();
        check("signal", "/properties/kind/x-extensible-enum", kinds);
        let reasons = Reason::ALL.map(Reason::as_str).to_vec();
        check("dead_letter", "/properties/lifetide.reason/x-extensible-enum", reasons);
    }

    #[test]
    fn the_bounds_are_the_programs_own() {
        let event = schema("event");
        let check = |place: &str, bound: i64| {
            assert_eq!(event.pointer(place), Some(&json!(bound)), "{place}");
        };
        let whole = |bytes: usize| i64::try_from(bytes).unwrap();
        for id in ["customer_id", "event_id", "order_id"] {
            check(&format!("/properties/{id}/maxLength"), whole(ID_BYTES_MAX));
        }
        check("/properties/channel/maxLength", whole(CHANNEL_BYTES_MAX));
        check("/properties/occurred_at/minimum", OCCURRED_AT_MS_MIN);
        check("/properties/occurred_at/maximum", OCCURRED_AT_MS_MAX);
        // In major units of a currency without decimals, the most that any amount can be.
        check("/allOf/0/then/properties/amount/maximum", AMOUNT_MINOR_MAX);
        let quantity_max = i64::try_from(QUANTITY_THOUSANDTHS_MAX / 1000).unwrap();
        check("/allOf/4/then/properties/quantity/maximum", quantity_max);
        let detail = &schema("dead_letter")["properties"]["lifetide.detail"]["maxLength"];
        assert_eq!(*detail, json!(DETAIL_BYTES_MAX));
    }
}

//! The marker: one changelog record a partition and transaction, saying how far the state behind it
//! has come and under which settings it was made. Written by `engine`, compared on restore.

use serde::{Deserialize, Serialize};

use crate::money::Currency;

/// The version of the changelog's binary values that this program writes.
pub const CODEC_VERSION: u32 = 1;

/// How far a partition's state has come. JSON, for a person may have to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Version of the changelog's values.
    pub codec: u32,
    /// The next input offset to read.
    pub offset_next: i64,
    /// Stream time in milliseconds since 1970; absent before the first event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stream_time_ms: Option<i64>,
    /// `name/version` of the model, or `none`.
    pub model: String,
    /// The ledger's currency.
    pub currency: String,
    /// The time zone in which days begin.
    pub time_zone: String,
    /// Partitions of the input topic.
    pub n_partitions: i32,
    /// Customers in the partition's state; absent in markers of earlier programs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n_customers: Option<i64>,
    /// Erasures that the state remembers; absent in markers of earlier programs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n_erased: Option<i64>,
    /// The topic whose offsets `offset_next` counts; absent in markers of earlier programs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input_topic: Option<String>,
    /// The group that has come so far; absent in markers of earlier programs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group_id: Option<String>,
    /// Where the changelog began when a person accepted that what lay before is gone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changelog_low: Option<i64>,
}

/// What must not change under a state that is already there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The ledger's currency.
    pub currency: Currency,
    /// The time zone's name.
    pub time_zone: String,
    /// Partitions of the input topic.
    pub n_partitions: i32,
    /// The input topic's name.
    pub input_topic: String,
    /// The group's name.
    pub group_id: String,
}

impl Ground {
    /// The marker of a state of which only the next offset is known.
    pub fn marker(&self, offset_next: i64) -> Marker {
        Marker {
            codec: CODEC_VERSION,
            offset_next,
            stream_time_ms: None,
            model: "none".to_owned(),
            currency: self.currency.code().to_owned(),
            time_zone: self.time_zone.clone(),
            n_partitions: self.n_partitions,
            n_customers: None,
            n_erased: None,
            input_topic: Some(self.input_topic.clone()),
            group_id: Some(self.group_id.clone()),
            changelog_low: None,
        }
    }
}

impl Marker {
    /// The record's value.
    pub fn to_json(&self) -> Vec<u8> {
        super::wire::to_json(self, 512)
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// The JSON fault, or a codec version that this program does not know.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let marker: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if marker.codec != CODEC_VERSION {
            return Err(format!(
                "changelog codec version `{}` is not known to this program (it writes \
                 `{CODEC_VERSION}`): run the version that wrote it, or a newer one",
                marker.codec
            ));
        }
        Ok(marker)
    }

    /// Whether the state behind the marker may be continued on this ground.
    ///
    /// # Errors
    /// One sentence for each setting that changed, with the remedy.
    pub fn stands_on(&self, ground: &Ground) -> Result<(), String> {
        let currency = ground.currency.code();
        let mut faults = Vec::new();
        let mut expect = |what: &str, was: &str, is: &str, remedy: &str| {
            if was != is {
                faults.push(format!("{what} was `{was}` and is now `{is}`: {remedy}"));
            }
        };
        let again = "set it back, or start with a new group and changelog topic";
        expect("`processing.currency`", &self.currency, currency, again);
        expect("`processing.time_zone`", &self.time_zone, &ground.time_zone, again);
        let input_topic = self.input_topic.as_deref().unwrap_or(&ground.input_topic);
        expect("`kafka.input_topic`", input_topic, &ground.input_topic, again);
        let (was, is) = (self.n_partitions, ground.n_partitions);
        if was != is {
            faults.push(recount(was, is));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    /// What to say of a state that another group than that of `ground` has made, if one has.
    pub fn other_group(&self, ground: &Ground) -> Option<String> {
        let was = self.group_id.as_deref().filter(|was| *was != ground.group_id)?;
        let is = &ground.group_id;
        Some(format!(
            "the state is that of group `{was}` and `kafka.group_id` is now `{is}`: two groups on \
             one changelog ruin each other's state and double what they send out"
        ))
    }
}

/// What to do where another group has made the state.
pub const OTHER_GROUP: &str = "set it back, or give this group a changelog, scores and signals of \
                               its own";

/// What to do about an input topic that has grown.
pub const REPARTITION: &str = "stop the whole group and run `lifetide repartition`";

/// What to say of an input topic that had `was` partitions when its state was made and has `is`.
pub fn recount(was: i32, is: i32) -> String {
    let remedy = if is > was {
        REPARTITION
    } else {
        "read a topic with the old count, or start with a new group and changelog topic"
    };
    format!(
        "the input topic's partition count was `{was}` and is now `{is}`: customers would move \
         away from their state; {remedy}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground() -> Ground {
        Ground {
            currency: Currency::parse("EUR").unwrap(),
            time_zone: "UTC".to_owned(),
            n_partitions: 12,
            input_topic: "in".to_owned(),
            group_id: "g".to_owned(),
        }
    }

    fn marker() -> Marker {
        Marker {
            stream_time_ms: Some(1_714_564_800_007),
            model: "bg-nbd/7".to_owned(),
            n_customers: Some(9),
            n_erased: Some(2),
            ..ground().marker(42)
        }
    }

    #[test]
    fn the_bytes_of_a_marker_are_pinned_and_read_back() {
        let json = r#"{"codec":1,"offset_next":42,"stream_time_ms":1714564800007,"model":"bg-nbd/7","currency":"EUR","time_zone":"UTC","n_partitions":12,"n_customers":9,"n_erased":2,"input_topic":"in","group_id":"g"}"#;
        assert_eq!(String::from_utf8(marker().to_json()).unwrap(), json);
        assert_eq!(Marker::read(json.as_bytes()), Ok(marker()));
        let newer = json.replace("\"codec\":1", "\"codec\":2");
        assert!(Marker::read(newer.as_bytes()).unwrap_err().contains("codec version `2`"));
    }

    #[test]
    fn a_changed_ground_is_refused_and_every_change_is_named() {
        assert_eq!(marker().stands_on(&ground()), Ok(()));
        let other = Ground {
            currency: Currency::parse("USD").unwrap(),
            time_zone: "Europe/Berlin".to_owned(),
            n_partitions: 24,
            input_topic: "another".to_owned(),
            group_id: "g".to_owned(),
        };
        let fault = marker().stands_on(&other).unwrap_err();
        for part in [
            "currency` was `EUR`",
            "time_zone` was `UTC`",
            "input_topic` was `in`",
            "count was `12`",
        ] {
            assert!(fault.contains(part), "{fault}");
        }
        assert!(fault.ends_with("run `lifetide repartition`"), "{fault}");
        assert!(recount(24, 12).contains("a topic with the old count"));
    }

    #[test]
    fn the_state_of_another_group_is_told() {
        assert_eq!(marker().other_group(&ground()), None);
        let other = Ground { group_id: "h".to_owned(), ..ground() };
        assert!(marker().other_group(&other).unwrap().contains("group `g`"));
        assert_eq!(Marker { group_id: None, ..marker() }.other_group(&other), None);
    }

    /// As the first release wrote it.
    #[test]
    fn a_marker_without_counts_and_names_is_read_and_stands_on_any() {
        let json = r#"{"codec":1,"offset_next":42,"stream_time_ms":1714564800007,"model":"bg-nbd/7","currency":"EUR","time_zone":"UTC","n_partitions":12}"#;
        let (input_topic, group_id) = (None, None);
        let old = Marker { n_customers: None, n_erased: None, input_topic, group_id, ..marker() };
        assert_eq!(Marker::read(json.as_bytes()), Ok(old.clone()));
        assert_eq!(old.stands_on(&ground()), Ok(()));
    }
}

//! The shape of a model file: which keys it has and of what kind, so that everything that is no
//! such key is found at once. What the values must be is in `clv`. Called by `plan`.

use toml::{Table, Value};

use crate::clv::ModelFile;
use crate::config::nearest_word;

/// What stands at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Whole,
    Flag,
    Numbers,
    /// A table of numbers under names of its own.
    Named,
    Table(&'static [Key]),
}

/// A key, what stands there, and the value to go on with where a required one is missing.
type Key = (&'static str, Kind, Option<&'static str>);

const FILE: &[Key] = &[
    ("schema", Kind::Text, Some("lifetide.model/1")),
    ("name", Kind::Text, Some("")),
    ("version", Kind::Text, Some("")),
    ("unit", Kind::Text, Some("week")),
    ("currency", Kind::Text, None),
    ("parameters", Kind::Table(PARAMETERS), Some("")),
    ("spend", Kind::Table(SPEND), None),
    ("season", Kind::Table(&[("index", Kind::Numbers, Some(""))]), None),
    ("evidence", Kind::Table(EVIDENCE), None),
];
const PARAMETERS: &[Key] = &[
    ("r", Kind::Number, None),
    ("alpha", Kind::Number, None),
    ("a", Kind::Number, None),
    ("b", Kind::Number, None),
    ("s", Kind::Number, None),
    ("beta", Kind::Number, None),
];
const SPEND: &[Key] =
    &[("p", Kind::Number, None), ("q", Kind::Number, None), ("gamma", Kind::Number, None)];
const EVIDENCE: &[Key] = &[
    ("customers", Kind::Whole, None),
    ("log_likelihood", Kind::Number, None),
    ("nbd_log_likelihood", Kind::Number, None),
    ("spend_log_likelihood", Kind::Number, None),
    ("standard_errors", Kind::Named, None),
    ("identifiable", Kind::Flag, None),
];

/// The file as far as it is one, for its values to be judged too, and what of it is not.
pub(super) fn parse(text: &str) -> (Option<ModelFile>, Vec<String>) {
    let mut table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let line = 1 + before.matches('\n').count();
            let message = error.message().replace('\n', ", ");
            return (None, vec![format!("line `{line}` is not TOML: {message}")]);
        }
    };
    let mut faults = Vec::new();
    keep_shape("", &mut table, FILE, &mut faults);
    match table.try_into() {
        Ok(file) => (Some(file), faults),
        Err(error) => {
            faults.push(error.message().replace('\n', ", "));
            (None, faults)
        }
    }
}

/// Takes out what does not belong, puts in what is missing, and says both.
fn keep_shape(inside: &str, table: &mut Table, keys: &[Key], faults: &mut Vec<String>) {
    let unknown = |name: &str| keys.iter().all(|(key, _, _)| *key != name);
    for name in table.keys().filter(|name| unknown(name.as_str())) {
        let remedy = match nearest_word(name, keys.iter().map(|(key, _, _)| *key)) {
            Some(meant) => format!("did you mean `{inside}{meant}`?"),
            None => "remove it".to_owned(),
        };
        faults.push(format!("`{inside}{name}` is no key of a model file: {remedy}"));
    }
    table.retain(|name, _| !unknown(name));
    for (name, kind, required) in keys {
        match (table.get_mut(*name), kind) {
            (Some(Value::Table(inner)), Kind::Table(keys)) => {
                keep_shape(&format!("{inside}{name}."), inner, keys, faults);
                continue;
            }
            (Some(value), kind) if kind.holds(value) => continue,
            (Some(value), kind) => {
                let value = if value.is_table() { "{…}".to_owned() } else { value.to_string() };
                faults.push(format!("`{inside}{name}` is `{value}`; it must be {}", kind.word()));
            }
            (None, kind) if required.is_some() => {
                faults.push(format!("`{inside}{name}` is missing; it must be {}", kind.word()));
            }
            (None, _) => continue,
        }
        table.remove(*name);
        if let Some(text) = required {
            table.insert((*name).to_owned(), kind.to_go_on(text));
        }
    }
}

impl Kind {
    fn holds(self, value: &Value) -> bool {
        let is_number = |value: &Value| value.is_float() || value.is_integer();
        match self {
            Self::Text => value.is_str(),
            Self::Number => is_number(value),
            Self::Whole => value.as_integer().is_some_and(|value| value >= 0),
            Self::Flag => value.is_bool(),
            Self::Numbers => value.as_array().is_some_and(|all| all.iter().all(is_number)),
            Self::Named => value.as_table().is_some_and(|all| all.values().all(is_number)),
            Self::Table(_) => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Number => "a number without quotes",
            Self::Whole => "a whole number from 0",
            Self::Flag => "`true` or `false`",
            Self::Numbers => "a list of numbers",
            Self::Named => "a table of numbers",
            Self::Table(_) => "a table",
        }
    }

    fn to_go_on(self, text: &str) -> Value {
        match self {
            Self::Numbers => Value::Array(Vec::new()),
            Self::Table(_) | Self::Named => Value::Table(Table::new()),
            Self::Text | Self::Number | Self::Whole | Self::Flag => Value::String(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
schema = "lifetide.model/1"
name = "bg-nbd"
version = "1"
unit = "week"
currency = "USD"
[parameters]
r = 1
alpha = 1.0
a = 1.0
b = 1.0
s = 1.0
beta = 1.0
[spend]
p = 1.0
q = 2.0
gamma = 1.0
[season]
index = [1, 1.0]
[evidence]
customers = 1
log_likelihood = -1.0
nbd_log_likelihood = -1.0
spend_log_likelihood = -1.0
standard_errors = { r = 0.1 }
identifiable = true
"#;

    fn names(keys: &[Key], inside: &str, found: &mut Vec<String>) {
        for (name, kind, _) in keys {
            found.push(format!("{inside}{name}"));
            if let Kind::Table(keys) = kind {
                names(keys, &format!("{inside}{name}."), found);
            }
        }
    }

    /// Goal: the table of keys here and the one that reads the file are the same.
    #[test]
    fn every_key_is_one_of_the_file_and_every_key_of_the_file_is_one() {
        let (file, faults) = parse(WHOLE);
        assert_eq!(faults, Vec::<String>::new());
        let written = Table::try_from(file.unwrap()).unwrap();
        let mut found = Vec::new();
        names(FILE, "", &mut found);
        let given: Table = WHOLE.parse().unwrap();
        for path in &found {
            let in_table = |table: &Table| match path.split_once('.') {
                Some((outer, inner)) => table[outer].get(inner).is_some(),
                None => table.contains_key(path),
            };
            assert!(in_table(&written) && in_table(&given), "{path}");
        }
        let inner = |value: &Value| value.as_table().map_or(0, Table::len);
        let n_written =
            written.len() + written.iter().map(|(_, value)| inner(value)).sum::<usize>();
        assert_eq!(n_written, found.len(), "{found:?}");
    }

    #[test]
    fn everything_that_does_not_belong_is_said_at_once() {
        let text = WHOLE
            .replace("schema = \"lifetide.model/1\"\n", "")
            .replace("unit = \"week\"", "unit = 1")
            .replace("alpha = 1.0", "alfa = 1.0")
            .replace("gamma = 1.0", "gamma = \"15\"")
            .replace("identifiable = true", "identifyable = true\ncustomer_count = 2");
        let (file, faults) = parse(&text);
        assert!(file.is_some());
        let mut faults = faults;
        faults.sort();
        let expect = [
            "`evidence.customer_count` is no key of a model file: remove it",
            "`evidence.identifyable` is no key of a model file: did you mean \
             `evidence.identifiable`?",
            "`parameters.alfa` is no key of a model file: did you mean `parameters.alpha`?",
            "`schema` is missing; it must be a text in quotes",
            "`spend.gamma` is `\"15\"`; it must be a number without quotes",
            "`unit` is `1`; it must be a text in quotes",
        ];
        assert_eq!(faults, expect);
    }

    #[test]
    fn a_file_that_is_not_toml_is_named_with_its_line() {
        let (file, faults) = parse("name = \"x\"\nversion =\n");
        assert!(file.is_none());
        assert!(faults[0].starts_with("line `2` is not TOML: "), "{faults:?}");
    }
}

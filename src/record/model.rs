//! Records of the models topic: each model under its label, and under [`CURRENT`] the label of the
//! one to go on with. JSON; compacted, so that every model that was ever published can be returned
//! to. Written and read by `kafka::modeller`.

use crate::clv::{Model, ModelFile};

/// The key of the record that names the model to go on with. No label is like it: one has a slash.
pub const CURRENT: &str = "current";

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A model.
    Model(Box<ModelFile>, Box<Model>),
    /// The label of the model to go on with.
    Current(String),
}

/// Reads a record.
///
/// # Errors
/// What is wrong with it; the record is of no use then.
pub fn read(key: &[u8], value: &[u8]) -> Result<Entry, String> {
    if key == CURRENT.as_bytes() {
        let label = std::str::from_utf8(value).map_err(|error| error.to_string())?;
        return Ok(Entry::Current(label.to_owned()));
    }
    let file: ModelFile = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    let model = Model::from_file(file.clone()).map_err(|faults| faults.join("; "))?;
    if model.label().as_bytes() != key {
        return Err(format!("it holds `{}` under another key", model.label()));
    }
    Ok(Entry::Model(Box::new(file), Box::new(model)))
}

/// The value of a model's record.
///
/// # Errors
/// The model holds a number that is not finite.
pub fn encode(file: &ModelFile) -> Result<Vec<u8>, String> {
    serde_json::to_vec(file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"schema":"lifetide.model/1","name":"mbg-nbd","version":"1998-06-30","unit":"week","currency":"USD","parameters":{"r":0.5,"alpha":6.0,"a":0.9,"b":1.6},"evidence":{"customers":2357,"identifiable":true}}"#;

    #[test]
    fn a_model_is_read_as_it_was_written_under_its_label_only() {
        let Entry::Model(file, model) = read(b"mbg-nbd/1998-06-30", FILE.as_bytes()).unwrap()
        else {
            panic!("a model")
        };
        assert_eq!(model.label(), "mbg-nbd/1998-06-30");
        let again = encode(&file).unwrap();
        assert_eq!(serde_json::from_slice::<ModelFile>(&again).unwrap(), *file);
        assert!(read(b"mbg-nbd/other", FILE.as_bytes()).unwrap_err().contains("another key"));
        let broken = FILE.replace("0.5", "-0.5");
        assert!(read(b"mbg-nbd/1998-06-30", broken.as_bytes()).unwrap_err().contains("`-0.5`"));
        assert!(read(b"mbg-nbd/1998-06-30", b"{").is_err());
        assert_eq!(read(b"current", b"a/b"), Ok(Entry::Current("a/b".to_owned())));
    }
}

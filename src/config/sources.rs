//! What a configuration is read from: all of it is passed in. Made by `commands` from the process's
//! world, and by whoever needs no more than defaults and a few arguments.

use std::fmt;
use std::io;
use std::path::Path;

use super::ModelChoice;
use crate::money::Currency;

/// What the configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A cluster is needed, and an identity in it: `run` and `check`.
    Cluster,
    /// No cluster is needed: `replay`, `demo`.
    Offline,
}

/// A configuration file that has been read. Debug output leaves out what may be secret.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// Where values come from, weakest first. Debug output leaves out what may be secret.
#[derive(Clone)]
pub struct Sources<'a> {
    /// The file, if there is one.
    pub file: Option<File<'a>>,
    /// Environment variables. Those that begin with `LIFETIDE__` are keys; one that names a key
    /// with fewer underscores is a fault; all others are ignored.
    pub environment: Vec<(String, String)>,
    /// `section.key=value` arguments; the last one of a key counts.
    pub sets: &'a [String],
    /// The host's name, part of the default instance id; `None` if it cannot be told.
    pub host: Option<&'a str>,
    /// Whether librdkafka knows a setting and takes the value; else what it says.
    pub check_client: fn(name: &str, value: &str) -> Result<(), String>,
    /// The first so many bytes of a file: the value of a setting that stands in one.
    pub read_file: fn(path: &Path, n_bytes_max: usize) -> io::Result<Vec<u8>>,
    /// What is wrong with the model file beside a configuration that is wrong already, so that all
    /// is told at once; the currency if that is right. Who reads the model of a right one says it.
    pub model_faults: fn(&ModelChoice, Option<Currency>) -> Vec<String>,
    /// What the configuration is for.
    pub purpose: Purpose,
}

impl fmt::Debug for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, host, purpose, .. } = self;
        f.debug_struct("Sources")
            .field("file", file)
            .field("host", host)
            .field("purpose", purpose)
            .finish_non_exhaustive()
    }
}

impl<'a> Sources<'a> {
    /// These arguments upon the defaults, for no cluster: nothing of the process's world.
    pub fn only(sets: &'a [String]) -> Self {
        Self {
            file: None,
            environment: Vec::new(),
            sets,
            host: None,
            check_client: |_, _| Ok(()),
            read_file: |_, _| Err(io::ErrorKind::NotFound.into()),
            model_faults: |_, _| Vec::new(),
            purpose: Purpose::Offline,
        }
    }
}

//! The files that a running processor looks at, and what they held before they were last read: what
//! changes while they are read, or later, is seen at the next look. It does not say what a change
//! means. Asked by `reload`, begun by `commands::run`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::config::Config;

/// No file that is looked at is larger; of one that is, the beginning counts.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files with a hash of what each holds; absent where there is none to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    file: PathBuf,
    contents: BTreeMap<PathBuf, Option<u64>>,
}

impl Watched {
    /// The configuration's file, which has yet to be read.
    pub fn new(file: &Path) -> Self {
        let contents = BTreeMap::from([(file.to_owned(), content(file))]);
        Self { file: file.to_owned(), contents }
    }

    /// The configuration's file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Looks at the files that a configuration names, which have yet to be read, and no longer at
    /// those of the one before. What has been looked at already stays as it was seen.
    pub fn follow(&mut self, config: &Config) {
        let named = [config.http.token_file.as_deref(), config.model.file.as_deref()];
        let paths = named.into_iter().flatten().chain([&*self.file]);
        let seen = |path: &Path| self.contents.get(path).copied();
        let hold = |path: &Path| (path.to_owned(), seen(path).unwrap_or_else(|| content(path)));
        self.contents = paths.map(hold).collect();
    }

    /// The same files as they are now.
    pub(super) fn look(&self) -> Self {
        let now = |path: &PathBuf| (path.clone(), content(path));
        Self { file: self.file.clone(), contents: self.contents.keys().map(now).collect() }
    }
}

fn content(path: &Path) -> Option<u64> {
    let read = || -> io::Result<u64> {
        let mut bytes = Vec::new();
        regular(path)?;
        File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(xxh3_64(&bytes))
    };
    read().ok()
}

/// Whether the file can be read as often as one likes: a pipe would be waited for.
///
/// # Errors
/// It is not there, or is no regular file.
pub fn regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::other("no regular file, so that it cannot be read again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn what_changes_after_the_look_is_seen_at_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let [file, token, model] = ["file", "token", "model"].map(|name| dir.path().join(name));
        fs::write(&file, "1").unwrap();
        fs::write(&token, "1").unwrap();
        let naming = |token: &Path| {
            let sets = [("http.token_file", token), ("model.file", &*model)];
            let sets = sets.map(|(key, path)| format!("{key}={}", path.display()));
            load(&Sources::only(&sets)).unwrap()
        };
        let mut watched = Watched::new(&file);
        // While it is read, which may take long.
        fs::write(&file, "2").unwrap();
        watched.follow(&naming(&token));
        assert_ne!(watched.look(), watched);
        let mut seen = watched.look();
        assert_eq!(seen.look(), seen);
        // What is not there, and what is there and refused, may be mended in its place.
        for path in [&model, &token] {
            fs::write(path, "2").unwrap();
            assert_ne!(seen.look(), seen, "{}", path.display());
            seen = seen.look();
        }
        let other = dir.path().join("other");
        seen.follow(&naming(&other));
        fs::write(&token, "3").unwrap();
        assert_eq!(seen.look(), seen, "no longer looked at");
        fs::write(&other, "1").unwrap();
        assert_ne!(seen.look(), seen);
    }
}

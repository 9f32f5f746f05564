//! Holds the source against `rules.rs`: which module imports what, and the house rules that no
//! compiler checks. It reads the repository's files and writes nothing.

#[cfg(test)]
mod rules;
#[cfg(test)]
mod scan;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::rules::{
        HASH_LOOK_UP_FILES, PLATFORM_FLOAT_METHODS, PURE, PURE_BANNED_FUNCTIONS, PURE_BANNED_WORDS,
        PURE_STD, ROWS, Row, Std,
    };
    use super::scan::{self, Source};

    const LINES_MAX: usize = 400;
    const COLUMNS_MAX: usize = 100;
    const MAIN_LINES_MAX: usize = 120;

    /// A file of the repository: its path from the root, and its text.
    type File = (String, String);

    #[test]
    fn every_module_imports_only_what_its_row_allows() {
        let sources = files_under("src");
        let crates = dependencies();
        let tests: Vec<Vec<String>> = sources.iter().flat_map(test_modules).collect();
        let is_test = |file: &File| {
            let module = module_of(&file.0);
            tests.iter().any(|test| module.starts_with(test))
        };
        let faults: Vec<String> = sources
            .iter()
            .filter(|file| !is_test(file))
            .flat_map(|(name, text)| import_faults(name, text, &crates))
            .collect();
        assert!(sources.len() > 2, "found no source to check");
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }

    #[test]
    fn every_file_keeps_the_house_rules() {
        let files = files_under("");
        assert!(files.iter().any(|(name, _)| name == "src/lib.rs"), "found no source to check");
        let faults: Vec<String> =
            files.iter().flat_map(|(name, text)| house_faults(name, text)).collect();
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }

    fn import_faults(name: &str, text: &str, crates: &BTreeSet<String>) -> Vec<String> {
        let module = module_of(name);
        let Some(row) = ROWS.iter().find(|row| row.module == module[0]) else {
            return vec![format!("{name}: module `{}` has no row in the table", module[0])];
        };
        let source = Source::read(text);
        let mut faults: Vec<String> = source
            .paths()
            .iter()
            .filter(|path| !may_import(row, &module, path, crates))
            .map(|path| {
                format!(
                    "{name}:{}: `{}` may not use `{}`",
                    path.line,
                    row.module,
                    path.segments.join("::")
                )
            })
            .collect();
        if PURE.contains(&row.module) {
            faults.extend(impurities(name, &source));
        }
        faults
    }

    fn may_import(
        row: &Row,
        module: &[String],
        path: &scan::Path,
        crates: &BTreeSet<String>,
    ) -> bool {
        let segments = &path.segments;
        let own = |name: Option<&String>| {
            name.is_some_and(|name| {
                name == row.module || row.modules.iter().any(|set| set.contains(&name.as_str()))
            })
        };
        match segments[0].as_str() {
            "crate" | "lifetide" => own(segments.get(1)),
            "super" => {
                let n_up = segments.iter().take_while(|segment| *segment == "super").count();
                n_up < module.len() || own(segments.get(n_up))
            }
            "std" | "core" | "alloc" => {
                let below = segments[1..].join("::");
                let under = |root: &&str| {
                    below.strip_prefix(*root).is_some_and(|r| r.is_empty() || r.starts_with("::"))
                };
                match row.std {
                    Std::Pure => PURE_STD.iter().any(under),
                    Std::Without(roots) => !roots.iter().any(under),
                }
            }
            name => !crates.contains(name) || row.crates.contains(&name),
        }
    }

    /// What makes the answer depend on the machine, the hour or the order of a hash table.
    fn impurities(name: &str, source: &Source) -> Vec<String> {
        let banned_word = |text: &str| {
            PURE_BANNED_WORDS.contains(&text)
                && !(text.starts_with("Hash") && HASH_LOOK_UP_FILES.contains(&name))
        };
        let words = source.tokens.iter().filter(|token| banned_word(&token.text));
        let methods =
            source.methods().filter(|m| PLATFORM_FLOAT_METHODS.contains(&m.text.as_str()));
        let mut faults: Vec<String> = words
            .chain(methods)
            .map(|token| format!("{name}:{}: pure code may not use `{}`", token.line, token.text))
            .collect();
        for path in source.paths() {
            let last = path.segments.last().map_or("", String::as_str);
            let is_float = matches!(path.segments[0].as_str(), "f64" | "f32");
            if PURE_BANNED_FUNCTIONS.contains(&last)
                || is_float && PLATFORM_FLOAT_METHODS.contains(&last)
            {
                let path_text = path.segments.join("::");
                faults.push(format!("{name}:{}: pure code may not use `{path_text}`", path.line));
            }
        }
        faults
    }

    fn house_faults(name: &str, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        // Spelled in pieces, so that this file does not break the rules that it states.
        let machine_paths = [concat!("/wo", "rk/"), concat!("/tmp", "/wt")];
        let mut banned: Vec<&str> = machine_paths.to_vec();
        if has_extension(name, "rs") {
            banned.extend([
                concat!("#[igno", "re"),
                concat!("#[all", "ow("),
                concat!("#![all", "ow("),
            ]);
            banned.extend([concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!")]);
            banned.push(concat!("unimple", "mented!"));
            if !text.starts_with("//!") {
                faults.push(format!("{name}:1: does not begin with `//!`"));
            }
            let n_lines = text.lines().count();
            let n_lines_max = if name == "src/main.rs" { MAIN_LINES_MAX } else { LINES_MAX };
            if n_lines > n_lines_max {
                faults.push(format!("{name}: {n_lines} lines, at most {n_lines_max}"));
            }
        }
        for (line, number) in text.lines().zip(1..) {
            // Pinned JSON stands as it is sent.
            let is_pinned = line.contains("{\"");
            if has_extension(name, "rs") && line.chars().count() > COLUMNS_MAX && !is_pinned {
                faults.push(format!("{name}:{number}: longer than {COLUMNS_MAX} columns"));
            }
            let found = banned.iter().filter(|word| line.contains(**word));
            faults.extend(found.map(|word| format!("{name}:{number}: contains `{word}`")));
        }
        faults
    }

    /// `src/event/decode.rs` is `["event", "decode"]`, `src/event/mod.rs` is `["event"]`.
    fn module_of(name: &str) -> Vec<String> {
        let stem = name.trim_start_matches("src/").trim_end_matches(".rs");
        stem.trim_end_matches("/mod").split('/').map(str::to_owned).collect()
    }

    fn test_modules((name, text): &File) -> Vec<Vec<String>> {
        let under = |child: String| {
            let mut module = module_of(name);
            module.retain(|segment| segment != "lib" && segment != "main");
            module.push(child);
            module
        };
        Source::read(text).test_modules.into_iter().map(under).collect()
    }

    fn has_extension(name: &str, extension: &str) -> bool {
        Path::new(name).extension().is_some_and(|found| found == extension)
    }

    /// The crates that `src` can name.
    fn dependencies() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let names = manifest["dependencies"].as_table().unwrap().keys();
        names.map(|name| name.replace('-', "_")).collect()
    }

    /// Every text file below a directory of the repository, sorted by name.
    fn files_under(directory: &str) -> Vec<File> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (mut files, mut pending) = (Vec::new(), vec![root.join(directory)]);
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                if path.is_dir() {
                    pending.extend((!matches!(name.as_str(), ".git" | "target")).then_some(path));
                } else if name != "Cargo.lock"
                    && name != ".git"
                    && let Ok(text) = fs::read_to_string(&path)
                {
                    files.push((name, text));
                }
            }
        }
        files.sort();
        files
    }

    #[test]
    fn the_scanner_finds_what_a_module_may_not_use() {
        let crates =
            ["rdkafka", "axum", "serde", "tokio", "rand", "libm", "jiff"].map(String::from);
        let check = |name: &str, text: &str, expect: &[&str]| {
            let faults = import_faults(name, text, &crates.clone().into());
            assert_eq!(faults.len(), expect.len(), "{name}: {text}\n{faults:#?}");
            for (fault, expect) in faults.iter().zip(expect) {
                assert!(fault.contains(expect), "{name}: {text}\n`{fault}` lacks `{expect}`");
            }
        };
        let (event, decode) = ("src/event/mod.rs", "src/event/decode.rs");
        // Modules of the crate, by every way to name one.
        check(event, "use crate::churn::Tier;", &["crate::churn::Tier"]);
        check(event, "use crate::{calendar::Day, store::{A, b::*}};", &["store::A", "store::b::*"]);
        check(event, "\n\nfn f(x: crate::engine::X) {}", &["mod.rs:3: `event` may not use"]);
        check(event, "use super::store;", &["super::store"]);
        check(decode, "use super::{Body, super::http as h};", &["super::super::http"]);
        check(decode, "use super::Body; use crate::event::Kind; use crate::money::Amount;", &[]);
        check(event, "use crate::*;", &["crate::*"]);
        check("src/main.rs", "fn main() { lifetide::engine::run() }", &["lifetide::engine"]);
        check("src/novel/x.rs", "", &["module `novel` has no row"]);
        check("src/http/page.rs", "use crate::{engine, kafka, store};", &["engine", "kafka"]);
        check("src/metrics.rs", "use crate::http::Page;", &["http"]);
        // Crates and the standard library.
        check(event, "use rdkafka::Offset; fn f() { tokio::spawn(x) }", &["rdkafka", "tokio"]);
        check("src/engine.rs", "use axum::Json; use ::rdkafka::Offset;", &["axum", "rdkafka"]);
        check("src/store.rs", "use std::{fmt, net::TcpStream};", &["std::net::TcpStream"]);
        check(event, "use std::sync::{Arc, Mutex};", &["std::sync::Mutex"]);
        check(event, "use std::collections::BTreeMap; use core::fmt;", &[]);
        check(event, "fn f() { std::env::var(\"A\"); core::time::x() }", &["env", "time"]);
        check(event, "use std as s;", &["`std`"]);
        // What a pure module may not name at all.
        check(event, "struct A(std::collections::HashMap<u8, u8>);", &["HashMap"]);
        check(event, "use jiff::Timestamp; fn f() { Timestamp::now(); }", &["Timestamp::now"]);
        check(event, "fn f(x: f64) -> f64 { x.0.ln() + f64::exp(x) }", &["`ln`", "f64::exp"]);
        check(event, "fn f(x: f64) -> f64 { libm::log(x) + x.sqrt() + self.log }", &[]);
        check("src/http.rs", "fn f(x: f64) -> f64 { x.ln() }", &[]);
        // Comments, strings, characters and tests are not code.
        check(event, "// use crate::store;\n/* a /* b */ use crate::store; */", &[]);
        check(event, r##"const A: &str = r#"" use crate::store; "#;"##, &[]);
        check(event, r#"const A: &str = "\" use crate::store; ";"#, &[]);
        check(event, "const A: char = '\"'; use crate::store; const B: char = '\"';", &["store"]);
        check(event, "fn f<'a>(x: &'a str) {} use crate::store;", &["store"]);
        check(event, "#[cfg(test)]\nmod tests { use std::fs; fn f() { {} } }", &[]);
        check(event, "#[cfg(test)] mod tests { {} } use std::fs;", &["std::fs"]);
        check(event, "#[cfg(test)] #[x(y)] use std::fs; use std::io;", &["std::io"]);
    }

    #[test]
    fn the_house_rules_find_what_breaks_them() {
        let check = |name: &str, text: &str, expect: &[&str]| {
            let faults = house_faults(name, text);
            assert_eq!(faults.len(), expect.len(), "{name}: {text}\n{faults:#?}");
            for (fault, expect) in faults.iter().zip(expect) {
                assert!(fault.contains(expect), "`{fault}` lacks `{expect}`");
            }
        };
        let (wide, long) = ("x".repeat(101), "\n".repeat(400));
        check("src/a.rs", "//! Text.\n", &[]);
        check("src/a.rs", "use x;\n", &["does not begin"]);
        check("src/a.rs", &format!("//! Text.\n{wide}"), &["a.rs:2: longer than 100"]);
        check("src/a.rs", &format!("//! Text.\n{long}"), &["401 lines, at most 400"]);
        check("src/main.rs", &format!("//! Text.{}", "\n".repeat(121)), &["121 lines"]);
        check("tests/a.rs", concat!("//! Text.\n#[igno", "re]"), &["ignore"]);
        check("tests/a.rs", concat!("//! Text.\n#![all", "ow(x)]"), &["allow"]);
        check("src/a.rs", concat!("//! Text.\n// TO", "DO"), &["a.rs:2"]);
        check("deploy/x.yaml", concat!("image: /wo", "rk/x"), &["x.yaml:1"]);
        check("tests/data/x.csv", &wide, &[]);
    }

    #[test]
    fn tests_in_files_of_their_own_are_known_by_their_declaration() {
        let file = |name: &str, text: &str| test_modules(&(name.to_owned(), text.to_owned()));
        let text = "mod a; #[cfg(test)]\npub(crate) mod tests; #[cfg(test)] mod inline {}";
        assert_eq!(file("src/event/mod.rs", text), [["event", "tests"]]);
        assert_eq!(file("src/event.rs", text), [["event", "tests"]]);
        assert_eq!(file("src/lib.rs", text), [["tests"]]);
    }
}

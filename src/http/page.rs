//! The page at `/`: files that are part of the program, served as they are. They ask this server
//! alone, and hold no data themselves.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

use super::answer;

/// What the page may load and reach: this server. Nothing is inline but what scripts set.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// The parts by name, with their types.
const PARTS: [(&str, &str, &str); 9] = [
    ("page.css", CSS, include_str!("page/page.css")),
    ("icon.svg", PICTURE, include_str!("page/icon.svg")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("api.js", SCRIPT, include_str!("page/api.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("health.js", SCRIPT, include_str!("page/health.js")),
    ("leaving.js", SCRIPT, include_str!("page/leaving.js")),
    ("stakes.js", SCRIPT, include_str!("page/stakes.js")),
    ("customer.js", SCRIPT, include_str!("page/customer.js")),
];

/// `/`
pub(super) async fn index() -> Response {
    file(HTML, include_str!("page/index.html"))
}

/// `/page/{part}`
pub(super) async fn part(name: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(name)) = name else { return answer::not_found("/page/…") };
    match PARTS.iter().find(|(part, _, _)| *part == name) {
        Some((_, content_type, text)) => file(content_type, text),
        None => answer::not_found(&format!("/page/{name}")),
    }
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        // Another version may answer at this address tomorrow.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a text of the page refers to within `/page/`, or beside itself.
    fn references(text: &str) -> BTreeSet<&str> {
        let quoted = text.split('"').skip(1).step_by(2);
        quoted
            .filter_map(|word| word.strip_prefix("/page/").or_else(|| word.strip_prefix("./")))
            .collect()
    }

    #[test]
    fn each_part_is_used_and_each_that_is_used_is_there() {
        let mut used = references(include_str!("page/index.html"));
        for (name, content_type, text) in PARTS {
            if content_type == SCRIPT {
                used.extend(references(text));
            }
            assert!(!text.is_empty(), "{name}");
        }
        let there: BTreeSet<&str> = PARTS.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(used, there);
    }

    #[test]
    fn nothing_of_the_page_comes_from_elsewhere() {
        let index = [("index.html", HTML, include_str!("page/index.html"))];
        for (name, _, text) in PARTS.into_iter().chain(index) {
            let names = ["http://www.w3.org/2000/svg"];
            let text = names.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
            for foreign in ["http:", "https:", "//cdn", "url(", "@import", "innerHTML", "eval("] {
                assert!(!text.contains(foreign), "{name} has `{foreign}`");
            }
        }
    }
}

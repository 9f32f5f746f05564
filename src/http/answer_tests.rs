//! Tests of what holds of every answer, through real TCP connections.

use super::routes;
use super::tests::started;
use crate::broadcast::Opening;

#[test]
fn no_answer_is_kept_taken_for_something_else_or_opened_to_another_site() {
    let server = started();
    let cross = "Origin: http://a.example\r\nAccess-Control-Request-Method: GET\r\n";
    let paths = ["/customers/c%201%2F%C3%A4", "/signals", "/metrics", "/openapi.json", "/nowhere"];
    for path in paths {
        for method in ["GET", "OPTIONS"] {
            if (method, path) == ("GET", "/signals") {
                continue;
            }
            let answer = server.send(&format!("{method} {path}"), cross);
            assert!(!answer.head.contains("access-control"), "{}", answer.head);
            assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
            assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
            if method == "OPTIONS" && path != "/nowhere" {
                assert_eq!(answer.status, 405, "{path}");
                assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
            }
        }
    }
}

#[test]
fn every_route_answers_head_as_it_answers_get_without_the_body() {
    let server = started();
    server.signals.begin(Opening::new(&[]));
    for (path, _) in routes() {
        let path = path.replace("{id}", "c%201%2F%C3%A4").replace("{part}", "main.js");
        let answer = server.send(&format!("HEAD {path}"), "");
        assert_eq!(answer.body, "", "{path}");
        // A stream has no end to wait for, and its head is tested with it.
        let expect = if path == "/signals" { 200 } else { server.get(&path).status };
        assert_eq!(answer.status, expect, "{path}");
    }
}

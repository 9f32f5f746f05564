//! Tests of `/signals` through real TCP connections; what is to be sent is put into the broadcast.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::tests::{LONG, SILENCE, Server, start, started, token};
use super::*;
use crate::broadcast::{Opening, Signal};
use crate::lifecycle::Shutdown;

/// A stream that is open.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(server: &Server, path: &str, headers: &str) -> Self {
        let mut stream = server.connect();
        let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn head(&mut self) -> String {
        std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty())).collect()
    }

    /// The next event, without the lines of the chunks that it comes in.
    fn event(&mut self) -> String {
        let mut event = Vec::new();
        loop {
            let line = self.line();
            if line.contains(": ") {
                event.push(line);
            } else if !event.is_empty() {
                return event.join(" ");
            }
        }
    }
}

fn signal(offset: i64) -> Signal {
    Signal { partition: 0, offset, json: format!(r#"{{"number":{offset}}}"#).into() }
}

fn opening(n_signals: i64) -> Opening {
    let mut opening = Opening::new(&[(0, n_signals)]);
    (0..n_signals).for_each(|offset| opening.push(offset, signal(offset)));
    opening
}

#[test]
fn signals_come_as_events_with_ids_behind_which_a_stream_goes_on() {
    let server = started();
    let air = server.signals.begin(opening(3));
    let mut stream = Stream::open(&server, "/signals?last=2", "");
    let head = stream.head();
    for part in ["HTTP/1.1 200", "content-type: text/event-stream", "cache-control: no-store"] {
        assert!(head.contains(part), "{head}");
    }
    assert_eq!(stream.event(), r#"event: signal id: 2 data: {"number":1}"#);
    assert_eq!(stream.event(), r#"event: signal id: 3 data: {"number":2}"#);
    air.push(signal(3));
    assert_eq!(stream.event(), r#"event: signal id: 4 data: {"number":3}"#);
    // A browser comes again with the same query, and is not given the newest again.
    let mut again = Stream::open(&server, "/signals?last=2", "Last-Event-ID: 1\r\n");
    again.head();
    assert_eq!(again.event(), r#"event: signal id: 2 data: {"number":1}"#);
    let mut foreign = Stream::open(&server, "/signals", "Last-Event-ID: abc\r\n");
    foreign.head();
    let gap = foreign.event();
    assert!(gap.starts_with("event: gap id: 0 data: signals before this place"), "{gap}");
    assert_eq!(foreign.event(), r#"event: signal id: 1 data: {"number":0}"#);
}

#[test]
fn who_cannot_watch_is_told_why() {
    let server = started();
    server.signals.refuse("topic `s` is missing");
    let answer = server.get("/signals");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"], "the signals cannot be read: topic `s` is missing");
    assert_eq!(server.get("/signals?last=many").status, 400);
    let server = start(Some(token()), Limits::default(), LONG);
    server.signals.begin(opening(1));
    assert_eq!(server.get("/signals?last=many").status, 401);
}

#[test]
fn open_streams_end_at_once_on_the_shutdown() {
    let drain_max = LONG * 2;
    let server = start(None, Limits { drain_max, ..Limits::default() }, LONG);
    server.signals.begin(opening(1));
    let mut stream = Stream::open(&server, "/signals?last=1", "");
    stream.event();
    server.shutdown.request();
    let ended = server.runtime.block_on(async { tokio::time::timeout(LONG, server.task).await });
    ended.expect("the server still runs").unwrap().unwrap();
    stream.0.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_watcher_that_does_not_read_is_cut_off_and_holds_nobody_up() {
    let server = start(None, Limits { silence_max: SILENCE, ..Limits::default() }, LONG);
    let air = server.signals.begin(opening(1));
    let mut lazy = Stream::open(&server, "/signals?last=1", "");
    lazy.event();
    // More than the sockets between server and client hold.
    let json: Arc<str> = " ".repeat(256 * 1024).into();
    (1..500).for_each(|offset| air.push(Signal { json: Arc::clone(&json), ..signal(offset) }));
    let pause = Shutdown::new();
    let began = std::time::Instant::now();
    while server.signals.n_watching() > 0 {
        assert!(began.elapsed() < LONG, "it still has its seat");
        pause.wait(Duration::from_millis(20));
    }
}

//! Tests through real TCP connections to a server on a port of its own.

use std::io::{Read, Write};
use std::net::{Shutdown as Close, TcpStream};
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::*;
use crate::calendar::Day;
use crate::churn::Lifecycle;
use crate::customer::Driver;
use crate::lifecycle::{LaneState, Shutdown};
use crate::pipeline::{Stake, testing::plan};

pub(super) const LONG: Duration = Duration::from_secs(20);
/// Silence that ends a connection soon, and yet is longer than what an answer waits for its turn
/// among the other tests: a connection that has not been answered by then is cut before it is.
pub(super) const SILENCE: Duration = Duration::from_secs(3);

struct Shop;

impl CustomerLookup for Shop {
    fn find(&self, id: &str) -> Lookup {
        match id {
            "c 1/ä" => Lookup::Found(br#"{"customer_id":"c 1/\u00e4"}"#.to_vec()),
            // More than the sockets between server and client hold.
            "huge" => Lookup::Found(vec![b' '; 64 * 1024 * 1024]),
            "restoring" => Lookup::Restoring,
            "elsewhere" => Lookup::Elsewhere,
            "unreadable" => Lookup::Unreadable("its bytes are `1`: do this".to_owned()),
            _ => Lookup::Unknown,
        }
    }

    fn owned_partitions(&self) -> Vec<i32> {
        vec![0, 3]
    }
}

fn member(instance: &str, address: Option<&str>, partitions: &[i32]) -> Member {
    let (address, partitions) = (address.map(str::to_owned), partitions.to_vec());
    Member { instance: instance.to_owned(), address, partitions }
}

/// Customers of each lifecycle and tier who have so many cents at risk as their number says.
impl CustomerLists for Shop {
    fn make(&self) -> List {
        let mut list = List::new(3);
        for (n, lifecycle) in (0..600).zip(Lifecycle::ALL.into_iter().cycle()) {
            let stake = Stake {
                tier: n % 3,
                lifecycle,
                value_at_risk: f64::from(u32::try_from(n).unwrap()) / 100.0,
                historic_minor: 12_340,
                predicted: Some(45.6),
                p_alive: None,
                last_order_on: Some(Day(20_000)),
                lapses_on: None,
                driver: Some(Driver::Silence),
            };
            list.offer(&format!("c-{n:04}"), stake);
        }
        list.is_partial = true;
        list
    }
}

pub(super) struct Server {
    pub(super) runtime: Runtime,
    address: SocketAddr,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) signals: Arc<Broadcast>,
    /// What the group tells.
    group: Arc<Mutex<Result<Vec<Member>, String>>>,
    pub(super) shutdown: Shutdown,
    pub(super) task: tokio::task::JoinHandle<io::Result<()>>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(super) fn token() -> Token {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"0123456789abcdef\n").unwrap();
    Token::read(file.path()).unwrap()
}

pub(super) fn start(token: Option<Token>, limits: Limits, silence_max: Duration) -> Server {
    let runtime = Runtime::new().unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let listener = runtime.block_on(bind(listen)).unwrap();
    let address = listener.local_addr().unwrap();
    let lanes = Lanes::new(1, silence_max);
    let metrics = Arc::new(Metrics::new(&crate::churn::testing::tiers()));
    let signals = Arc::new(Broadcast::default());
    let two = [member("shop-1", None, &[0, 3]), member("shop-2", Some("b:1"), &[1, 2])];
    let group = Arc::new(Mutex::new(Ok(two.to_vec())));
    let asked = Arc::clone(&group);
    let services = Services {
        about: About {
            instance: "shop-1".to_owned(),
            currency: Currency::parse("USD").unwrap(),
            tiers: crate::churn::testing::tiers(),
            n_partitions: 4,
        },
        metrics: Arc::clone(&metrics),
        lanes: Arc::clone(&lanes),
        models: Arc::new(Models::fixed(plan(None))),
        customers: Arc::new(Shop),
        lists: Lists::new(Arc::new(Shop)),
        group: Group::new(Arc::new(move || asked.lock().unwrap().clone())),
        signals: Arc::clone(&signals),
        access: guard(listen, token).unwrap(),
        limits,
    };
    let shutdown = Shutdown::new();
    let task = runtime.spawn(serve(listener, services, shutdown.requested()));
    Server { runtime, address, metrics, lanes, signals, group, shutdown, task }
}

pub(super) fn started() -> Server {
    start(None, Limits::default(), LONG)
}

impl Server {
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Sends one request, asks for the connection's end, and reads all.
    pub(super) fn send(&self, request_line: &str, headers: &str) -> Answer {
        let mut stream = self.connect();
        let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
        let text = format!("{request_line} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "")
    }
}

#[test]
fn readiness_says_which_lane_is_missing_until_none_is() {
    let server = started();
    let answer = server.get("/ready");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["lanes"], json!([{ "lane": 0, "state": "starting" }]));
    assert_eq!(answer.json()["restoring"], json!([]));
    let gauges = server.metrics.own_partition(7);
    assert_eq!(server.get("/ready").json()["restoring"], json!([{ "partition": 7 }]));
    gauges.restore_from(0, 4);
    gauges.restored_to(1, 1);
    let restoring = &server.get("/ready").json()["restoring"][0];
    assert_eq!((&restoring["partition"], &restoring["progress_ratio"]), (&json!(7), &json!(0.25)));
    assert!(restoring["eta_seconds"].is_number(), "{restoring}");
    assert!(server.get("/metrics").body.contains("lifetide_ready 0"));
    server.lanes.lane(0).set(LaneState::Ready);
    let answer = server.get("/ready");
    assert_eq!((answer.status, answer.json()), (200, json!({ "ready": true })));
    assert!(server.get("/metrics").body.contains("lifetide_ready 1"));
}

#[test]
fn a_lane_that_stands_still_is_not_alive() {
    let server = start(None, Limits::default(), Duration::from_millis(50));
    Shutdown::new().wait(Duration::from_millis(100));
    let answer = server.get("/live");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["lanes"][0]["lane"], 0);
    let server = started();
    assert_eq!(server.get("/live").json(), json!({ "live": true }));
}

#[test]
fn metrics_come_in_prometheus_text() {
    let answer = started().get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("# TYPE lifetide_events_total counter"), "{}", answer.body);
}

#[test]
fn every_outcome_of_a_look_up_has_its_answer() {
    let server = started();
    let check = |path: &str, status: u16, expect: &Value| {
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(&answer.json(), expect, "{path}");
    };
    check("/customers/c%201%2F%C3%A4", 200, &json!({ "customer_id": "c 1/ä" }));
    let error = |text: &str| json!({ "error": text });
    check("/customers/nobody", 404, &error("there is no customer `nobody`"));
    let restoring = "the partition of customer `restoring` is being restored; try again";
    check("/customers/restoring", 503, &error(restoring));
    let unreadable =
        "the state of customer `unreadable` cannot be read: its bytes are `1`: do this";
    check("/customers/unreadable", 500, &error(unreadable));
    let mut elsewhere = server.get("/partitions").json();
    elsewhere["error"] = "another process owns the partition of customer `elsewhere`".into();
    check("/customers/elsewhere", 404, &elsewhere);
    check("/customers/%FF", 400, &error("a customer id is percent-encoded UTF-8"));
    let long = format!("/customers/{}", "x".repeat(129));
    let too_long = error("a customer id has at most 128 bytes of UTF-8, got `129`");
    check(&long, 400, &too_long);
    let quoted = "there is no customer `\"<script>`";
    check("/customers/%22%3Cscript%3E", 404, &error(quoted));
}

#[test]
fn what_the_group_tells_is_asked_for_once_in_a_while() {
    let mut expect = json!({
        "instance": "shop-1",
        "n_partitions": 4,
        "owned_partitions": [0, 3],
        "members": [
            { "instance": "shop-1", "partitions": [0, 3] },
            { "instance": "shop-2", "address": "b:1", "partitions": [1, 2] },
        ],
    });
    let server = started();
    assert_eq!(server.get("/partitions").json(), expect);
    *server.group.lock().unwrap() = Err("no broker".to_owned());
    assert_eq!(server.get("/partitions").json(), expect);
    let server = started();
    *server.group.lock().unwrap() = Err("no broker".to_owned());
    expect.as_object_mut().unwrap().remove("members");
    expect["members_unknown"] = "no broker".into();
    assert_eq!(server.get("/partitions").json(), expect);
}

#[test]
fn customer_data_needs_the_token_and_health_does_not() {
    let server = start(Some(token()), Limits::default(), LONG);
    let path = "GET /customers/nobody";
    let answer = server.send(path, "");
    assert_eq!(answer.status, 401);
    assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    assert!(answer.json()["error"].as_str().unwrap().contains("http.token_file"));
    let wrong = "Authorization: Bearer 0123456789abcdee\r\n";
    assert_eq!(server.send(path, wrong).status, 401);
    let right = "Authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(server.send(path, right).status, 404);
    assert_eq!(server.get("/live").status, 200);
    assert_eq!(server.get("/metrics").status, 200);
}

#[test]
fn a_web_page_that_gives_this_machine_a_name_of_its_own_sees_no_customer() {
    let answer = started().send("GET /customers/c%201%2F%C3%A4", "Host: evil.example\r\n");
    assert_eq!(answer.status, 403);
    assert!(answer.json()["error"].as_str().unwrap().contains("evil.example"));
}

#[test]
fn unknown_paths_methods_bodies_and_swollen_headers_are_refused_in_json() {
    let server = started();
    let check = |request: &str, headers: &str, status: u16| {
        let answer = server.send(request, headers);
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.json()["error"].is_string(), "{request}: {}", answer.body);
    };
    check("GET /nowhere", "", 404);
    check("GET /customers/", "", 404);
    check("GET /customers/a/b", "", 404);
    check("GET /page/%FF", "", 404);
    check("POST /customers/a", "", 405);
    check("DELETE /metrics", "", 405);
    check("GET /live", "Content-Length: 3\r\n", 413);
    check("GET /live", "Transfer-Encoding: chunked\r\n", 413);
    check("GET /live", &format!("X-Long: {}\r\n", "x".repeat(20_000)), 431);
    check(&format!("GET /live?{}", "x".repeat(5000)), "", 414);
    assert_eq!(server.send("GET /live", "Content-Length: 0\r\n").status, 200);
    // The parser refuses these by itself, without a body.
    let many = "X-Many: 1\r\n".repeat(200);
    assert_eq!(server.send("GET /live", &many).status, 431);
}

#[test]
fn a_request_that_dribbles_in_is_cut_off() {
    let silence_max = Duration::from_millis(300);
    let server = start(None, Limits { silence_max, ..Limits::default() }, LONG);
    let mut stream = server.connect();
    let pause = Shutdown::new();
    let began = std::time::Instant::now();
    while stream.write_all(b"G").is_ok() && stream.take_error().unwrap().is_none() {
        assert!(began.elapsed() < LONG, "still open after {:?}", began.elapsed());
        pause.wait(Duration::from_millis(20));
    }
}

#[test]
fn a_connection_that_asks_nothing_more_is_closed() {
    let server = start(None, Limits { silence_max: SILENCE, ..Limits::default() }, LONG);
    let mut stream = server.connect();
    stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_request_without_an_end_is_cut_off() {
    let server = started();
    let mut stream = server.connect();
    // More than the limit here, less than the parser's own.
    let endless = vec![b'x'; 150_000];
    let sent = stream
        .write_all(b"GET /live HTTP/1.1\r\nX-Endless: ")
        .and_then(|()| stream.write_all(&endless));
    let closed = sent.and_then(|()| stream.read(&mut [0]));
    match closed {
        Ok(n_read) => assert_eq!(n_read, 0, "answered"),
        Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "left open"),
    }
}

#[test]
fn connections_beyond_the_limit_wait_for_a_free_slot() {
    let server = start(None, Limits { n_connections_max: 1, ..Limits::default() }, LONG);
    let holder = server.connect();
    let mut waiting = server.connect();
    waiting.write_all(b"GET /live HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut byte = [0];
    assert!(waiting.read(&mut byte).is_err(), "answered beyond the limit");
    holder.shutdown(Close::Both).unwrap();
    waiting.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(waiting.read(&mut byte).unwrap(), 1);
}

#[test]
fn the_server_ends_on_the_shutdown_though_a_client_does_not_read_its_answer() {
    let drain_max = Duration::from_millis(200);
    let server = start(None, Limits { drain_max, ..Limits::default() }, LONG);
    let mut lazy = server.connect();
    lazy.write_all(b"GET /customers/huge HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    lazy.read_exact(&mut [0]).unwrap();
    server.shutdown.request();
    let ended = server.runtime.block_on(async { tokio::time::timeout(LONG, server.task).await });
    ended.expect("the server still runs").unwrap().unwrap();
}

#[test]
fn a_connection_kept_open_without_a_request_does_not_delay_the_shutdown() {
    let drain_max = LONG * 2;
    let server = start(None, Limits { drain_max, ..Limits::default() }, LONG);
    let mut idle = server.connect();
    idle.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 100]).unwrap();
    server.shutdown.request();
    let ended = server.runtime.block_on(async { tokio::time::timeout(LONG, server.task).await });
    ended.expect("the server still runs").unwrap().unwrap();
}

#[test]
fn an_address_in_use_is_named_with_the_remedy() {
    let server = started();
    let error = server.runtime.block_on(bind(server.address)).unwrap_err().to_string();
    assert!(error.contains(&server.address.to_string()), "{error}");
    assert!(error.contains("`http.listen`"), "{error}");
}

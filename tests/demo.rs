//! `lifetide demo` as a user sees it: the whole processor on the embedded broker, and the summary.

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Output, Stdio};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    /// Far more than a demo of a few seconds takes on a busy machine.
    const END_MAX: Duration = Duration::from_mins(2);

    fn start(arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_lifetide"))
            .arg("demo")
            .args(arguments)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn signal(name: &str, id: u32) {
        assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
    }

    /// Exit code, standard output and standard error.
    fn end(demo: Child) -> (Option<i32>, String, String) {
        let id = demo.id();
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::spawn(move || sender.send(demo.wait_with_output().unwrap()));
        let Ok(Output { status, stdout, stderr }) = receiver.recv_timeout(END_MAX) else {
            signal("-KILL", id);
            panic!("the demo does not end");
        };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    /// The summary's figures for one kind of change: planted, begun, found, missed.
    fn fared(summary: &str, change: &str) -> [usize; 4] {
        let figures = summary.lines().find_map(|line| line.strip_prefix(change)).unwrap();
        let mut figures = figures.split_whitespace().map(|word| word.parse().unwrap());
        [(); 4].map(|()| figures.next().unwrap())
    }

    #[test]
    fn planted_churners_are_found_the_books_agree_and_the_pace_changes_nothing() {
        let demo =
            |duration| start(&["--duration", duration, "--seed", "1", "--listen", "127.0.0.1:0"]);
        let (slow, fast) = (demo("9s"), demo("6s"));
        let (code, summary, errors) = end(slow);
        assert_eq!(code, Some(0), "{summary}{errors}");
        assert_eq!(end(fast).1, summary);
        assert!(errors.contains("proves nothing about durability"), "{errors}");
        assert!(errors.contains("/metrics") && errors.contains("/#customer=c000"), "{errors}");
        let (logged, told): (Vec<_>, Vec<_>) =
            errors.lines().partition(|line| line.starts_with('{'));
        assert_eq!(told.len(), 8, "a pipe gets the introduction only: {errors}");
        // A machine that is slow may be warned of.
        assert!(logged.iter().all(|line| line.contains(r#""level":"WARN""#)), "{errors}");
        assert!(summary.starts_with("the shop on 2025-12-31\n"), "{summary}");
        assert!(summary.contains("USD  equal to the shop's own books"), "{summary}");
        assert!(summary.contains("who is leaving, by value at risk\n  c0"), "{summary}");
        assert!(summary.contains("missed, of `stops`:"), "{summary}");
        // Measured: 39, 26 and 39 of 60; of the missed some ten each came too late to be told.
        for (change, found_min) in [("stops", 34), ("orders halved", 20), ("baskets halved", 34)] {
            let [planted, begun, found, missed] = fared(&summary, change);
            assert_eq!((planted, begun, found + missed), (60, 60, 60), "{summary}");
            assert!(found >= found_min, "{change}: {found} found\n{summary}");
        }
    }

    /// Waits until a series is not 0.
    fn await_metric(address: &str, series: &str) {
        let began = Instant::now();
        loop {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(series));
            if line.unwrap_or_else(|| panic!("no `{series}` in\n{text}")).trim() != "0" {
                return;
            }
            assert!(began.elapsed() < END_MAX, "`{series}` stays 0");
            pause();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "another process has no channel to wait on")]
    fn pause() {
        thread::sleep(Duration::from_millis(50));
    }

    #[test]
    fn an_interrupted_demo_prints_what_it_saw_so_far() {
        // Without a duration: the story would take two minutes.
        let mut demo = start(&["--listen", "127.0.0.1:0"]);
        let mut errors = BufReader::new(demo.stderr.take().unwrap()).lines();
        let address = errors
            .find_map(|line| {
                let line = line.unwrap();
                let address = line.split_once("http://")?.1.strip_suffix("/metrics")?;
                Some(address.to_owned())
            })
            .unwrap();
        await_metric(&address, r#"lifetide_events_total{type="order.completed"} "#);
        signal("-INT", demo.id());
        let (code, summary, _) = end(demo);
        assert_eq!(code, Some(0), "{summary}");
        assert!(summary.starts_with("the shop on 2024-"), "{summary}");
        assert!(summary.contains("equal to the shop's own books"), "{summary}");
    }

    #[test]
    fn an_address_that_is_taken_is_an_error_that_names_the_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let (code, summary, errors) = end(start(&["--listen", &address]));
        assert_eq!((code, &*summary), (Some(1), ""));
        assert!(
            errors.contains(&address) && errors.contains("--listen 127.0.0.1:9500"),
            "{errors}"
        );
    }
}

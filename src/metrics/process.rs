//! What the process itself costs, read from Linux's `/proc/self` when Prometheus asks. Where there
//! is no `/proc` the two figures are left out. Registered by `Metrics`.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// Clock ticks a second in `/proc`: fixed in Linux's interface to programs, whatever the kernel's
/// own.
const TICKS_PER_SECOND: f64 = 100.0;

const BYTES_PER_KIB: f64 = 1024.0;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    descs: [Desc; 2],
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        let first = |descs: Vec<&Desc>| descs[0].clone();
        Self { descs: [first(resident().desc()), first(cpu().desc())] }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    // Each scrape fills metrics of its own, so that two at once cannot add the same time twice.
    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        let read = |name| fs::read_to_string(name).ok();
        if let Some(bytes) = read("/proc/self/status").as_deref().and_then(resident_bytes) {
            let resident = resident();
            resident.set(bytes);
            families.extend(resident.collect());
        }
        if let Some(seconds) = read("/proc/self/stat").as_deref().and_then(cpu_seconds) {
            let cpu = cpu();
            cpu.inc_by(seconds);
            families.extend(cpu.collect());
        }
        families
    }
}

fn resident() -> Gauge {
    Gauge::new("lifetide_process_resident_memory_bytes", "Memory of the process that is in RAM.")
        .expect("the name is a constant that a test has seen registered")
}

fn cpu() -> Counter {
    Counter::new(
        "lifetide_process_cpu_seconds_total",
        "Processor time spent by the process, user and system.",
    )
    .expect("the name is a constant that a test has seen registered")
}

/// The line `VmRSS:     1234 kB` of `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * BYTES_PER_KIB)
}

/// Fields 14 and 15 of `/proc/self/stat`; field 2 is the program's name, which may hold blanks and
/// brackets, so counting starts behind its last bracket.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_its_line_in_bytes() {
        assert_eq!(
            resident_bytes("Name:\tx\nVmRSS:\t    12 kB\nVmSize:\t 99 kB\n"),
            Some(12_288.0)
        );
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn processor_time_is_counted_behind_a_name_with_brackets() {
        let stat = "7 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (short) S 1"), None);
    }
}

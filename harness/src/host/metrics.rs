//! What Prometheus endpoints say of a target that runs elsewhere: Kafka's JMX exporter, node exporter.
//!
//! ```text
//!   process_cpu_seconds_total, process_resident_memory_bytes          its process          (any client library)
//!   ringlog_syscalls_total                                            its system calls     (our broker)
//!   jvm_memory_used_bytes{area="heap"}, jvm_gc_collection_seconds_sum  its JVM             (names of 1.x and of 0.x)
//!   ..requesthandleravgidle..                                          Kafka's request handlers
//!   node_cpu_seconds_total, node_disk_*, node_network_*                its machine         (node exporter)
//! ```
//!
//! Counters are looked at twice, and their differences count; what an endpoint does not have stays unknown. Names are compared
//! in lower case: the JMX exporter's rules decide about capitals.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::client::security::http_agent;

/// An endpoint that takes longer is left out: an exporter of a large broker takes a second.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A page of a broker with thousands of partitions has some megabytes.
const PAGE_BYTES_MAX: u64 = 64 << 20;
const SECOND_NS: f64 = 1e9;

/// One value of a page.
#[derive(Clone, Debug, PartialEq)]
struct Sample<'a> {
    /// In lower case.
    name: String,
    labels: &'a str,
    value: f64,
}

/// What one page says at one moment, added up.
#[derive(Clone, Debug, Default, PartialEq)]
struct Page {
    counters: BTreeMap<Figure, f64>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    ProcessCpu,
    Resident,
    Heap,
    Gc,
    HandlersIdle,
    Syscalls,
    Cores,
    MachineIdle,
    DiskRead,
    DiskWritten,
    Sent,
}

/// Targets' endpoints at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    at: Instant,
    /// `None` where one did not answer.
    pages: Vec<Option<Page>>,
}

/// What endpoints said between two moments. `None` is what none of them has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Processor time of the processes, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Their resident memory at the end, in bytes.
    pub resident_bytes: Option<u64>,
    /// Heap in use at the end, in bytes.
    pub heap_used_bytes: Option<u64>,
    /// Time in garbage collections, in nanoseconds.
    pub gc_ns: Option<u64>,
    /// Share of the time in which Kafka's request handlers had nothing to do, at the end.
    pub handler_idle_share: Option<f64>,
    /// System calls of our brokers' shards.
    pub syscalls: Option<u64>,
    /// Share of the machines' processor time that was used.
    pub host_cpu_share: Option<f64>,
    /// Bytes a second that their disks read and wrote.
    pub host_disk_bytes_s: Option<f64>,
    /// Bytes a second that their interfaces sent, loopback left out.
    pub host_sent_bytes_s: Option<f64>,
    /// Endpoints that did not answer both times.
    pub silent: u32,
}

impl Scrape {
    /// Asks every endpoint.
    pub(crate) fn take(urls: &[String]) -> Self {
        let at = Instant::now();
        Self { at, pages: urls.iter().map(|url| fetch(url).ok().map(|text| Page::of(&text))).collect() }
    }

    /// What happened from `self` to `end`.
    pub(crate) fn until(&self, end: &Self) -> Observed {
        let wall_s = end.at.duration_since(self.at).as_secs_f64();
        let both: Vec<(&Page, &Page)> = self.pages.iter().flatten().zip(end.pages.iter().flatten()).collect();
        let answered =
            self.pages.iter().zip(&end.pages).filter(|(begin, end)| begin.is_some() && end.is_some()).count();
        let both = if answered == both.len() { both } else { Vec::new() };
        let sum = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>());
        let rise = |figure: Figure| {
            sum(both.iter().filter_map(|(begin, end)| Some(end.get(figure)? - begin.get(figure)?)).collect())
                .filter(|rise| *rise >= 0.0)
        };
        let last = |figure: Figure| sum(both.iter().filter_map(|(_, end)| end.get(figure)).collect());
        let brokers = both.iter().filter(|(_, end)| end.get(Figure::HandlersIdle).is_some()).count();
        let a_second = |rise: Option<f64>| rise.filter(|_| wall_s > 0.0).map(|it| it / wall_s);
        let machine_s = last(Figure::Cores).map(|cores| cores * wall_s).filter(|it| *it > 0.0);
        let disk = rise(Figure::DiskRead).zip(rise(Figure::DiskWritten)).map(|(read, written)| read + written);
        Observed {
            cpu_ns: rise(Figure::ProcessCpu).map(|it| (it * SECOND_NS) as u64),
            resident_bytes: last(Figure::Resident).map(|it| it as u64),
            heap_used_bytes: last(Figure::Heap).map(|it| it as u64),
            gc_ns: rise(Figure::Gc).map(|it| (it * SECOND_NS) as u64),
            handler_idle_share: last(Figure::HandlersIdle).map(|it| (it / brokers as f64).clamp(0.0, 1.0)),
            syscalls: rise(Figure::Syscalls).map(|it| it as u64),
            host_cpu_share: rise(Figure::MachineIdle)
                .zip(machine_s)
                .map(|(idle, all)| (1.0 - idle / all).clamp(0.0, 1.0)),
            host_disk_bytes_s: a_second(disk),
            host_sent_bytes_s: a_second(rise(Figure::Sent)),
            silent: u32::try_from(self.pages.len() - answered).unwrap_or(u32::MAX),
        }
    }
}

impl Page {
    fn of(text: &str) -> Self {
        let mut page = Self::default();
        for sample in text.lines().filter_map(Sample::of) {
            let Some(figure) = sample.figure() else { continue };
            let value = if figure == Figure::Cores { 1.0 } else { sample.value };
            *page.counters.entry(figure).or_default() += value;
            if figure == Figure::Cores {
                *page.counters.entry(Figure::MachineIdle).or_default() += sample.value;
            }
        }
        page
    }

    fn get(&self, figure: Figure) -> Option<f64> {
        self.counters.get(&figure).copied()
    }
}

impl<'a> Sample<'a> {
    /// `name{labels} value`, a timestamp perhaps; comments are none. Values of labels may hold blanks and braces.
    fn of(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let (name, labels, rest) = match line.find(['{', ' ', '\t'])? {
            at if line.as_bytes()[at] == b'{' => {
                let end = line.rfind('}')?;
                (&line[..at], line.get(at + 1..end)?, &line[end + 1..])
            }
            at => (&line[..at], "", &line[at..]),
        };
        let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
        let is_sample = !name.is_empty() && !name.starts_with('#') && value.is_finite();
        is_sample.then(|| Self { name: name.to_ascii_lowercase(), labels, value })
    }

    fn has(&self, label: &str, value: &str) -> bool {
        self.labels.split(',').any(|it| it.trim() == format!("{label}=\"{value}\""))
    }

    /// What it counts, where it is looked for.
    fn figure(&self) -> Option<Figure> {
        match self.name.as_str() {
            "process_cpu_seconds_total" => Some(Figure::ProcessCpu),
            "process_resident_memory_bytes" => Some(Figure::Resident),
            "jvm_memory_used_bytes" | "jvm_memory_bytes_used" => self.has("area", "heap").then_some(Figure::Heap),
            "ringlog_syscalls_total" => Some(Figure::Syscalls),
            "jvm_gc_collection_seconds_sum" => Some(Figure::Gc),
            // Idle time of one core: cores are counted by it.
            "node_cpu_seconds_total" => self.has("mode", "idle").then_some(Figure::Cores),
            "node_disk_read_bytes_total" => Some(Figure::DiskRead),
            "node_disk_written_bytes_total" => Some(Figure::DiskWritten),
            "node_network_transmit_bytes_total" => (!self.has("device", "lo")).then_some(Figure::Sent),
            name if name.contains("requesthandleravgidle") => self.is_share().then_some(Figure::HandlersIdle),
            _ => None,
        }
    }

    /// Of a meter's several rates the one of the last minute, where rates are labels or parts of the name.
    fn is_share(&self) -> bool {
        let others = ["count", "total", "mean", "five", "fifteen"];
        let word = format!("{} {}", self.name, self.labels.to_ascii_lowercase());
        !others.iter().any(|other| word.contains(other)) && (0.0..=1.5).contains(&self.value)
    }
}

/// An endpoint's page.
pub(crate) fn fetch(url: &str) -> Result<String, String> {
    let agent = http_agent(url, ANSWER_MAX, ANSWER_MAX);
    let mut response = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    if !response.status().is_success() {
        return Err(format!("{url}: it answered {}", response.status()));
    }
    response.body_mut().with_config().limit(PAGE_BYTES_MAX).read_to_string().map_err(|error| format!("{url}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// As jmx_prometheus_javaagent 1.x writes a Kafka's page with its example rules, shortened.
    fn kafka(cpu_s: f64, gc_s: f64) -> String {
        format!(
            "# HELP jvm_gc_collection_seconds Time spent in a given JVM garbage collector in seconds.\n\
             # TYPE jvm_gc_collection_seconds summary\n\
             jvm_gc_collection_seconds_count{{gc=\"G1 Young Generation\"}} 21\n\
             jvm_gc_collection_seconds_sum{{gc=\"G1 Old Generation\"}} 0.0\n\
             jvm_gc_collection_seconds_sum{{gc=\"G1 Young Generation\"}} {gc_s}\n\
             jvm_memory_used_bytes{{area=\"heap\"}} 4.11041792E8\n\
             jvm_memory_used_bytes{{area=\"nonheap\"}} 9.3421256E7\n\
             kafka_server_KafkaRequestHandlerPool_RequestHandlerAvgIdle_percent 0.8731\n\
             kafka_log_Log_Size{{topic=\"a}} b\",partition=\"0\",}} 17.0\n\
             process_cpu_seconds_total {cpu_s}\n\
             process_resident_memory_bytes 1.237962752E9 1700000000000\n"
        )
    }

    /// As our broker writes its page, shortened.
    fn ringlog(calls: [u64; 2]) -> String {
        format!(
            "# TYPE ringlog_syscalls_total counter\n\
             ringlog_syscalls_total{{shard=\"0\"}} {}\n\
             ringlog_syscalls_total{{shard=\"1\"}} {}\n\
             ringlog_syscalls_per_mb{{shard=\"0\"}} 17.5\n",
            calls[0], calls[1]
        )
    }

    /// As node exporter 1.x writes a machine of two cores.
    fn node(idle_s: [f64; 2], written: u64) -> String {
        format!(
            "node_cpu_seconds_total{{cpu=\"0\",mode=\"idle\"}} {}\n\
             node_cpu_seconds_total{{cpu=\"0\",mode=\"user\"}} 999.5\n\
             node_cpu_seconds_total{{cpu=\"1\",mode=\"idle\"}} {}\n\
             node_disk_read_bytes_total{{device=\"nvme0n1\"}} 1.5e+06\n\
             node_disk_written_bytes_total{{device=\"nvme0n1\"}} {written}\n\
             node_network_transmit_bytes_total{{device=\"eth0\"}} 7e+09\n\
             node_network_transmit_bytes_total{{device=\"lo\"}} {written}\n",
            idle_s[0], idle_s[1]
        )
    }

    /// An exporter that gives these pages in turn; the last one from then on. Gives its address.
    fn exporter(pages: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let next = AtomicU32::new(0);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let page = &pages[(next.fetch_add(1, Ordering::Relaxed) as usize).min(pages.len() - 1)];
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    page.len()
                );
                let _ = stream.write_all(format!("{head}{page}").as_bytes());
            }
        });
        url
    }

    #[test]
    fn a_broker_s_page_and_its_machine_s_become_what_happened_between_two_looks() {
        let broker = exporter(vec![kafka(100.0, 3.5), kafka(101.25, 3.6)]);
        let machine = exporter(vec![node([50.0, 60.0], 1000), node([50.0, 60.0], 5001)]);
        let urls = [broker, machine];
        let begin = Scrape::take(&urls);
        std::thread::sleep(Duration::from_millis(20));
        let seen = begin.until(&Scrape::take(&urls));
        assert_eq!((seen.cpu_ns, seen.heap_used_bytes), (Some(1_250_000_000), Some(411_041_792)));
        assert_eq!((seen.resident_bytes, seen.handler_idle_share), (Some(1_237_962_752), Some(0.8731)));
        let gc_ms = seen.gc_ns.unwrap() / 1_000_000;
        assert!((99..=100).contains(&gc_ms), "{gc_ms}");
        assert_eq!((seen.host_cpu_share, seen.silent), (Some(1.0), 0), "no core was idle meanwhile");
        assert!(seen.host_disk_bytes_s.unwrap() > 0.0, "what was written and what was read");
        assert_eq!(seen.host_sent_bytes_s, Some(0.0), "loopback is no network");
    }

    #[test]
    fn system_calls_are_those_of_all_shards() {
        let urls = [exporter(vec![ringlog([100, 7]), ringlog([160, 9])])];
        let begin = Scrape::take(&urls);
        assert_eq!(begin.until(&Scrape::take(&urls)).syscalls, Some(62));
    }

    #[test]
    fn what_nobody_says_is_unknown_and_an_endpoint_that_is_silent_is_counted() {
        let urls = [exporter(vec![node([1.0, 1.0], 0)]), "http://127.0.0.1:1/metrics".to_owned()];
        let begin = Scrape::take(&urls);
        let seen = begin.until(&Scrape::take(&urls));
        assert_eq!((seen.cpu_ns, seen.heap_used_bytes, seen.handler_idle_share), (None, None, None));
        assert_eq!((seen.silent, seen.host_disk_bytes_s), (1, Some(0.0)));
        let restarted = [exporter(vec![kafka(100.0, 3.5), kafka(2.0, 0.1)])];
        let begin = Scrape::take(&restarted);
        assert_eq!(begin.until(&Scrape::take(&restarted)).cpu_ns, None, "counters that went back say nothing");
    }

    #[test]
    fn a_line_is_a_sample_whatever_its_labels_hold() {
        let of = |line| Sample::of(line).map(|it| (it.name, it.value));
        assert_eq!(of("a_b{c=\"x} y {\",} 1e3 1700"), Some(("a_b".into(), 1000.0)));
        assert_eq!(of("Up 1"), Some(("up".into(), 1.0)));
        for line in ["# TYPE a counter", "", "a", "a{b=\"c\"", "a NaN", "}{ 1", "{ 1"] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}

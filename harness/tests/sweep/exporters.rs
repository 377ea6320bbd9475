//! A real Kafka with its JMX exporter, and node exporter beside it, as `--metrics-from` reads them: every column that is documented
//! as theirs has a figure that can be, and none of them has one without the option.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ringlog_harness::results::{Row, rows};
use ringlog_harness::target::spec;

use super::checks::brokers::{Broker, KAFKA_DEFAULT, Maker};
use super::checks::report::{Fault, Told, failed, need};
use super::checks::tools::Running;

/// Rules of a JMX exporter: the one meter that no JVM has by itself. Who writes more of them gets more, and no other columns.
const RULES: &str = "lowercaseOutputName: true
rules:
  - pattern: kafka.server<type=KafkaRequestHandlerPool, name=RequestHandlerAvgIdlePercent><>(OneMinuteRate)
    name: kafka_server_requesthandleravgidle_percent
";
const SWEEP: &str = "schema = 1
name = \"seen\"
what = \"a check\"
[[part]]
name = \"p\"
[part.workload]
kind = \"produce\"
record_bytes = 1000
warmup_s = 1.0
measured_s = 3.0
megabytes_max = 60
[part.vary]
\"batch.size\" = [16384]
";
const COMES_MAX: Duration = Duration::from_secs(60);
const RUN_MAX: Duration = Duration::from_secs(120);
/// What the check's JVM may have of heap, with a megabyte to spare.
const HEAP_BYTES_MAX: u64 = 769 << 20;

/// Folder of the broker, its exporters, the sweeps.
pub(crate) fn are_read(maker: &Maker, folder: &Path) -> Told {
    let Maker::Ringlog { binary } = maker else { return Err(Fault::Failed("no ringlog binary".to_owned())) };
    let (agent, node_exporter) = (exporter("jmx_prometheus_javaagent.jar")?, exporter("prometheus-node-exporter")?);
    std::fs::create_dir_all(folder).map_err(|error| failed("a folder for a check")(&error))?;
    let written =
        [("jmx.yml", RULES), ("seen.toml", SWEEP)].map(|(name, text)| std::fs::write(folder.join(name), text));
    written.into_iter().collect::<Result<(), _>>().map_err(|error| failed("a file for a check")(&error))?;

    let (jmx, node) = (free_port()?, free_port()?);
    let option = format!("-javaagent:{}=127.0.0.1:{jmx}:{}", agent.display(), folder.join("jmx.yml").display());
    let kafka = Maker::kafka(KAFKA_DEFAULT)?;
    let mut broker = Broker::new(&kafka, &folder.join("broker"), None, &[])?.with_jvm_option(option);
    broker.start()?;
    let mut exporter = Command::new(node_exporter);
    exporter.arg(format!("--web.listen-address=127.0.0.1:{node}"));
    let exporter = Running::start(exporter)?;
    let done = measured(binary, folder, &broker, [jmx, node]);
    // It ends with this thread at the latest; what it wrote is nobody's.
    super::checks::tools::send(exporter.pid(), rustix::process::Signal::KILL)?;
    drop(exporter.finish(RUN_MAX)?);
    broker.kill();
    done
}

fn measured(binary: &Path, folder: &Path, broker: &Broker, [jmx, node]: [u16; 2]) -> Told {
    comes("the exporters' pages", || {
        // A meter of one minute says 0 until it was first updated, after five seconds.
        let has_idle = |page: String| {
            let mut lines =
                page.lines().filter_map(|it| it.strip_prefix("kafka_server_requesthandleravgidle_percent "));
            lines.any(|it| it.trim().parse::<f64>().is_ok_and(|it| it > 0.0))
        };
        page(jmx).is_some_and(has_idle) && page(node).is_some_and(|it| it.contains("node_cpu_seconds_total"))
    })?;
    let urls = [jmx, node].map(|port| format!("--metrics-from=http://127.0.0.1:{port}/metrics"));
    let unseen = row(binary, folder, broker, "unseen", &[])?;
    let told = figures(&unseen).into_iter().filter(|it| it.1.is_some()).map(|it| it.0).collect::<Vec<_>>();
    need(told.is_empty(), || format!("without the option there are {told:?}"))?;
    let seen = row(binary, folder, broker, "seen", &urls)?;
    let empty = figures(&seen).into_iter().filter(|it| it.1.is_none()).map(|it| it.0).collect::<Vec<_>>();
    need(empty.is_empty(), || format!("{empty:?} are empty"))?;
    need(!seen.disturbances.contains("metrics-silent"), || seen.disturbances.clone())?;

    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    let (cpu_ms, all_ms) = (seen.broker_cpu_ms.unwrap_or(0.0), seen.seconds.unwrap_or(0.0) * 1000.0 * cores);
    need(cpu_ms > 0.0 && cpu_ms <= all_ms * 1.1, || format!("{cpu_ms} ms of processor time, of {all_ms}"))?;
    let resident = resident_bytes(broker.pid())?;
    let told = seen.broker_resident_bytes.unwrap_or(0);
    need(told > resident / 2 && told < resident * 2, || format!("{told} bytes in memory, the kernel says {resident}"))?;
    let heap = seen.jvm_heap_used_bytes.unwrap_or(0);
    need((1 << 20..=HEAP_BYTES_MAX).contains(&heap), || format!("{heap} bytes of heap"))?;
    let shares = [seen.handler_idle_share, seen.target_cpu_share].map(|it| it.unwrap_or(-1.0));
    need(shares.iter().all(|it| *it > 0.0 && *it <= 1.0), || format!("idle handlers, used processors: {shares:?}"))?;
    Ok(format!(
        "{cpu_ms} ms of processor time, {} MiB in memory, {} MiB of heap, handlers idle {:.2}",
        told >> 20,
        heap >> 20,
        shares[0]
    ))
}

/// The columns that exporters fill.
fn figures(row: &Row) -> [(&'static str, Option<f64>); 8] {
    [
        ("broker_cpu_ms", row.broker_cpu_ms),
        ("broker_resident_bytes", row.broker_resident_bytes.map(|it| it as f64)),
        ("jvm_heap_used_bytes", row.jvm_heap_used_bytes.map(|it| it as f64)),
        ("jvm_gc_ms", row.jvm_gc_ms),
        ("handler_idle_share", row.handler_idle_share),
        ("target_cpu_share", row.target_cpu_share),
        ("target_disk_mb_s", row.target_disk_mb_s),
        ("target_network_mb_s", row.target_network_mb_s),
    ]
}

/// What a sweep of one cell measures of the broker.
fn row(binary: &Path, folder: &Path, broker: &Broker, name: &str, more: &[String]) -> Result<Row, Fault> {
    let mut sweep = Command::new(binary);
    sweep.current_dir(folder).args(["sweep", "seen.toml", "--no-touch", "--name", name, "--results", name]);
    sweep.args(["--bootstrap-server", &broker.bootstrap()]).args(more);
    Running::start(sweep)?.finish(RUN_MAX)?.ended_with(0)?;
    let runs = std::fs::read_dir(folder.join(name)).map_err(|error| failed("a run's folder")(&error))?;
    let run = runs.flatten().next().ok_or_else(|| Fault::Failed("no run was kept".to_owned()))?;
    let rows = rows::read(&run.path().join("rows.csv")).map_err(|error| failed("the rows cannot be read")(&error))?;
    rows.into_iter().find(Row::is_measured).ok_or_else(|| Fault::Failed("no row has figures".to_owned()))
}

fn exporter(name: &str) -> Result<PathBuf, Fault> {
    let path = spec::peers().join("exporters").join(name);
    path.canonicalize()
        .map_err(|error| Fault::Failed(format!("{}: {error}; `scripts/peers fetch` gets it", path.display())))
}

/// One that nobody listens on a moment ago.
fn free_port() -> Result<u16, Fault> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    bound.map(|it| it.port()).map_err(|error| failed("a free port")(&error))
}

fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn comes(what: &str, mut is_there: impl FnMut() -> bool) -> Result<(), Fault> {
    let begin = Instant::now();
    while !is_there() {
        need(begin.elapsed() < COMES_MAX, || format!("{what} did not come within {COMES_MAX:?}"))?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn resident_bytes(pid: Option<u32>) -> Result<u64, Fault> {
    let pid = pid.ok_or_else(|| Fault::Failed("the broker does not run".to_owned()))?;
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| failed("its status")(&error))?;
    let kib = status.lines().find_map(|it| it.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|it| it << 10).ok_or_else(|| Fault::Failed("its memory is not known".to_owned()))
}

//! What the JSON documents of the tools have in common: percentiles, the host, the command without its secrets.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::cli::PerfError;
use crate::client::properties::{HIDDEN, is_secret};
use crate::host::HostFacts;
use crate::measure::hlog::{Hlog, Kind};
use crate::measure::ledger::Verdict;
use crate::measure::series::SecondSink;
use crate::measure::{LATENCY_NS_MAX, Latencies};

/// The percentiles that are told, where there are samples enough for them.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
/// Samples that must lie above a percentile: fewer make it the accident of a few records.
const SAMPLES_ABOVE: f64 = 10.0;

/// The percentiles of a histogram of nanoseconds that its samples carry, in microseconds.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Vec<(&'static str, f64)> {
    let samples = histogram.len() as f64;
    let enough = |(_, q): &&(&str, f64)| samples * (1.0 - q) >= SAMPLES_ABOVE - 1e-6;
    let at = |(name, q): &(&'static str, f64)| (*name, histogram.value_at_quantile(*q) as f64 / 1e3);
    PERCENTILES.iter().filter(enough).map(at).collect()
}

/// A histogram of nanoseconds as an object of microseconds.
pub(crate) fn latency(histogram: &Histogram<u64>) -> Value {
    let mut object = Map::new();
    object.insert("records".into(), json!(histogram.len()));
    if !histogram.is_empty() {
        object.insert("mean".into(), json!(histogram.mean() / 1e3));
        object.extend(percentiles(histogram).into_iter().map(|(name, us)| (name.to_owned(), json!(us))));
        object.insert("max".into(), json!(histogram.max() as f64 / 1e3));
    }
    Value::Object(object)
}

/// What of these latencies is not what it was, in records: see [`Latencies::ahead`] and [`Latencies::saturated`].
pub(crate) fn clamped(latencies: &Latencies) -> Value {
    json!({ "ahead": latencies.ahead, "saturated": latencies.saturated, "limit_s": LATENCY_NS_MAX / 1_000_000_000 })
}

/// The same as a line, where there is something to tell.
pub(crate) fn clamped_line(latencies: &Latencies) -> Option<String> {
    let Latencies { ahead, saturated, .. } = latencies;
    let days = LATENCY_NS_MAX / 1_000_000_000 / 86_400;
    (ahead + saturated > 0).then(|| {
        format!(
            "clocks: {ahead} records were dated ahead of this machine's clock and count as 0, \
             {saturated} were older than {days} days and count as that"
        )
    })
}

/// A line of the latency summary: `response: 50th 812.0 us, ..., max 9000.0 us, mean 900.0 us of 1000 records`.
pub(crate) fn latency_line(name: &str, histogram: &Histogram<u64>) -> String {
    if histogram.is_empty() {
        return format!("{name}: no record");
    }
    let parts: String = percentiles(histogram).iter().map(|(name, us)| format!("{name} {us:.1} us, ")).collect();
    let (max, mean) = (histogram.max() as f64 / 1e3, histogram.mean() / 1e3);
    format!("{name}: {parts}max {max:.1} us, mean {mean:.1} us of {} records", histogram.len())
}

/// The facts of this machine.
pub(crate) fn host() -> Value {
    json!(HostFacts::read(Path::new("/")))
}

/// The command as it was given, without the values of secrets.
pub(crate) fn command(verb: &str, args: &[String]) -> Vec<String> {
    let shown = |arg: &String| match secret_at(arg) {
        Some(at) => format!("{}={HIDDEN}", &arg[..at]),
        None => arg.clone(),
    };
    ["ringlog".to_owned(), verb.to_owned()].into_iter().chain(args.iter().map(shown)).collect()
}

/// Where the value of a secret begins: `name=value`, and `--option=name=value` as argparse4j has it too.
fn secret_at(arg: &str) -> Option<usize> {
    arg.match_indices('=').take(2).map(|(at, _)| at).find(|at| is_secret(&arg[..*at]))
}

/// A verdict as an object.
pub(crate) fn verdict(verdict: &Verdict, adds_up: bool) -> Value {
    json!({
        "adds_up": adds_up,
        "stamped": verdict.stamped,
        "acknowledged": verdict.acknowledged,
        "failed": verdict.failed,
        "aborted": verdict.aborted,
        "unknown": verdict.unknown,
        "read": verdict.read,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "out_of_order": verdict.out_of_order,
        "changed": verdict.corrupt,
        "unacknowledged_read": verdict.unacknowledged,
        "aborted_read": verdict.aborted_read,
        "of_others": verdict.foreign,
    })
}

/// A time as text: RFC 3339, to the millisecond.
pub(crate) fn time(wall_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(wall_ms).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A file that is written at the end of a run: whether it can be, told before the run. Nothing of it is changed.
// A file that the user names.
#[allow(clippy::disallowed_methods)]
pub(crate) fn check_writable(option: &str, path: &Path) -> Result<(), PerfError> {
    let is_new = !path.exists();
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|_| if is_new { std::fs::remove_file(path) } else { Ok(()) })
        .map_err(|error| {
            PerfError::Text(format!(
                "{option} {}: {error}; nothing was run: name a file in a folder that is there and can be written to",
                path.display()
            ))
        })
}

/// Makes the file of `--hdr-log`, or empties it, for a run that began at this time, milliseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "a file that the user names")]
pub(crate) fn hlog(path: &Path, started_ms: i64) -> Result<Hlog, PerfError> {
    let fail = |error: &dyn std::fmt::Display| PerfError::Text(format!("--hdr-log {error}"));
    let file = std::fs::File::create(path).map_err(|error| fail(&format!("{}: {error}", path.display())))?;
    let began = UNIX_EPOCH + Duration::from_millis(u64::try_from(started_ms).unwrap_or(0));
    Hlog::begin(path, file, began).map_err(|error| fail(&error))
}

/// Writes a run's seconds to its log as they are complete.
pub(crate) fn log_seconds<'a>(log: &'a mut Hlog, kinds: &'static [Kind]) -> SecondSink<'a> {
    Box::new(move |second, latencies| {
        let written = log.write("", Duration::from_secs(second), latencies, kinds);
        written.map_err(|error| PerfError::Text(format!("--hdr-log {error}")))
    })
}

/// Writes the document.
// A file that the user names.
#[allow(clippy::disallowed_methods)]
pub(crate) fn write(path: &Path, document: &Value) -> Result<(), PerfError> {
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    std::fs::write(path, text + "\n").map_err(|error| PerfError::Text(format!("--json {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    fn histogram(records: u64) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        (1..=records).for_each(|at| histogram.record(at * 1000).unwrap());
        histogram
    }

    #[test]
    fn a_percentile_is_told_only_where_ten_samples_lie_above_it() {
        let names = |records| percentiles(&histogram(records)).iter().map(|it| it.0).collect::<Vec<_>>().join(" ");
        assert_eq!(names(19), "");
        assert_eq!(names(1000), "p50 p90 p95 p99");
        assert_eq!(names(99_999), "p50 p90 p95 p99 p99.9");
        assert_eq!(names(100_000), "p50 p90 p95 p99 p99.9 p99.99");
    }

    // Files of the test's own.
    #[allow(clippy::disallowed_methods)]
    #[test]
    fn a_file_that_cannot_be_written_at_the_end_is_named_before_the_run_and_one_that_can_stays_as_it_is() {
        let folder = scratch("document-check");
        let (file, new) = (folder.join("kept.json"), folder.join("new.json"));
        write(&file, &json!({ "a": 1 })).unwrap();
        let before = std::fs::read(&file).unwrap();
        check_writable("--json", &file).unwrap();
        check_writable("--json", &new).unwrap();
        assert_eq!((std::fs::read(&file).unwrap(), new.exists()), (before, false));
        let missing = check_writable("--json", &folder.join("none/run.json")).unwrap_err().to_string();
        assert!(
            missing.starts_with("--json ") && missing.contains("/none/run.json: No such file or directory"),
            "{missing}"
        );
    }

    #[test]
    fn latencies_are_microseconds() {
        let value = latency(&histogram(1000));
        assert!((value["p50"].as_f64().unwrap() - 500.0).abs() < 1.0, "{value}");
        assert_eq!(value["records"], 1000);
        let line = latency_line("response", &histogram(20));
        assert_eq!(line, "response: p50 10.0 us, max 20.0 us, mean 10.5 us of 20 records");
        assert_eq!(latency_line("service", &histogram(0)), "service: no record");
    }

    #[test]
    fn what_was_bent_is_told_and_nothing_where_nothing_was() {
        let mut latencies = Latencies::new();
        latencies.aged(5, 3, 30);
        assert_eq!(clamped_line(&latencies), None);
        latencies.aged(-1, 2, 20);
        latencies.aged(i64::MAX, 1, 10);
        let line = clamped_line(&latencies).unwrap();
        assert!(
            line.starts_with("clocks: 2 records were dated ahead") && line.contains(", 1 were older than"),
            "{line}"
        );
        assert_eq!(clamped(&latencies), json!({ "ahead": 2, "saturated": 1, "limit_s": 366 * 86_400 }));
    }

    #[test]
    fn the_command_hides_secrets_and_nothing_else() {
        let shown =
            |args: &[&str]| command("v", &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).join(" ");
        let args = ["--topic", "t", "--producer-props", "sasl.jaas.config=x password=\"p\";", "acks=1"];
        assert_eq!(shown(&args), "ringlog v --topic t --producer-props sasl.jaas.config=[hidden] acks=1");
        assert_eq!(shown(&["ssl.keystore.key=-----BEGIN"]), "ringlog v ssl.keystore.key=[hidden]");
        assert_eq!(
            shown(&["--command-property=sasl.jaas.config=x"]),
            "ringlog v --command-property=sasl.jaas.config=[hidden]"
        );
        assert_eq!(shown(&["--command-property=acks=1"]), "ringlog v --command-property=acks=1");
    }
}

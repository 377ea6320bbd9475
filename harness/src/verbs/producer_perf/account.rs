//! After a run: what beyond the original's lines is printed and written.

use ringlog_io::Clock as _;
use serde_json::{Value, json};

use super::extras::Extras;
use super::options::Options;
use super::outcome::Shared;
use crate::cli::PerfError;
use crate::load::produce::Produced;
use crate::load::readback::Judged;
use crate::load::schedule::Arrivals;
use crate::load::sender::Lateness;
use crate::measure::effort::Efforts;
use crate::run::bottleneck::RATE_SHARE_MIN;
use crate::spec::PayloadSource;
use crate::verbs::extras::document::{self, latency, latency_line};

/// More late records than this share mean that the schedule was not kept.
const LATE_SHARE_MAX: f64 = 0.01;

/// What is known of a run at its end.
pub(crate) struct Account<'a> {
    pub(crate) options: &'a Options,
    pub(crate) extras: &'a Extras,
    pub(crate) args: &'a [String],
    /// The producer's settings with their defaults.
    pub(crate) config: &'a [(String, String)],
    pub(crate) seats: &'a [Option<usize>],
    pub(crate) started_ms: i64,
    pub(crate) efforts: Efforts,
    pub(crate) shared: &'a Shared,
    /// The original's lines.
    pub(crate) lines: &'a [String],
    pub(crate) elapsed_s: f64,
    /// Records a second that one client's generator makes with nothing behind it.
    pub(crate) ceiling: f64,
    pub(crate) signal: Option<u8>,
    pub(crate) produced: &'a Produced,
}

impl Account<'_> {
    fn rate(&self) -> f64 {
        self.produced.counts.done as f64 / self.elapsed_s
    }

    /// Whether the client and not the broker was what the numbers show: a thread near all of a core, and less done than
    /// was wanted.
    fn is_client_limited(&self) -> bool {
        let busy = self.efforts.is_busy();
        let target = self.options.throughput;
        let reached = target > 0.0 && self.rate() >= RATE_SHARE_MIN * target;
        let late_share = self.produced.lateness().late as f64 / self.produced.counts.sent.max(1) as f64;
        busy && (!reached || late_share > LATE_SHARE_MAX)
    }

    /// Lines after the original's.
    pub(crate) fn print(&self) {
        if self.extras.latency_summary {
            outln!("{}", latency_line("response", &self.produced.latencies.response));
            outln!("{}", latency_line("service", &self.produced.latencies.service));
            let failed = self.shared.totals().failures.records();
            outln!("{failed} records failed, {} records were sent again", self.produced.retried_records());
            let share = self.efforts.busiest().map_or_else(|| "unknown".to_owned(), |share| format!("{share:.2}"));
            outln!(
                "generator: {:.0} records/sec per client at most; the busiest client used {share} of a core",
                self.ceiling
            );
        }
        if self.extras.arrivals.is_some() {
            let Lateness { late, dropped } = self.produced.lateness();
            outln!(
                "open loop: {late} records were sent 1 ms or more after they were due, {dropped} were due and never sent (their response time is how long they waited)"
            );
        }
        if self.extras.measures() && self.is_client_limited() {
            outln!("{}", self.efforts.limit_line());
        }
    }

    /// Writes `--json`.
    pub(crate) fn write(&self, ledger: Judged) -> Result<(), PerfError> {
        self.extras.json.as_ref().map_or(Ok(()), |path| document::write(path, &self.document(ledger)))
    }

    fn document(&self, ledger: Judged) -> Value {
        json!({
            "tool": "producer-perf",
            "format": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "command": document::command("producer-perf", self.args),
            "started": document::time(self.started_ms),
            "signal": self.signal.map(|code| code - 128),
            "options": self.options_object(),
            "config": self.config.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "host": document::host(),
            "totals": self.totals(),
            "response_us": latency(&self.produced.latencies.response),
            "service_us": latency(&self.produced.latencies.service),
            "clamped": document::clamped(&self.produced.latencies),
            "client": {
                "cpu_s": self.efforts.cpu_s(),
                "busiest_thread_share": self.efforts.busiest(),
                "was_the_limit": self.is_client_limited(),
                "generator_ceiling_records_per_s": self.ceiling,
            },
            "seconds": self.produced.seconds,
            "ledger": ledger.map(|(verdict, adds_up)| document::verdict(&verdict, adds_up)),
            "failures": self.failures(),
            "summary": self.lines,
        })
    }

    fn options_object(&self) -> Value {
        let Extras { clients, duration, warmup, arrivals, .. } = self.extras;
        json!({
            "topic": self.options.topic,
            "num_records": self.options.known_records(),
            "throughput": (self.options.throughput >= 0.0).then_some(self.options.throughput),
            "payload": payload(&self.options.payload),
            "seed": self.options.seed,
            "clients": clients,
            "cores": self.seats,
            "duration_s": duration.map(|it| it.as_secs_f64()),
            "warmup_s": warmup.map(|it| it.as_secs_f64()),
            "warmup_records": self.options.warmup_records,
            "open_loop": arrivals.map(Arrivals::name),
        })
    }

    fn failures(&self) -> Value {
        let totals = self.shared.totals();
        totals.failures.kinds().iter().map(|(text, records)| json!({ "text": text, "records": records })).collect()
    }

    fn totals(&self) -> Value {
        let counts = &self.produced.counts;
        let Lateness { late, dropped } = self.produced.lateness();
        json!({
            "sent": counts.sent,
            "acknowledged": counts.done,
            "failed": self.shared.totals().failures.records(),
            "retried": self.produced.retried_records(),
            "bytes": counts.done_bytes,
            "elapsed_s": self.elapsed_s,
            "records_per_s": self.rate(),
            "mb_per_s": counts.done_bytes as f64 / 1e6 / self.elapsed_s,
            "late": late,
            "dropped": dropped,
        })
    }
}

/// What payloads are made of, under the names of the options.
fn payload(source: &PayloadSource) -> Value {
    match source {
        PayloadSource::Random(size) | PayloadSource::Prepared { bytes: size, .. } => json!({ "record_size": size }),
        PayloadSource::Monotonic => json!({ "payload_monotonic": true }),
        PayloadSource::File { path, delimiter, .. } => {
            json!({ "payload_file": path, "payload_delimiter": delimiter })
        }
    }
}

/// A moment on both clocks: the monotonic one in nanoseconds, the wall's in milliseconds since 1970.
pub(crate) fn moment() -> (u64, i64) {
    let clock = ringlog_io::SystemClock::new();
    (clock.read().0, clock.wall_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_and_arrivals_have_the_names_of_their_options() {
        let file = PayloadSource::File { path: "p".into(), delimiter: "\n".into(), compat: Default::default() };
        assert_eq!(payload(&file), json!({ "payload_file": "p", "payload_delimiter": "\n" }));
        assert_eq!(payload(&PayloadSource::Random(7)), json!({ "record_size": 7 }));
        assert_eq!(payload(&PayloadSource::Monotonic), json!({ "payload_monotonic": true }));
        assert_eq!([Arrivals::Constant, Arrivals::Poisson].map(Arrivals::name), ["constant", "poisson"]);
    }
}

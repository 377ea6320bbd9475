//! After a run: what beyond the original's rows is printed and written.

use serde_json::{Value, json};

use super::count::Shared;
use super::extras::Extras;
use super::options::{Options, Topics};
use crate::cli::PerfError;
use crate::load::consume::Consumed;
use crate::load::readback::Judged;
use crate::measure::effort::Efforts;
use crate::verbs::extras::document::{self, latency};

/// What is known of a run at its end.
pub(crate) struct Account<'a> {
    pub(crate) options: &'a Options,
    pub(crate) extras: &'a Extras,
    pub(crate) args: &'a [String],
    pub(crate) config: &'a [(String, String)],
    pub(crate) seats: &'a [Option<usize>],
    pub(crate) started_ms: i64,
    pub(crate) efforts: Efforts,
    pub(crate) consumed: &'a Consumed,
    pub(crate) shared: &'a Shared,
    pub(crate) elapsed_s: f64,
    pub(crate) signal: Option<u8>,
}

impl Account<'_> {
    fn is_client_limited(&self) -> bool {
        self.efforts.is_busy()
    }

    /// Lines after the original's.
    pub(crate) fn print(&self) {
        if let Some(line) = document::clamped_line(&self.consumed.latencies) {
            outln!("{line}");
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
        let read = self.shared.count().read;
        let Extras { clients, duration, .. } = self.extras;
        json!({
            "tool": "consumer-perf",
            "format": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "command": document::command("consumer-perf", self.args),
            "started": document::time(self.started_ms),
            "signal": self.signal.map(|code| code - 128),
            "options": {
                "topics": topics(self.options),
                "clients": clients,
                "cores": self.seats,
                "duration_s": duration.map(|it| it.as_secs_f64()),
            },
            "config": self.config.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "host": document::host(),
            "totals": {
                "read": read.records,
                "bytes": read.bytes,
                "elapsed_s": self.elapsed_s,
                "records_per_s": read.records as f64 / self.elapsed_s,
                "mb_per_s": read.bytes as f64 / 1e6 / self.elapsed_s,
                "rebalance_ms": self.shared.count().rebalance_ms,
            },
            "end_to_end_us": latency(&self.consumed.latencies.response),
            "clamped": document::clamped(&self.consumed.latencies),
            "client": {
                "cpu_s": self.efforts.cpu_s(),
                "busiest_thread_share": self.efforts.busiest(),
                "was_the_limit": self.is_client_limited(),
            },
            "seconds": self.consumed.seconds.iter().map(|row| json!({
                "second": row.second,
                "read": row.done,
                "mb": row.mb,
                "end_to_end_us": row.response_us,
            })).collect::<Vec<_>>(),
            "ledger": ledger.map(|(verdict, adds_up)| document::verdict(&verdict, adds_up)),
        })
    }
}

/// What is read, under the name of its option. An option given twice has ended the run before.
fn topics(options: &Options) -> Value {
    match options.topics() {
        Ok(Topics::One(topic)) => json!({ "topic": topic }),
        Ok(Topics::Matching(pattern)) => json!({ "include": pattern }),
        Err(reason) => json!({ "error": reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_have_the_name_of_their_option() {
        let of = |line: &str| {
            let line = format!("--bootstrap-server h:1 --num-records 1 {line}");
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            topics(&super::super::options::parse(&args).unwrap())
        };
        assert_eq!(of("--topic t"), json!({ "topic": "t" }));
        assert_eq!(of("--include t.*"), json!({ "include": "t.*" }));
    }
}

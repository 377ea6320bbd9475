//! Workloads of clients that are programs of their own: every one of them writes and reads as many records.
//!
//! Such a program is told a number of records, their size and settings. What it cannot be told (a time, a rate, keys) is refused
//! rather than left out.

use std::path::Path;

use super::workload::{MB, WorkloadError, load_set};
use super::{Kind, Workload};

/// Records of the run that stands for a client's start and end.
pub(crate) const START_RECORDS: u64 = 2000;

/// The profiles that are built in, in the order in which they run.
pub(super) const BUILT_IN: [(&str, &str); 4] = [
    ("client-produce-100", include_str!("../../../profiles/workloads/client-produce-100.toml")),
    ("client-consume-100", include_str!("../../../profiles/workloads/client-consume-100.toml")),
    ("client-produce-1k", include_str!("../../../profiles/workloads/client-produce-1k.toml")),
    ("client-consume-1k", include_str!("../../../profiles/workloads/client-consume-1k.toml")),
];

/// The built-in workloads of clients; a file of the same name in `dir` takes the place of one.
pub(crate) fn load(dir: Option<&Path>) -> Result<Vec<Workload>, WorkloadError> {
    let workloads = load_set(&BUILT_IN, dir)?;
    workloads.iter().try_for_each(Workload::check_for_a_client)?;
    Ok(workloads)
}

impl Workload {
    /// How many records a client writes in one round; an error where that is too few to stand out from its start.
    pub(crate) fn records_of_a_client(&self) -> Result<u64, WorkloadError> {
        let asked = self.records_max.unwrap_or(0);
        let within = self.megabytes_max.map(|most| most.saturating_mul(MB) / u64::from(self.record_bytes.max(1)));
        let records = within.map_or(asked, |within| asked.min(within));
        if records > START_RECORDS {
            return Ok(records);
        }
        let reason = format!(
            "{records} records are too few: a client writes so many as records_max says, which must be above the \
             {START_RECORDS} of the run that stands for its start (times --duration or --quick)"
        );
        Err(self.invalid(reason))
    }

    /// As many records as this share of the time has.
    #[must_use]
    pub(crate) fn with_records_scaled(mut self, factor: f64) -> Self {
        self.records_max = self.records_max.map(|it| (it as f64 * factor) as u64);
        self
    }

    fn check_for_a_client(&self) -> Result<(), WorkloadError> {
        let not_told = [
            ("kind = \"latency\"", self.kind == Kind::Latency),
            ("clients", self.clients != 1),
            ("record_size_dist", self.record_size_dist.is_some()),
            ("compressibility", self.compressibility.is_some()),
            ("keys", self.keys != "none"),
            ("warmup_s", self.warmup_s > 0.0 || self.warmup_s_max.is_some()),
            ("groups, catch_up or backlog_megabytes", self.groups + self.catch_up > 0 || self.backlog_megabytes > 0),
            ("[[event]]", !self.events.is_empty()),
        ];
        if let Some((key, _)) = not_told.into_iter().find(|it| it.1) {
            return Err(self.invalid(format!("a client of --client cannot be told {key}: leave it out")));
        }
        if self.kind == Kind::Produce { self.records_of_a_client().map(drop) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    #[test]
    fn every_client_writes_as_many_records_and_reads_them() {
        let workloads = load(None).unwrap();
        let records: Vec<Option<u64>> = workloads.iter().map(|it| it.records_of_a_client().ok()).collect();
        assert_eq!(records, [Some(4_000_000), None, Some(1_000_000), None]);
        assert_eq!(workloads[3].of.as_deref(), Some("client-produce-1k"));
        let few = workloads[2].clone().with_records_scaled(0.001);
        assert!(few.records_of_a_client().unwrap_err().to_string().contains("1000 records are too few"));
        let capped = Workload { megabytes_max: Some(10), ..workloads[2].clone() };
        assert_eq!(capped.records_of_a_client().unwrap(), 9765, "a warm-up has its share");
    }

    #[test]
    fn what_a_client_cannot_be_told_is_refused_by_name() {
        let dir = scratch("client-workloads");
        let refused = |line: &str| {
            let text = BUILT_IN[0].1.replace("partitions = 1", &format!("partitions = 1\n{line}"));
            std::fs::write(dir.join("client-produce-100.toml"), text).unwrap();
            load(Some(&dir)).unwrap_err().to_string()
        };
        assert!(refused("keys = \"sequence\"").contains("cannot be told keys"));
        assert!(refused("compressibility = 2.0").contains("compressibility"));
        assert!(refused("clients = 3").contains("clients"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

//! rows.csv: a row for each measured round of each target.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ResultsError, RunFolder};

/// The file's name within a run's folder.
pub const FILE: &str = "rows.csv";

/// One measured round. Units are last in the names; MB are 10^6 bytes; an empty cell means "not known here".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Version of these columns.
    pub schema: u32,
    /// When the round began, ISO 8601 in UTC.
    pub time: String,
    /// Name of the workload, as its profile names it.
    pub workload: String,
    /// `ringlog`, `kafka`, `null-receive` or `null-append`.
    pub target: String,
    /// Number of the round, from 1. Rounds of the same number ran one after the other.
    pub round: u32,
    /// Size of a record's value in bytes.
    pub record_bytes: u32,
    /// batch.size of the producer in bytes; empty for a consumer.
    pub batch_bytes: Option<u32>,
    /// Partitions of the topic.
    pub partitions: u32,
    /// Records a second that were asked for; empty where it was as fast as possible.
    pub rate_records_s: Option<f64>,
    /// Records acknowledged (produce) or read (consume) in the measured time.
    pub records: u64,
    /// Their values' bytes.
    pub bytes: u64,
    /// The measured time in seconds.
    pub seconds: f64,
    /// Bytes a second in units of 10^6.
    pub mb_s: f64,
    /// Records a second.
    pub records_s: f64,
    /// Response time (from the intended moment) that half of the records stayed below, in us.
    pub response_us_p50: Option<f64>,
    /// 99 of 100.
    pub response_us_p99: Option<f64>,
    /// 999 of 1000.
    pub response_us_p999: Option<f64>,
    /// The worst.
    pub response_us_max: Option<f64>,
    /// Service time (from the moment of sending), median in us.
    pub service_us_p50: Option<f64>,
    /// 99 of 100.
    pub service_us_p99: Option<f64>,
    /// 999 of 1000.
    pub service_us_p999: Option<f64>,
    /// Processor time of the broker's process in ms.
    pub broker_cpu_ms: Option<u64>,
    /// Processor time of our process in ms.
    pub client_cpu_ms: u64,
    /// Processor time of the whole machine in ms.
    pub machine_cpu_ms: u64,
    /// Share of a core that our busiest thread used, 0 to 1.
    pub client_core_share: f64,
    /// Time the hypervisor gave to others, in ms.
    pub steal_ms: u64,
    /// Time in which a task waited for a core (PSI), in us.
    pub pressure_cpu_us: Option<u64>,
    /// Time in which a task waited for a disk (PSI), in us.
    pub pressure_io_us: Option<u64>,
    /// Shards of the broker, where we started it.
    pub shards: Option<u32>,
    /// How the broker talks to the kernel (`uring`, `epoll`), where it says so.
    pub io: Option<String>,
    /// Records that were acknowledged and read back; empty where nothing is kept (null broker).
    pub ledger_verified_records: Option<u64>,
    /// What is to be known before this row is believed, e.g. `client-bound`; several are joined with `+`.
    pub notes: String,
}

/// Version of the columns above.
pub const SCHEMA: u32 = 1;

/// The header line that belongs to [`Row`].
#[must_use]
pub fn header() -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // A row of plain values into memory cannot fail; were it to, the header check would say so.
    let _ = writer.serialize(Row::default());
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned()
}

/// Writes all rows into a new file.
pub fn write(folder: &RunFolder, rows: &[Row]) -> Result<(), ResultsError> {
    let (path, file) = folder.new_file(FILE)?;
    let fail = |source| ResultsError::Csv { path: path.clone(), source };
    let mut writer = csv::Writer::from_writer(file);
    for row in rows {
        writer.serialize(row).map_err(fail)?;
    }
    writer.flush().map_err(ResultsError::io(&path))
}

/// Reads a file back. The header must be exactly ours.
pub fn read(path: &Path) -> Result<Vec<Row>, ResultsError> {
    let text = std::fs::read_to_string(path).map_err(ResultsError::io(path))?;
    let found = text.lines().next().unwrap_or_default();
    let expected = header();
    if found != expected {
        return Err(ResultsError::Header { path: path.to_owned(), found: found.to_owned(), expected });
    }
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    rows.map_err(|source| ResultsError::Csv { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    fn row() -> Row {
        Row {
            schema: SCHEMA,
            time: "2026-01-02T03:04:05Z".to_owned(),
            workload: "produce-1k".to_owned(),
            target: "ringlog".to_owned(),
            round: 2,
            records: 7,
            mb_s: 0.1 + 0.2,
            broker_cpu_ms: None,
            notes: "client-bound+steal".to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let dir = scratch("rows");
        let folder = RunFolder::create(&dir, "d", "h", "t").unwrap();
        write(&folder, &[row(), Row::default()]).unwrap();
        assert_eq!(read(&folder.path().join(FILE)).unwrap(), [row(), Row::default()]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_with_other_columns_is_refused_by_name() {
        let dir = scratch("header");
        let path = dir.join(FILE);
        std::fs::write(&path, header().replace("mb_s", "mib_s")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("mib_s") && error.contains("rows.csv"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_columns_are_those_of_schema_one() {
        assert!(header().starts_with("schema,time,workload,target,round,record_bytes,batch_bytes,partitions,"));
        assert_eq!(header().split(',').count(), 32, "a changed column needs a new SCHEMA: {}", header());
    }
}

//! Rows of older versions, as rows of this one. What an older version did not count stays empty.
//!
//! | begins with | whose | since |
//! |---|---|---|
//! | `schema` = 1 | `ringlog bench`, before the table of columns | 2026-11-21 |
//! | `pair,broker,shape` | the script versus-kafka, MB of 2^20 bytes | 2026-11-21 |
//! | `round,broker,job,client` | the script client-cost | 2026-11-21 |

use serde::Deserialize;

use super::columns::{Row, validity};

/// Bytes of the scripts' megabyte.
const MIB: f64 = 1_048_576.0;
/// Bytes of ours.
const MB: f64 = 1e6;
const MS: f64 = 1000.0;
/// The machine's time in schema 1 was a sample: it is not taken over.
const BENCH_1: &str = "schema,time,workload,target,round,record_bytes,batch_bytes,";
const VERSUS: &str = "pair,broker,shape,mb,seconds,mb_s,";
const CLIENT_COST: &str = "round,broker,job,client,records,bytes,seconds,cpu_s,";

/// The rows of a text whose first line is an older header; `None` where it is not.
pub(super) fn read(header: &str, text: &str) -> Option<Result<Vec<Row>, csv::Error>> {
    if header.starts_with(BENCH_1) {
        Some(rows::<Bench1>(text))
    } else if header.starts_with(VERSUS) {
        Some(rows::<Versus>(text))
    } else if header.starts_with(CLIENT_COST) {
        Some(rows::<ClientCost>(text))
    } else {
        None
    }
}

fn rows<T: for<'a> Deserialize<'a> + Into<Row>>(text: &str) -> Result<Vec<Row>, csv::Error> {
    csv::Reader::from_reader(text.as_bytes()).deserialize::<T>().map(|it| it.map(Into::into)).collect()
}

/// A row of schema 1.
#[derive(Deserialize)]
struct Bench1 {
    time: String,
    workload: String,
    target: String,
    round: u32,
    record_bytes: u32,
    batch_bytes: Option<u64>,
    partitions: u32,
    rate_records_s: Option<f64>,
    records: u64,
    bytes: u64,
    seconds: f64,
    mb_s: f64,
    records_s: f64,
    response_us_p50: Option<f64>,
    response_us_p99: Option<f64>,
    response_us_p999: Option<f64>,
    response_us_max: Option<f64>,
    service_us_p50: Option<f64>,
    service_us_p99: Option<f64>,
    service_us_p999: Option<f64>,
    broker_cpu_ms: Option<f64>,
    client_cpu_ms: f64,
    client_core_share: f64,
    steal_ms: u64,
    pressure_cpu_us: Option<f64>,
    pressure_io_us: Option<f64>,
    shards: Option<u32>,
    io: Option<String>,
    ledger_verified_records: Option<u64>,
    notes: String,
}

impl From<Bench1> for Row {
    fn from(old: Bench1) -> Self {
        let per_mb = |ms: f64| (old.bytes > 0).then(|| ms / (old.bytes as f64 / MB));
        let share = |us: Option<f64>| us.filter(|_| old.seconds > 0.0).map(|it| it / 1e6 / old.seconds);
        let is_null = old.target.starts_with("null-");
        Self {
            schema: 1,
            role: if is_null { "ceiling" } else { "subject" }.to_owned(),
            validity: validity::MEASURED.to_owned(),
            client_cpu_ms_per_mb: per_mb(old.client_cpu_ms),
            broker_cpu_ms_per_mb: old.broker_cpu_ms.and_then(per_mb),
            pressure_cpu_share: share(old.pressure_cpu_us),
            pressure_io_share: share(old.pressure_io_us),
            time: old.time,
            workload: old.workload,
            target: old.target,
            round: old.round,
            record_bytes: old.record_bytes,
            batch_size_bytes: old.batch_bytes,
            partitions: old.partitions,
            rate_records_s: old.rate_records_s,
            records: Some(old.records),
            bytes: Some(old.bytes),
            seconds: Some(old.seconds),
            mb_s: Some(old.mb_s),
            records_s: Some(old.records_s),
            response_us_p50: old.response_us_p50,
            response_us_p99: old.response_us_p99,
            response_us_p999: old.response_us_p999,
            response_us_max: old.response_us_max,
            service_us_p50: old.service_us_p50,
            service_us_p99: old.service_us_p99,
            service_us_p999: old.service_us_p999,
            broker_cpu_ms: old.broker_cpu_ms,
            client_cpu_ms: Some(old.client_cpu_ms),
            client_core_share: Some(old.client_core_share),
            steal_ms: Some(old.steal_ms),
            shards: old.shards,
            io: old.io,
            ledger_verified_records: old.ledger_verified_records,
            disturbances: old.notes,
            ..Self::default()
        }
    }
}

/// A row of versus-kafka: the broker's own time is kept, what was derived from the machine's sampled time is not.
#[derive(Deserialize)]
struct Versus {
    pair: u32,
    broker: String,
    shape: String,
    mb: f64,
    seconds: f64,
    client_s: f64,
    broker_s: f64,
}

impl From<Versus> for Row {
    fn from(old: Versus) -> Self {
        let bytes = old.mb * MIB;
        let ms_per_mb = |seconds: f64| seconds * MS / (bytes / MB);
        Self {
            schema: 1,
            role: "subject".to_owned(),
            validity: validity::MEASURED.to_owned(),
            workload: old.shape,
            target: old.broker,
            round: old.pair,
            record_bytes: 1024,
            partitions: 1,
            bytes: Some(bytes as u64),
            records: Some((bytes / 1024.0) as u64),
            seconds: Some(old.seconds),
            mb_s: Some(bytes / MB / old.seconds),
            records_s: Some(bytes / 1024.0 / old.seconds),
            client_cpu_ms: Some(old.client_s * MS),
            broker_cpu_ms: Some(old.broker_s * MS),
            client_cpu_ms_per_mb: Some(ms_per_mb(old.client_s)),
            broker_cpu_ms_per_mb: Some(ms_per_mb(old.broker_s)),
            ..Self::default()
        }
    }
}

/// A row of client-cost: the target is the client.
#[derive(Deserialize)]
struct ClientCost {
    round: u32,
    broker: String,
    job: String,
    client: String,
    records: u64,
    bytes: u32,
    seconds: f64,
    cpu_s: f64,
}

impl From<ClientCost> for Row {
    fn from(old: ClientCost) -> Self {
        let bytes = old.records * u64::from(old.bytes);
        let rate = |amount: f64| (old.seconds > 0.0).then(|| amount / old.seconds);
        Self {
            schema: 1,
            role: "subject".to_owned(),
            validity: validity::MEASURED.to_owned(),
            workload: old.job,
            target: format!("{}, client {}", old.broker, old.client),
            round: old.round,
            record_bytes: old.bytes,
            records: Some(old.records),
            bytes: Some(bytes),
            seconds: Some(old.seconds),
            mb_s: rate(bytes as f64 / MB),
            records_s: rate(old.records as f64),
            client_cpu_ms: Some(old.cpu_s * MS),
            client_cpu_ms_per_mb: Some(old.cpu_s * MS / (bytes as f64 / MB)),
            ..Self::default()
        }
    }
}

//! What a load asks of a whole cluster, from certain numbers. Every formula stands with its source.
//!
//! ```text
//!   W  = records/s x bytes / compression x peak            what producers send, MB/s on the wire
//!   in = W R          out = W (G + R - 1)                   R replicas, G groups          (Cloudera, AWS equation 1)
//!   disk writes = W R     disk reads = W L                  L groups that are behind      (Cloudera)
//!   stored = mean W x retention x R                         (handbook, without its / 0.7)
//! ```

use serde::Serialize;

use super::ask::Question;
use super::interval::Interval;
use super::model::Model;

/// Bytes of an MB.
const MB: f64 = 1e6;
/// Seconds of a day.
const DAY_S: f64 = 86_400.0;

/// What a plan does not know exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Records a second, mean.
    RecordsS,
    /// Bytes of a record.
    RecordBytes,
    /// Peak beside mean.
    PeakFactor,
    /// Retention.
    RetentionDays,
    /// Compression.
    CompressionRatio,
    /// Bytes of a batch.
    BatchBytes,
    /// Processor for each MB in.
    CpuIn,
    /// Processor for each MB replicated.
    CpuReplicated,
    /// Processor for each MB out.
    CpuOut,
    /// Processor for each record.
    CpuRecord,
    /// Processor for each batch.
    CpuBatch,
    /// Processor for each request.
    CpuRequest,
    /// Processor for TLS.
    CpuTls,
    /// Processor for the codec.
    CpuCodec,
    /// By how much the model misses settings that it has not seen, 1.
    Missed,
    /// What the profile says of its network, 1.
    Network,
    /// What the profile says of its disk, 1.
    Disk,
}

/// All of them, in the order of [`Inputs`].
pub const INPUTS: [Input; 17] = [
    Input::RecordsS,
    Input::RecordBytes,
    Input::PeakFactor,
    Input::RetentionDays,
    Input::CompressionRatio,
    Input::BatchBytes,
    Input::CpuIn,
    Input::CpuReplicated,
    Input::CpuOut,
    Input::CpuRecord,
    Input::CpuBatch,
    Input::CpuRequest,
    Input::CpuTls,
    Input::CpuCodec,
    Input::Missed,
    Input::Network,
    Input::Disk,
];

impl Input {
    /// What it is, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::RecordsS => "how many records there are",
            Self::RecordBytes => "bytes of a record",
            Self::PeakFactor => "the peak beside the mean",
            Self::RetentionDays => "retention",
            Self::CompressionRatio => "the compression ratio",
            Self::BatchBytes => "bytes of a batch",
            Self::CpuIn => "processor time for each MB in",
            Self::CpuReplicated => "processor time for each MB replicated",
            Self::CpuOut => "processor time for each MB out",
            Self::CpuRecord => "processor time for each record",
            Self::CpuBatch => "processor time for each batch",
            Self::CpuRequest => "processor time for each request",
            Self::CpuTls => "processor time of TLS",
            Self::CpuCodec => "processor time of the codec",
            Self::Missed => "how far the model misses what it has not seen",
            Self::Network => "the profile's network",
            Self::Disk => "the profile's disk",
        }
    }

    /// How to know it better.
    #[must_use]
    pub fn measure(self) -> &'static str {
        match self {
            Self::RecordsS | Self::PeakFactor => {
                "a week of MessagesInPerSec (mean and busiest minute) of what runs today"
            }
            Self::RecordBytes => "BytesInPerSec / MessagesInPerSec of what runs today, or a file of real records",
            Self::RetentionDays => "a decision, not a measurement",
            Self::CompressionRatio => {
                "`ringlog producer-perf --payload-file` with real records and the codec: wire bytes beside records"
            }
            Self::BatchBytes => "batch-size-avg of the producers (--print-metrics of producer-perf)",
            Self::CpuIn
            | Self::CpuReplicated
            | Self::CpuOut
            | Self::CpuRecord
            | Self::CpuBatch
            | Self::CpuRequest
            | Self::CpuTls
            | Self::CpuCodec
            | Self::Missed => {
                "`ringlog bench --target ..` or `ringlog sweep` on this hardware, then `ringlog fit FOLDER --out m.toml` and `ringlog plan --model m.toml`"
            }
            Self::Network => "iperf3 between two of these machines for an hour: what lasts after the burst",
            Self::Disk => {
                "fio on one of these machines (sequential writes, then fdatasync), and the figures into a profile: `ringlog profile add`"
            }
        }
    }
}

/// A certain value for each input.
#[derive(Clone, Copy, Debug)]
pub struct Inputs(pub [f64; INPUTS.len()]);

impl Inputs {
    /// One of them.
    #[must_use]
    pub fn get(&self, input: Input) -> f64 {
        self.0[input as usize]
    }
}

/// How sure each input is. The last two are the machine's.
#[must_use]
pub fn intervals(question: &Question, model: &Model, network: Interval, disk: Interval) -> [Interval; INPUTS.len()] {
    let cpu = &model.cpu;
    let codec = model.codec_ms_per_mb.get(&question.compression).copied();
    [
        question.records_s,
        question.record_bytes,
        question.peak_factor,
        question.retention_days,
        question.compression_ratio,
        question.batch_bytes,
        cpu.ms_per_mb_in,
        cpu.ms_per_mb_replicated.unwrap_or(cpu.ms_per_mb_in),
        cpu.ms_per_mb_out,
        cpu.us_per_record_in,
        cpu.us_per_batch_in,
        cpu.us_per_request,
        cpu.ms_per_mb_tls,
        codec.unwrap_or(Interval::known(0.0)),
        model.missed.map_or(Interval::known(1.0), |it| it.factor()),
        network,
        disk,
    ]
}

/// What the model does not have and this load needs: what stands in its place, for people.
#[must_use]
pub fn taken(question: &Question, model: &Model) -> Vec<String> {
    let mut taken = Vec::new();
    if question.replicas > 1 && model.cpu.ms_per_mb_replicated.is_none() {
        taken.push("the model has no cost of an MB replicated: it is taken as that of an MB in".to_owned());
    }
    let codec = question.compression.as_str();
    if codec != "none" && !model.codec_ms_per_mb.contains_key(codec) {
        taken.push(format!("the model has no cost of {codec} (codec_ms_per_mb): it is taken as nothing"));
    }
    if question.tls && model.cpu.ms_per_mb_tls == Model::published().cpu.ms_per_mb_tls {
        let cost = model.cpu.ms_per_mb_tls;
        taken.push(format!(
            "TLS was not measured: {cost} ms for each MB are what AES-GCM takes at 0.25 to 2 GB/s a core"
        ));
    }
    let of_each = [
        ("a record", model.cpu.us_per_record_in),
        ("a batch", model.cpu.us_per_batch_in),
        ("a request", model.cpu.us_per_request),
    ];
    let none: Vec<&str> = of_each.iter().filter(|it| it.1 == Interval::known(0.0)).map(|it| it.0).collect();
    if !none.is_empty() {
        taken.push(format!("the model has no cost of {}: it is taken as part of what an MB costs", none.join(", ")));
    }
    match &model.missed {
        Some(it) => taken.push(format!(
            "the model missed settings that it had not seen by less than {:.0} % in half the cases and by {:.0} % at worst; draws of \
             the processor are from {:.2} to {:.2} times its figure",
            it.median_share * 100.0,
            it.worst_share * 100.0,
            it.factor().low,
            it.factor().high
        )),
        None if model.is_measured() => {
            taken.push("the model does not say how far it misses settings that it has not seen ([missed])".to_owned());
        }
        None => {}
    }
    taken
}

/// What a cluster must do in its busiest time; MB are 10^6 bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Demand {
    /// Records a second.
    pub records_s: f64,
    /// Batches a second.
    pub batches_s: f64,
    /// W: what producers send.
    pub produced_mb_s: f64,
    /// The same on average.
    pub produced_mean_mb_s: f64,
    /// A day's records, one replica.
    pub day_gb: f64,
    /// Into all brokers.
    pub net_in_mb_s: f64,
    /// Out of all brokers.
    pub net_out_mb_s: f64,
    /// Onto all disks.
    pub disk_write_mb_s: f64,
    /// From all disks.
    pub disk_read_mb_s: f64,
    /// On all disks, replicas included.
    pub stored_gb: f64,
    /// Of all processors, thread-milliseconds a second.
    pub cpu_ms_s: f64,
    /// Leader partitions.
    pub partitions: f64,
}

impl Demand {
    /// From certain inputs.
    #[must_use]
    pub fn of(question: &Question, inputs: &Inputs) -> Self {
        let get = |it| inputs.get(it);
        let (replicas, groups) = (f64::from(question.replicas), f64::from(question.groups));
        let mean_mb_s = get(Input::RecordsS) * get(Input::RecordBytes) / get(Input::CompressionRatio) / MB;
        let produced = mean_mb_s * get(Input::PeakFactor);
        let records_s = get(Input::RecordsS) * get(Input::PeakFactor);
        // A record larger than a batch is a batch of its own.
        let batches_s = (produced * MB / get(Input::BatchBytes)).min(records_s);
        let (net_in, net_out) = (produced * replicas, produced * (groups + replicas - 1.0));
        let day_gb = mean_mb_s * DAY_S / 1e3;
        // At most: a batch in each request, and for each reader of it one that fetches it.
        let requests_s = batches_s * (groups + replicas);
        let tls_mb_s = if question.tls { net_in + net_out } else { 0.0 };
        let codec_mb_s = if question.compression == "none" { 0.0 } else { produced * get(Input::CompressionRatio) };
        let cpu_ms_s = produced * get(Input::CpuIn)
            + codec_mb_s * get(Input::CpuCodec)
            + produced * (replicas - 1.0) * get(Input::CpuReplicated)
            + net_out * get(Input::CpuOut)
            + records_s * get(Input::CpuRecord) / 1e3
            + batches_s * get(Input::CpuBatch) / 1e3
            + requests_s * get(Input::CpuRequest) / 1e3
            + tls_mb_s * get(Input::CpuTls);
        let cpu_ms_s = cpu_ms_s * get(Input::Missed);
        let by_rate =
            (produced / question.partition_in_mb_s).max(produced / question.partition_out_mb_s).ceil().max(1.0);
        Self {
            records_s,
            batches_s,
            produced_mb_s: produced,
            produced_mean_mb_s: mean_mb_s,
            day_gb,
            net_in_mb_s: net_in,
            net_out_mb_s: net_out,
            disk_write_mb_s: produced * replicas,
            disk_read_mb_s: produced * f64::from(question.lagging_groups),
            stored_gb: day_gb * get(Input::RetentionDays) * replicas,
            cpu_ms_s,
            partitions: question.partitions.map_or(by_rate, f64::from),
        }
    }
}

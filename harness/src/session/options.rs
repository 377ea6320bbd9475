//! Options that every measuring verb has: what is measured, where it lives and where its results are kept.

use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct TargetOptions {
    /// Measure this broker instead of starting one: HOST:PORT, several separated by commas.
    #[arg(long, value_name = "SERVERS")]
    pub bootstrap_server: Option<String>,

    /// Properties file of a client of that broker: security.protocol, ssl.*, sasl.*, as Kafka's tools take it.
    #[arg(long, value_name = "FILE", requires = "bootstrap_server")]
    pub command_config: Option<PathBuf>,

    /// Process of that broker, for its processor time (same machine only); several separated by commas.
    #[arg(long, value_name = "PID", requires = "bootstrap_server", value_delimiter = ',')]
    pub broker_pid: Vec<u32>,

    /// Prometheus endpoint that tells of that broker or of its machine (Kafka's JMX exporter, node exporter): its address, with
    /// http:// or https://. Given several times. What none of them has stays empty in the rows.
    #[arg(long, value_name = "URL", requires = "bootstrap_server", value_parser = endpoint)]
    pub metrics_from: Vec<String>,

    /// What that broker is called in results.
    #[arg(long, value_name = "NAME", default_value = "kafka", requires = "bootstrap_server")]
    pub name: String,

    /// Start and measure this: ringlog, ringlog:PATH (another binary), kafka:VERSION, kafka:FOLDER (of jars), 3xkafka:VERSION (a
    /// cluster of three nodes on this machine); NAME= before it gives it another name. Given several times, targets take turns.
    #[arg(long, value_name = "TARGET")]
    pub target: Vec<String>,

    /// A setting of each broker that is started; given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub r#override: Vec<(String, String)>,

    /// Replicas of each topic that asks for none itself. By default 1, as many as nodes (3 at most) on a cluster that is started,
    /// and on a broker that runs already its own default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..=32767))]
    pub replication_factor: Option<i16>,

    /// A setting of each topic; given several times. None is set unless it is asked for here.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub topic_config: Vec<(String, String)>,

    /// Megabytes (10^6) written to each broker before the first round. By default none, and 2000 to a JVM that is started.
    #[arg(long, value_name = "MB")]
    pub warm_up_mb: Option<u64>,

    /// Shards of a ringlog broker that is started. By default one fewer than there are cores: the client keeps one.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256), conflicts_with = "bootstrap_server")]
    pub shards: Option<u32>,

    /// How a started ringlog broker asks the kernel.
    #[arg(long, value_parser = ["auto", "uring", "epoll"], conflicts_with = "bootstrap_server")]
    pub io: Option<String>,
}

/// Where a run lives and is kept.
#[derive(Clone, Debug, clap::Args)]
pub struct PlaceOptions {
    /// Folder below which the fresh data folder is made; it is removed afterwards, and with it those of runs that were killed.
    #[arg(long, value_name = "DIR", default_value = "ringlog-data")]
    pub dir: PathBuf,

    /// Folder that keeps the results.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Go on with a run that was stopped: its folder. The other options must be those that it was started with.
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,

    /// Limit every broker that is started to a smaller machine: a hardware profile's name or file, KEY=VALUE over it, separated by
    /// commas (aws-t3-medium-gp3-125,memory_gib=2; cores=0.5,disk_write_mb_s=40). Keys are cores, memory_gib, disk_write_mb_s,
    /// disk_read_mb_s, disk_write_iops, disk_read_iops, network_gbps, fdatasync_us; native leaves one as it is. See
    /// harness/docs/emulate.md.
    #[arg(long, value_name = "PROFILE,KEY=VALUE")]
    pub emulate: Option<String>,

    /// What `ringlog probe` measured here: what is faster than that is refused. Without it, cores and memory alone are known.
    #[arg(long, value_name = "FILE", requires = "emulate")]
    pub emulate_host: Option<PathBuf>,

    /// Seed of what is random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Do not touch memory first: the first rounds then pay for pages that nobody used before.
    #[arg(long)]
    pub no_touch: bool,
}

/// `KEY=VALUE`.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let has_scheme = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme) && text.len() > scheme.len());
    has_scheme.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no address: take http://HOST:PORT/metrics"))
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    if key.is_empty() {
        return Err(format!("{text:?} has no key before its ="));
    }
    Ok((key.to_owned(), value.to_owned()))
}

//! Options of `ringlog plan`.

use std::path::PathBuf;

use crate::plan::ask::Ask;
use crate::session::{PlaceOptions, TargetOptions};

/// Which machines, how many, for this load, and what decides it; or with --reverse what machines carry.
///
/// Numbers that are not known exactly are LOW..MID..HIGH: 500..1000..2000.
#[derive(Debug, clap::Parser)]
#[command(name = "ringlog plan", after_help = EXIT_CODES)]
pub(super) struct Options {
    /// The load in TOML: keys are the options below with _ for -.
    pub file: Option<PathBuf>,

    #[command(flatten, next_help_heading = "The load")]
    pub ask: Ask,

    /// Plan with these machines only; `*` stands for anything. `ringlog profile list` shows all.
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Machines")]
    pub profiles: Vec<String>,

    /// Folder with hardware profiles of your own beside the built-in ones.
    #[arg(long, value_name = "DIR", help_heading = "Machines")]
    pub profile_dir: Option<PathBuf>,

    /// What work costs, as `ringlog fit` wrote it; without it, what others published, which is far apart.
    #[arg(long, value_name = "FILE", help_heading = "Machines")]
    pub model: Option<PathBuf>,

    /// Turn the question round: what do --brokers of this machine carry? The load's rate is then not used.
    #[arg(long, value_name = "PROFILE", help_heading = "Machines")]
    pub reverse: Option<String>,

    /// Brokers of --reverse.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=2000), help_heading = "Machines")]
    pub brokers: u32,

    /// Machines that are shown.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "What is told")]
    pub top: u32,

    /// Show other methods on this machine instead of the first that fits.
    #[arg(long, value_name = "PROFILE", help_heading = "What is told")]
    pub methods_of: Option<String>,

    /// Print one JSON document.
    #[arg(long, help_heading = "What is told")]
    pub json: bool,

    /// Write one HTML page, too: nothing is loaded from elsewhere.
    #[arg(long, value_name = "FILE", conflicts_with = "reverse", help_heading = "What is told")]
    pub html: Option<PathBuf>,

    /// Measure first what one partition takes and gives (Tp, Tc) with this load's records: on a broker that is started
    /// (--target) or runs (--bootstrap-server). About a minute; rows are kept as bench's are.
    #[arg(long, help_heading = "Measuring a partition")]
    pub measure_partition: bool,

    #[command(flatten, next_help_heading = "Measuring a partition")]
    pub targets: TargetOptions,

    #[command(flatten, next_help_heading = "Measuring a partition")]
    pub place: PlaceOptions,
}

const EXIT_CODES: &str =
    "Exit codes: 0 at least one machine fits; 1 a value, file or name is wrong; 2 wrong usage; 3 no machine fits.";

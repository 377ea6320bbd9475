//! Options of `ringlog plan`.

use std::path::PathBuf;

use crate::plan::ask::Ask;
use crate::session::{PlaceOptions, TargetOptions};

/// Which machines, how many, for this load, and what decides it; or with --reverse what machines carry.
///
/// Numbers that are not known exactly are LOW..MID..HIGH: 500..1000..2000.
#[derive(Debug, clap::Parser)]
#[command(name = "ringlog plan", after_help = EXIT_CODES, allow_negative_numbers = true)]
pub(super) struct Options {
    /// The load in TOML: keys are the options below with _ for -.
    pub file: Option<PathBuf>,

    #[command(flatten, next_help_heading = "The load")]
    pub ask: Ask,

    /// Plan with these machines only: names, in which `*` stands for anything, or files that end in .toml (what `ringlog probe` wrote).
    /// `ringlog profile list` shows all.
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Machines")]
    pub profiles: Vec<String>,

    /// Folder with hardware profiles of your own beside the built-in ones.
    #[arg(long, value_name = "DIR", help_heading = "Machines")]
    pub profile_dir: Option<PathBuf>,

    /// What work costs, as `ringlog fit` wrote it; without it, what others published, which is far apart.
    #[arg(long, value_name = "FILE", help_heading = "Machines")]
    pub model: Option<PathBuf>,

    /// The machine that --model was measured on, where it is another than the model says: a profile's name or a file that ends in
    /// .toml. What the probe measured on both moves the costs.
    #[arg(long, value_name = "PROFILE", requires = "model", help_heading = "Machines")]
    pub measured_on: Option<String>,

    /// Turn the question round: what do --brokers of this machine (a name or a file) carry? The load's rate is then not used; its
    /// retention binds where it was said.
    #[arg(long, value_name = "PROFILE", help_heading = "Machines")]
    pub reverse: Option<String>,

    /// Brokers of --reverse.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=2000), help_heading = "Machines")]
    pub brokers: u32,

    /// Machines that are shown.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "What is told")]
    pub top: u32,

    /// Show other methods on this machine (a name or a file) instead of the first that fits.
    #[arg(long, value_name = "PROFILE", help_heading = "What is told")]
    pub methods_of: Option<String>,

    /// Print one JSON document.
    #[arg(long, help_heading = "What is told")]
    pub json: bool,

    /// Write one HTML page, too: nothing is loaded from elsewhere.
    #[arg(long, value_name = "FILE", help_heading = "What is told")]
    pub html: Option<PathBuf>,

    /// Measure first what one partition takes and gives (Tp, Tc) with this load's records: on a broker that is started
    /// (--target) or runs (--bootstrap-server). About a minute; rows are kept as bench's are.
    #[arg(long, help_heading = "Measuring a partition")]
    pub measure_partition: bool,

    /// Say what --measure-partition would measure, and end.
    #[arg(long, requires = "measure_partition", help_heading = "Measuring a partition")]
    pub dry_run: bool,

    #[command(flatten, next_help_heading = "Measuring a partition")]
    pub targets: TargetOptions,

    #[command(flatten, next_help_heading = "Measuring a partition")]
    pub place: PlaceOptions,
}

const EXIT_CODES: &str = "Exit codes: 0 at least one machine fits; 1 a value, file or name is wrong; 2 wrong usage; 3 no machine fits; 130 interrupted.";

impl Options {
    /// The first option that is about measuring a partition where none is measured.
    pub(super) fn idle(&self) -> Option<&'static str> {
        let (targets, place) = (&self.targets, &self.place);
        let said = [
            ("--bootstrap-server", targets.bootstrap_server.is_some()),
            ("--target", !targets.target.is_empty()),
            ("--override", !targets.r#override.is_empty()),
            ("--replication-factor", targets.replication_factor.is_some()),
            ("--topic-config", !targets.topic_config.is_empty()),
            ("--warm-up-mb", targets.warm_up_mb.is_some()),
            ("--shards", targets.shards.is_some()),
            ("--io", targets.io.is_some()),
            ("--resume", place.resume.is_some()),
            ("--emulate", place.emulate.is_some()),
            ("--no-touch", place.no_touch),
        ];
        said.into_iter().find(|it| it.1 && !self.measure_partition).map(|it| it.0)
    }
}

//! Options of `ringlog history`.

use std::path::PathBuf;

use crate::stats::change::Sensitivity;

/// Since when? Changes of level in the rows of many runs, in the order of their time.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "ringlog history",
    after_help = "\
Exit codes: 0; 1 with --strict where a figure became worse; 2 wrong usage, or nothing to look at."
)]
pub(super) struct Options {
    /// Files of rows, folders of runs, or folders of such folders.
    #[arg(value_name = "RESULTS", default_value = "results")]
    pub results: Vec<PathBuf>,

    /// Columns to look at.
    #[arg(
        long,
        value_name = "COLUMN",
        value_delimiter = ',',
        default_value = "mb_s,response_us_p99,broker_cpu_ms_per_mb"
    )]
    pub metric: Vec<String>,

    /// A value for each run, the middle of its rounds, in place of one for each row.
    #[arg(long)]
    pub each_run: bool,

    /// Values that are looked at together.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub window: u16,

    /// A change is believed below this probability of it being none.
    #[arg(long, value_name = "P", default_value_t = 0.001, value_parser = probability)]
    pub p: f64,

    /// Steps up to this share of the level are left out.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub magnitude: f64,

    /// End with exit code 1 where a figure became worse.
    #[arg(long)]
    pub strict: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    pub(super) fn sensitivity(&self) -> Sensitivity {
        Sensitivity { window: usize::from(self.window), p_max: self.p, magnitude_min: self.magnitude }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err(format!("{value} is not between 0 and 1")) }
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.0..10.0).contains(&value) { Ok(value) } else { Err(format!("{value} is not from 0 to 10: 0.05 is 5 %")) }
}

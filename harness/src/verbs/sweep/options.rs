//! Options of `ringlog sweep`.

use crate::session::{PlaceOptions, TargetOptions};

/// Measures a broker, or several in turn, over every combination of settings that a file or a preset lists.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog sweep", after_help = AFTER)]
pub struct Options {
    /// A TOML file, an OpenMessaging workload (.yaml), or the name of a preset (--list).
    #[arg(value_name = "FILE|PRESET", required_unless_present_any = ["list", "show"])]
    pub sweep: Vec<String>,

    /// Say which presets there are, and end.
    #[arg(long)]
    pub list: bool,

    /// Print a preset's file, to be changed and given back, and end.
    #[arg(long, value_name = "PRESET")]
    pub show: Option<String>,

    /// Say what would be run, in which order and for how long, and end.
    #[arg(long)]
    pub dry_run: bool,

    /// Run only these parts of it; several separated by commas.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Seconds for all trials together. Times of warm-up and measurement are shortened to fit, and no trial begins after it.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub time_max: Option<u32>,

    /// Rounds of each cell, in place of the file's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// Measure the null brokers too, in the same rounds: what any broker could do here at most.
    #[arg(long)]
    pub yardstick: bool,

    /// What is measured.
    #[command(flatten)]
    pub targets: TargetOptions,

    /// Where it lives and is kept.
    #[command(flatten)]
    pub place: PlaceOptions,
}

const AFTER: &str = "\
Examples:
  ringlog sweep --list
  ringlog sweep course --dry-run
  ringlog sweep course --target ringlog --target kafka:4.3.1 --time-max 600
  ringlog sweep my.toml --bootstrap-server broker:9093 --command-config client.properties
  ringlog sweep course --resume results/2026-11-30-2c-24g-ext4-ringlog-sweep

Exit codes: 0 it came to its end, or the time was over (a trial without figures says why); 1 could not be measured, or ended
before its last trial, or a broker was gone (rows before that are kept); 2 wrong usage, or a file that cannot be run; 3 acknowledged records are missing, doubled, out of order
or changed (such a trial has no figures); 130 interrupted.";

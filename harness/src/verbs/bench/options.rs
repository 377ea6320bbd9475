//! Options of `ringlog bench`.

use std::path::PathBuf;

/// Measures a broker on this machine in about a minute. Without arguments: our own, in a fresh folder.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog bench", after_help = EXIT_CODES)]
pub struct Options {
    /// Measure this broker instead of starting one: HOST:PORT, several separated by commas.
    #[arg(long, value_name = "SERVERS")]
    pub bootstrap_server: Option<String>,

    /// Process of that broker, for its processor time (same machine only).
    #[arg(long, value_name = "PID", requires = "bootstrap_server")]
    pub broker_pid: Option<u32>,

    /// What that broker is called in results.
    #[arg(long, value_name = "NAME", default_value = "kafka", requires = "bootstrap_server")]
    pub target: String,

    /// About a quarter of the time: one round of each, for a look and not for the record.
    #[arg(long)]
    pub quick: bool,

    /// Measured seconds of all rounds together, about. The profiles' times are scaled to it.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub duration: Option<u32>,

    /// Shards of the broker that is started. By default one fewer than there are cores: the client keeps one.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256), conflicts_with = "bootstrap_server")]
    pub shards: Option<u32>,

    /// How the started broker asks the kernel.
    #[arg(long, value_parser = ["auto", "uring", "epoll"], conflicts_with = "bootstrap_server")]
    pub io: Option<String>,

    /// Folder below which the fresh data folder is made; it is removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "ringlog-data")]
    pub dir: PathBuf,

    /// Folder that keeps the results.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Folder with workload profiles that take the place of built-in ones of the same name.
    #[arg(long, value_name = "DIR")]
    pub workloads: Option<PathBuf>,

    /// Run only these workloads (a consume workload runs with the one that it reads).
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Leave the null broker out.
    #[arg(long)]
    pub no_yardstick: bool,

    /// Do not touch memory first: the first rounds then pay for pages that nobody used before.
    #[arg(long)]
    pub no_touch: bool,

    /// Print one JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
}

const EXIT_CODES: &str = "\
Exit codes: 0 measured; 1 could not be measured; 2 wrong usage; 3 acknowledged records are missing, doubled, out of
order or changed (no number is given out then); 130 interrupted.";

/// The rate in a quick run: this share of every time.
const QUICK_FACTOR: f64 = 0.6;

impl Options {
    /// The factor for the profiles' times and the most rounds of each, given the measured seconds of the whole plan.
    #[must_use]
    pub fn scale(&self, plan_s: f64) -> (f64, Option<u32>) {
        let rounds = self.quick.then_some(1);
        let factor = match self.duration {
            Some(wanted_s) if plan_s > 0.0 => f64::from(wanted_s) / plan_s,
            _ if self.quick => QUICK_FACTOR,
            _ => 1.0,
        };
        (factor, rounds)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("bench").chain(line.split_whitespace()))
    }

    #[test]
    fn no_arguments_are_enough() {
        let options = parse("").unwrap();
        assert_eq!((options.bootstrap_server, options.dir.to_str()), (None, Some("ringlog-data")));
    }

    #[test]
    fn shards_are_those_of_a_broker_that_we_start() {
        assert!(parse("--shards 2").is_ok());
        assert!(parse("--shards 2 --bootstrap-server a:1").is_err());
        assert!(parse("--broker-pid 7").is_err(), "a pid belongs to a broker that runs already");
    }

    #[test]
    fn a_duration_scales_the_profiles_and_quick_cuts_the_rounds() {
        assert_eq!(parse("").unwrap().scale(40.0), (1.0, None));
        assert_eq!(parse("--duration 80").unwrap().scale(40.0), (2.0, None));
        assert_eq!(parse("--quick").unwrap().scale(40.0), (QUICK_FACTOR, Some(1)));
    }
}

//! Options of `ringlog bench`.

use std::path::PathBuf;
use std::time::Duration;

use crate::run::Rounds;
use crate::session::{PlaceOptions, TargetOptions};

/// Measures brokers on this machine in a minute or two. Without arguments: our own, in a fresh folder.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog bench", after_help = EXIT_CODES)]
pub struct Options {
    /// What is measured.
    #[command(flatten)]
    pub targets: TargetOptions,

    /// About a quarter of the time: one round of each, for a look and not for the record.
    #[arg(long)]
    pub quick: bool,

    /// Measured seconds of the least rounds together, about. The profiles' times are scaled to it.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub duration: Option<u32>,

    /// Rounds go on until the interval of each rate (95 %) is this wide to either side at most, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent)]
    pub interval: f64,

    /// Or until so many seconds are over; each workload has its share. Least rounds are always run.
    #[arg(long, value_name = "SECONDS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub time_max: u32,

    /// Or until there were so many rounds of a workload.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds_max: u32,

    /// Where it lives and is kept.
    #[command(flatten)]
    pub place: PlaceOptions,

    /// Folder with workload profiles that take the place of built-in ones of the same name.
    #[arg(long, value_name = "DIR")]
    pub workloads: Option<PathBuf>,

    /// Run only these workloads (a consume workload runs with the one that it reads).
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Measure this client instead: ringlog or ringlog:PATH (the perf tools), kafka:VERSION (Kafka's), librdkafka:PATH (what
    /// scripts/client-cost compiles). Each is a process on the client's core, of which the processor time for each record is
    /// told. Given several times, clients take turns against the one target, with workloads of their own and no null broker.
    #[arg(long, value_name = "CLIENT")]
    pub client: Vec<String>,

    /// Leave the null broker out.
    #[arg(long)]
    pub no_yardstick: bool,

    /// Say what would be measured, for how long at least and on which machine, and end.
    #[arg(long)]
    pub dry_run: bool,

    /// Print one JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
}

const EXIT_CODES: &str = "\
Exit codes: 0 measured; 1 could not be measured, or ended before its last trial (rows before that are kept); 2 wrong usage;
3 acknowledged records are missing, doubled, out of order or changed (such a trial has no figures); 130 interrupted.";

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

    /// When there are enough rounds. A quick run has one of each.
    #[must_use]
    pub fn rounds(&self) -> Rounds {
        Rounds {
            half_width_max: self.interval / 100.0,
            rounds_max: if self.quick { 1 } else { self.rounds_max },
            time_max: Duration::from_secs(u64::from(self.time_max)),
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if value > 0.0 && value <= 100.0 { Ok(value) } else { Err(format!("{value} is not above 0 and at most 100")) }
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
        assert_eq!((options.targets.bootstrap_server, options.place.dir.to_str()), (None, Some("ringlog-data")));
    }

    #[test]
    fn shards_are_those_of_a_broker_that_we_start() {
        assert!(parse("--shards 2").is_ok());
        assert!(parse("--shards 2 --bootstrap-server a:1").is_err());
        assert!(parse("--broker-pid 7").is_err(), "a pid belongs to a broker that runs already");
        assert!(parse("--command-config x").is_err(), "a client's file belongs to one too");
    }

    #[test]
    fn a_duration_scales_the_profiles_and_quick_cuts_the_rounds() {
        assert_eq!(parse("").unwrap().scale(40.0), (1.0, None));
        assert_eq!(parse("--duration 80").unwrap().scale(40.0), (2.0, None));
        assert_eq!(parse("--quick").unwrap().scale(40.0), (QUICK_FACTOR, Some(1)));
        assert_eq!(parse("--quick").unwrap().rounds().rounds_max, 1);
    }

    #[test]
    fn settings_are_pairs_and_an_interval_is_a_percentage() {
        let options = parse("--override a=b=c --topic-config x=").unwrap();
        assert_eq!(options.targets.r#override, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(options.targets.topic_config, [("x".to_owned(), String::new())]);
        assert!(parse("--override a").unwrap_err().to_string().contains("not KEY=VALUE"));
        assert!(parse("--interval 0").unwrap_err().to_string().contains("above 0"));
        assert_eq!(parse("--interval 2.5").unwrap().rounds().half_width_max, 0.025);
    }
}

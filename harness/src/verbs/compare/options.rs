//! Options of `ringlog compare`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::exit::{CompareError, EXIT_CODES};
use crate::session::PlaceOptions;
use crate::session::options::pair;
use crate::verdict::{metrics, rule};

/// Did it become slower? Side A is the one before, side B the one after.
///
/// A side is ringlog, ringlog:PATH (another binary), kafka:VERSION, kafka:FOLDER (of jars) or HOST:PORT (a broker that runs);
/// NAME= before it gives it another name. One side alone is compared with itself, under the --a-.. and --b-.. settings.
/// Folders of results are compared without measuring: one of a comparison, or two (FOLDER or FOLDER:TARGET).
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog compare", after_help = EXIT_CODES)]
pub(super) struct Options {
    /// Side A and side B.
    #[arg(value_name = "SIDE", num_args = 1..=2, required_unless_present = "power")]
    pub sides: Vec<String>,

    /// Both sides are the one that is named: what this machine makes of no difference, and what a sensitivity costs.
    #[arg(long)]
    pub aa: bool,

    /// Pairs at most, 6 or more; it ends before where the verdict is certain.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(rule::PAIRS_MIN as i64..=200))]
    pub pairs: u32,

    /// No pair begins that would end after this: 90 (seconds), 90s, 10m, 2h.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub budget: Duration,

    /// Measure every pair, whatever the pairs before say. --aa does.
    #[arg(long)]
    pub all_pairs: bool,

    /// Workloads, built in or of --workloads.
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "produce-1k,latency")]
    pub only: Vec<String>,

    /// Folder with workload profiles that take the place of built-in ones of the same name.
    #[arg(long, value_name = "DIR")]
    pub workloads: Option<PathBuf>,

    /// Measured seconds of each workload in each turn, in place of the profiles'; warm-ups stay.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<f64>,

    /// A key of the workloads on both sides, as profiles have it: record_bytes=100, producer.linger.ms=20.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,

    /// The same on side A alone.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub a_set: Vec<(String, String)>,

    /// The same on side B alone.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub b_set: Vec<(String, String)>,

    /// A setting of the brokers that are started.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub r#override: Vec<(String, String)>,

    /// The same on side A alone.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub a_override: Vec<(String, String)>,

    /// The same on side B alone.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub b_override: Vec<(String, String)>,

    /// A setting of each topic.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub topic_config: Vec<(String, String)>,

    /// Properties file of a client of a broker that runs already.
    #[arg(long, value_name = "FILE")]
    pub command_config: Option<PathBuf>,

    /// Processes of side A where it runs already, for its processor time.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub a_pid: Vec<u32>,

    /// Processes of side B.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub b_pid: Vec<u32>,

    /// Shards of ringlog brokers that are started.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub shards: Option<u32>,

    /// Megabytes (10^6) written to each broker before the first pair. By default none, and 2000 to a JVM that is started.
    #[arg(long, value_name = "MB")]
    pub warm_up_mb: Option<u64>,

    /// A change of this column matters beyond so much: mb_s=3%. A column that is not judged by itself is judged then; none
    /// takes one out: mb_s=none.
    #[arg(long, value_name = "COLUMN=PERCENT", value_parser = pair)]
    pub threshold: Vec<(String, String)>,

    /// Raise thresholds to what this machine's noise wants: the folder of an --aa run.
    #[arg(long, value_name = "FOLDER")]
    pub noise: Option<PathBuf>,

    /// Limits that side B must keep: a TOML file of [[gate]].
    #[arg(long, value_name = "FILE")]
    pub gates: Option<PathBuf>,

    /// With --aa: what pairs a change of so much costs, beside 5, 10 and 25 %.
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "aa")]
    pub sensitivity: Option<f64>,

    /// Error rates and power of the rule, by comparisons drawn from the rows of --aa runs.
    #[arg(long, value_name = "FOLDER", num_args = 1.., conflicts_with = "sides")]
    pub power: Option<Vec<PathBuf>>,

    /// Drawn comparisons for each figure of --power.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub runs: u32,

    /// Where it lives and is kept.
    #[command(flatten)]
    pub place: PlaceOptions,

    /// Say what would be measured and how long it takes at most, and end.
    #[arg(long)]
    pub dry_run: bool,

    /// Print one JSON document instead of the table.
    #[arg(long)]
    pub json: bool,

    /// Write the verdict as Markdown too: $GITHUB_STEP_SUMMARY, a comment.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Names of the options that stand in the command line.
    #[arg(skip)]
    pub given: Vec<String>,
}

/// What is asked of rows that are kept; every other option says how rows are made.
const OF_KEPT: [&str; 8] = ["sides", "threshold", "noise", "gates", "aa", "sensitivity", "json", "markdown"];
const OF_POWER: [&str; 3] = ["power", "runs", "seed"];

impl Options {
    /// With the names of the options in the command line.
    pub(super) fn with_given(self, args: &[String]) -> Self {
        let command = <Self as clap::CommandFactory>::command();
        let argv = std::iter::once("compare").chain(args.iter().map(String::as_str));
        // These arguments were parsed a moment ago.
        let Ok(matches) = command.clone().try_get_matches_from(argv) else { return self };
        let names = command.get_arguments().map(|it| it.get_id().to_string());
        let is_given = |it: &String| matches.value_source(it) == Some(clap::parser::ValueSource::CommandLine);
        Self { given: names.filter(is_given).collect(), ..self }
    }

    /// Refuses options that have nothing to say where rows are kept: whoever gives them expects something to be measured.
    pub(super) fn measures_nothing(&self) -> Result<(), CompareError> {
        let own: &[&str] = if self.power.is_some() { &OF_POWER } else { &OF_KEPT };
        let foreign: Vec<String> = self.given.iter().filter(|it| !own.contains(&it.as_str())).cloned().collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let names = foreign.iter().map(|it| format!("--{}", it.replace('_', "-"))).collect::<Vec<_>>().join(", ");
        let words = "say how something is measured, and these rows were measured before: leave them out, or name sides to measure";
        Err(CompareError::Usage(format!("{names} {words}")))
    }

    /// Whether pairs end where the verdict is certain.
    pub(super) fn stops_early(&self) -> bool {
        !self.all_pairs && !self.aa
    }

    /// The thresholds that were asked for.
    pub(super) fn thresholds(&self) -> Result<BTreeMap<&'static str, Option<f64>>, CompareError> {
        let of = |(name, text): &(String, String)| {
            let column = metrics::named(name).map_err(|error| CompareError::Usage(format!("--threshold {error}")))?;
            let share = match text.as_str() {
                "none" => None,
                text => Some(percent(text).map_err(|why| CompareError::Usage(format!("--threshold {name}: {why}")))?),
            };
            Ok((column, share))
        };
        self.threshold.iter().map(of).collect()
    }

    /// What the manifest keeps of the question.
    pub(super) fn asked(&self) -> toml::Table {
        let list = |all: &[(String, String)]| {
            toml::Value::Array(all.iter().map(|(key, value)| format!("{key}={value}").into()).collect())
        };
        let keys = [
            ("a_set", list(&self.a_set)),
            ("b_set", list(&self.b_set)),
            ("a_override", list(&self.a_override)),
            ("b_override", list(&self.b_override)),
            ("pairs", i64::from(self.pairs).into()),
            ("budget_s", self.budget.as_secs_f64().into()),
            ("aa", self.aa.into()),
        ];
        keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// `90`, `90s`, `10m`, `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("{other:?} is no unit of time: 90s, 10m or 2h")),
    };
    let value: f64 = digits.parse().map_err(|_| format!("{text:?} is no time: 90s, 10m or 2h"))?;
    let seconds = value * factor;
    if seconds > 0.0 && seconds <= 604_800.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{text} is not above 0 and at most a week (168h)"))
    }
}

/// `5%` or `5`, as a share.
fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim_end_matches('%').parse().map_err(|_| format!("{text:?} is no percentage"))?;
    if value > 0.0 && value <= 1000.0 {
        Ok(value / 100.0)
    } else {
        Err(format!("{text} is not above 0 and at most 1000 %"))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if value > 0.0 && value <= 3600.0 { Ok(value) } else { Err(format!("{value} is not above 0 and at most 3600")) }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    pub(in super::super) fn parsed(line: &str) -> Options {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let argv = std::iter::once("compare").chain(args.iter().map(String::as_str));
        Options::try_parse_from(argv).unwrap().with_given(&args)
    }

    #[test]
    fn fewer_pairs_than_say_anything_are_refused_at_once() {
        let refused = Options::try_parse_from(["compare", "ringlog", "--pairs", "4"]).unwrap_err().to_string();
        assert!(refused.contains("4 is not in 6..=200"), "{refused}");
    }

    #[test]
    fn options_of_measuring_are_refused_where_rows_are_kept() {
        let refused = |line: &str| parsed(line).measures_nothing().unwrap_err().to_string();
        assert!(
            refused("x --pairs 8 --a-set acks=all").starts_with("--pairs, --a-set say how"),
            "{}",
            refused("x --pairs 8 --a-set acks=all")
        );
        for option in ["--pairs 20", "--emulate cores=1", "--dry-run", "--resume f", "--only latency", "--override a=b"]
        {
            let told = refused(&format!("x {option}"));
            assert!(told.starts_with(option.split(' ').next().unwrap()), "{told}");
        }
        assert!(parsed("x y --threshold mb_s=3% --json --gates g --markdown m --noise n").measures_nothing().is_ok());
        assert!(parsed("--power x --runs 30 --seed 2").measures_nothing().is_ok());
        assert!(refused("--power x --json").starts_with("--json"));
    }

    #[test]
    fn times_and_percentages_have_units_and_limits() {
        assert_eq!(["90", "90s", "10m", "0.5h"].map(|it| time(it).unwrap().as_secs()), [90, 90, 600, 1800]);
        assert!(time("10d").unwrap_err().contains("90s, 10m or 2h"));
        assert!(time("0").unwrap_err().contains("above 0"));
        assert_eq!((percent("5%"), percent("2.5")), (Ok(0.05), Ok(0.025)));
        assert!(percent("x").is_err() && percent("0").is_err());
    }

    #[test]
    fn thresholds_name_columns_and_may_take_one_out() {
        let options = parsed("a b --threshold mb_s=3% --threshold response_us_p99=none");
        let thresholds = options.thresholds().unwrap();
        assert_eq!((thresholds["mb_s"], thresholds["response_us_p99"]), (Some(0.03), None));
        let told = parsed("a b --threshold mbs=3").thresholds().unwrap_err().to_string();
        assert!(told.contains("did you mean mb_s"), "{told}");
    }

    #[test]
    fn sides_are_asked_for_unless_nothing_is_measured() {
        assert!(Options::try_parse_from(["compare"]).is_err());
        assert!(Options::try_parse_from(["compare", "a", "b", "c"]).is_err());
        assert!(parsed("--power x y").power.is_some_and(|it| it.len() == 2));
        assert!(!parsed("a --aa").stops_early() && parsed("a b").stops_early());
    }
}

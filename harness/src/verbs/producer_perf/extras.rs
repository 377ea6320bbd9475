//! The options that kafka-producer-perf-test does not have, and what goes with what.

use std::path::PathBuf;
use std::time::Duration;

use super::options::Options;
use crate::load::schedule::Arrivals;
use crate::load::shapes::{KeyShape, Sizes};
use crate::measure::ledger::STAMP_LEN;
use crate::spec::{PayloadSource, StampPlace};
use crate::verbs::extras::args::{Extra, Taken, extra};

/// `--warmup` is not among them: to the original that is an abbreviation of `--warmup-records`.
pub(crate) const EXTRAS: &[Extra] = &[
    extra(
        "--clients",
        "N",
        "so many producers, each on a thread of its own that is pinned to a core (client 0 to the last core, client 1 to \
         the one before, ..); they share the records and the rate, and one summary counts them all (default: 1, not pinned)",
    ),
    extra("--duration", "SECONDS", "ends the run after so long; --num-records may then be left out"),
    extra(
        "--open-loop",
        "",
        "records are due by a schedule that is fixed at the start and waits for nobody; response times count from there; \
         needs --throughput above 0",
    ),
    extra("--arrivals", "constant|poisson", "the gaps of the open loop's schedule (default: constant)"),
    extra("--warmup-seconds", "SECONDS", "as --warmup-records, by time: the steady state is measured apart"),
    extra("--record-size-dist", "DIST", "payload sizes: fixed:N, uniform:MIN..MAX or normal:MEAN,SD[,MIN..MAX]"),
    extra("--compressibility", "RATIO", "payloads that zstd makes smaller by about this ratio (1: not at all)"),
    extra("--keys", "DIST", "keys: none, sequence, uniform:N or zipf:N,S"),
    extra("--latency-summary", "", "more lines: response and service times in microseconds, failures, retries, limits"),
    extra("--json", "FILE", "everything about the run in one document: options, settings, host, series, percentiles"),
    extra("--hdr-log", "FILE", "HdrHistogram interval log: a histogram per second of response and of service times"),
    extra("--ledger", "FILE", "stamps each record, and keeps what was acknowledged, for consumer-perf --ledger"),
    extra("--verify", "", "stamps each record, reads the topic back at the end and says whether it adds up"),
    extra(
        "--ledger-stamp",
        "payload|header",
        "where that stamp is: in the first 16 bytes of the payload, or in the record header ringlog.ledger, which leaves \
         payloads as they are (default: payload; header for --payload-file, --payload-monotonic and below 16 bytes)",
    ),
    extra("--strict", "", "exit code 1 if any send failed"),
    extra("--progress", "", "shows what is going on, on standard error"),
];

/// What was asked for beyond the original.
#[derive(Clone, Debug)]
pub(crate) struct Extras {
    pub(crate) clients: usize,
    pub(crate) pinned: bool,
    pub(crate) duration: Option<Duration>,
    /// An open loop's.
    pub(crate) arrivals: Option<Arrivals>,
    pub(crate) warmup: Option<Duration>,
    pub(crate) sizes: Option<Sizes>,
    pub(crate) ratio: Option<f64>,
    pub(crate) keys: Option<KeyShape>,
    pub(crate) latency_summary: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) hdr_log: Option<PathBuf>,
    pub(crate) ledger: Option<PathBuf>,
    pub(crate) verify: bool,
    /// Where the stamp is to be.
    pub(crate) stamp_wish: Option<StampPlace>,
    pub(crate) strict: bool,
    pub(crate) progress: bool,
}

impl Extras {
    pub(crate) fn new(taken: &Taken) -> Result<Self, String> {
        let (clients, pinned) = taken.clients()?;
        Ok(Self {
            clients,
            pinned,
            duration: taken.seconds("--duration")?,
            arrivals: arrivals(taken)?,
            warmup: taken.seconds("--warmup-seconds")?,
            sizes: taken.text("--record-size-dist").map(Sizes::parse).transpose()?,
            ratio: taken.number("--compressibility", (1.0, 1000.0))?,
            keys: taken.text("--keys").map(KeyShape::parse).transpose()?,
            latency_summary: taken.has("--latency-summary"),
            json: taken.path("--json"),
            hdr_log: taken.path("--hdr-log"),
            ledger: taken.path("--ledger"),
            verify: taken.has("--verify"),
            stamp_wish: stamp_wish(taken)?,
            strict: taken.has("--strict"),
            progress: taken.has("--progress"),
        })
    }

    /// The arguments as the original's parser is to see them: what an extra makes optional stands in front, where a
    /// later one of the user's wins.
    pub(crate) fn complete(&self, left: Vec<String>) -> Vec<String> {
        let mut args = Vec::new();
        let mut put = |name: &str, value: String| args.extend([name.to_owned(), value]);
        if self.duration.is_some() {
            put("--num-records", i64::MAX.to_string());
        }
        if let Some(sizes) = self.sizes {
            put("--record-size", sizes.max().to_string());
        }
        args.extend(left);
        args
    }

    /// What cannot be together with the original's options.
    pub(crate) fn check(&self, options: &Options) -> Result<(), String> {
        let is_random = matches!(options.payload, PayloadSource::Random(_));
        let has_room = self.has_room(options);
        let wants_payload = self.stamp_wish == Some(StampPlace::Payload);
        let has_keys = options.keys != crate::spec::Keys::None;
        let rules = [
            (
                self.arrivals.is_none() || (options.throughput > 0.0 && options.throughput.is_finite()),
                format!(
                    "--open-loop needs a rate: --throughput {} is none; give records per second",
                    options.throughput
                ),
            ),
            (self.ratio.is_none() || is_random, "--compressibility needs --record-size or --record-size-dist.".into()),
            (self.keys.is_none() || !has_keys, "--keys and --key-distribution cannot be specified together.".into()),
            (
                self.warmup.is_none() || options.warmup_records == 0,
                "--warmup-seconds and --warmup-records cannot be specified together.".into(),
            ),
            (
                self.warmup.zip(self.duration).is_none_or(|(warmup, duration)| warmup < duration),
                "--warmup-seconds must be shorter than --duration.".into(),
            ),
            (
                self.stamp_wish.is_none() || self.stamps(),
                "--ledger-stamp says where the stamp of --ledger and --verify is: give one of them too.".into(),
            ),
            (
                !wants_payload || has_room,
                format!(
                    "--ledger-stamp payload needs random payloads of {STAMP_LEN} bytes or more; use --ledger-stamp header, \
                     which leaves payloads as they are."
                ),
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, text)| Err(text))
    }

    /// Whether records carry a ledger's stamps.
    pub(crate) fn stamps(&self) -> bool {
        self.verify || self.ledger.is_some()
    }

    /// Where their stamps are: not in payloads that somebody chose, or that are too short.
    pub(crate) fn stamp_place(&self, options: &Options) -> Option<StampPlace> {
        let chosen = if self.has_room(options) { StampPlace::Payload } else { StampPlace::Header };
        self.stamps().then(|| self.stamp_wish.unwrap_or(chosen))
    }

    /// Whether every payload is random and takes a stamp.
    fn has_room(&self, options: &Options) -> bool {
        match (self.sizes, &options.payload) {
            (Some(sizes), _) => sizes.min() >= STAMP_LEN,
            (None, PayloadSource::Random(bytes) | PayloadSource::Prepared { bytes, .. }) => *bytes >= STAMP_LEN,
            (None, PayloadSource::File { .. } | PayloadSource::Monotonic) => false,
        }
    }

    /// Whether a series is kept.
    pub(crate) fn measures(&self) -> bool {
        self.latency_summary || self.progress || self.json.is_some() || self.hdr_log.is_some()
    }
}

fn arrivals(taken: &Taken) -> Result<Option<Arrivals>, String> {
    let arrivals = match taken.text("--arrivals") {
        None | Some("constant") => Arrivals::Constant,
        Some("poisson") => Arrivals::Poisson,
        Some(other) => return Err(format!("--arrivals {other}: it must be constant or poisson")),
    };
    match (taken.has("--open-loop"), taken.has("--arrivals")) {
        (false, true) => Err("--arrivals shapes the schedule of --open-loop: give that too".into()),
        (is_open, _) => Ok(is_open.then_some(arrivals)),
    }
}

fn stamp_wish(taken: &Taken) -> Result<Option<StampPlace>, String> {
    match taken.text("--ledger-stamp") {
        None => Ok(None),
        Some("payload") => Ok(Some(StampPlace::Payload)),
        Some("header") => Ok(Some(StampPlace::Header)),
        Some(other) => Err(format!("--ledger-stamp {other}: it must be payload or header")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::parser;
    use super::super::parse;
    use super::*;
    use crate::cli::argparse::Stop;

    const GOOD: &str = "--topic t --throughput 10 --bootstrap-server h:1";

    fn parse_line(line: &str) -> Result<(Options, Extras), String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&args).map_err(|stop| match stop {
            Stop::Help => "help".into(),
            Stop::Error(message) => message,
        })
    }

    #[test]
    fn no_extra_is_an_option_or_an_abbreviation_of_the_original_s() {
        let clash = |extra: &&Extra| parser(&[]).options.iter().any(|option| option.name.starts_with(extra.name));
        assert!(EXTRAS.iter().find(clash).is_none(), "{:?}", EXTRAS.iter().find(clash));
    }

    #[test]
    fn extras_make_options_of_the_original_optional_and_the_user_s_win() {
        let (options, _) = parse_line(&format!("{GOOD} --record-size 9 --duration 2.5")).unwrap();
        assert_eq!(options.records, i64::MAX.cast_unsigned());
        let (options, extras) = parse_line(&format!("{GOOD} --num-records 7 --record-size 9 --duration 2.5")).unwrap();
        assert_eq!((options.records, extras.duration), (7, Some(Duration::from_millis(2500))));
        let (options, _) = parse_line(&format!("{GOOD} --num-records 7 --record-size-dist uniform:5..50")).unwrap();
        assert_eq!(options.payload, PayloadSource::Random(50));
        let missing = parse_line(&format!("{GOOD} --record-size 9")).unwrap_err();
        assert_eq!(missing, "argument --num-records is required");
    }

    #[test]
    fn what_cannot_be_together_is_refused_by_name() {
        let cases = [
            ("--record-size 20 --open-loop --throughput -1", "--open-loop needs a rate: --throughput -1 is none"),
            ("--record-size 20 --arrivals poisson", "--arrivals shapes the schedule of --open-loop"),
            ("--record-size 20 --open-loop --arrivals pareto", "--arrivals pareto: it must be constant or poisson"),
            ("--payload-monotonic --compressibility 2", "--compressibility needs --record-size"),
            (
                "--record-size 20 --keys none --key-distribution range --record-key-range 3",
                "--keys and --key-distribution",
            ),
            ("--record-size 20 --warmup-seconds 1 --warmup-records 3", "--warmup-seconds and --warmup-records"),
            ("--record-size 20 --warmup-seconds 2 --duration 2", "--warmup-seconds must be shorter"),
            ("--payload-monotonic --ledger f --ledger-stamp payload", "--ledger-stamp payload needs random payloads"),
            ("--record-size 15 --verify --ledger-stamp payload", "--ledger-stamp payload needs random payloads of 16"),
            ("--record-size 20 --verify --ledger-stamp key", "--ledger-stamp key: it must be payload or header"),
            ("--record-size 20 --ledger-stamp header", "--ledger-stamp says where the stamp of --ledger and"),
            ("--record-size 20 --clients 0", "--clients 0: it must be a number from 1 to 1024"),
            ("--record-size 20 --duration x", "--duration x: it must be a number from 0.001"),
        ];
        for (more, wanted) in cases {
            let error = parse_line(&format!("{GOOD} --num-records 10 {more}")).unwrap_err();
            assert!(error.starts_with(wanted), "{more}: {error}");
        }
    }

    #[test]
    fn the_stamp_is_in_a_header_where_the_payload_is_chosen_or_short() {
        use StampPlace::{Header, Payload};
        let cases = [
            ("--record-size 16 --verify", Some(Payload)),
            ("--record-size 15 --verify", Some(Header)),
            ("--record-size-dist uniform:5..50 --ledger f", Some(Header)),
            ("--record-size-dist uniform:16..50 --ledger f", Some(Payload)),
            ("--payload-monotonic --verify", Some(Header)),
            ("--payload-file f --verify", Some(Header)),
            ("--record-size 100 --verify --ledger-stamp header", Some(Header)),
            ("--record-size 100", None),
        ];
        for (more, due) in cases {
            let (options, extras) = parse_line(&format!("{GOOD} --num-records 10 {more}")).unwrap();
            assert_eq!(extras.stamp_place(&options), due, "{more}");
        }
    }
}

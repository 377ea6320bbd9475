//! The options of kafka-producer-perf-test, of 4.3 (with those that 4.4 adds) and of 3.9, and the checks that follow the
//! parse.

use crate::cli::argparse::{Arity, Given, Kind, Opt, Parser, Stop};
use crate::cli::compat::Compat;
use crate::cli::read_properties;
use crate::client::properties::Properties;
use crate::spec::{Keys, PayloadSource};
use ringlog_wire::Uuid;

const fn opt(name: &'static str, metavar: &'static str, kind: Kind, help: &'static str) -> Opt {
    Opt { name, metavar, arity: Arity::One, kind, required: false, exclusive: false, help }
}

const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt { arity: Arity::Flag, ..opt(name, "", Kind::Text, help) }
}

const fn many(name: &'static str, help: &'static str) -> Opt {
    Opt { arity: Arity::Many, ..opt(name, "PROP-NAME=PROP-VALUE", Kind::Text, help) }
}

const fn required(option: Opt) -> Opt {
    Opt { required: true, ..option }
}

const fn exclusive(option: Opt) -> Opt {
    Opt { exclusive: true, ..option }
}

const DESCRIPTION: &str = "This tool is used to verify the producer performance.";

const TOPIC: Opt = required(opt("--topic", "TOPIC", Kind::Text, "produce records to this topic"));
const NUM_RECORDS: Opt = required(opt("--num-records", "NUM-RECORDS", Kind::Long, "number of records to produce"));
const PAYLOAD_DELIMITER: Opt = opt(
    "--payload-delimiter",
    "PAYLOAD-DELIMITER",
    Kind::Text,
    "regular expression between the payloads of --payload-file (default: \\n)",
);
const THROUGHPUT: Opt =
    required(opt("--throughput", "THROUGHPUT", Kind::Double, "records per second at most; -1 for no limit"));
const PRINT_METRICS: Opt = flag("--print-metrics", "print metrics at the end");
const TRANSACTIONAL_ID: Opt = opt(
    "--transactional-id",
    "TRANSACTIONAL-ID",
    Kind::Text,
    "the transactional id to use; the default is that of the properties, or a random one where --transaction-duration-ms is given",
);
const TRANSACTION_DURATION: Opt = opt(
    "--transaction-duration-ms",
    "TRANSACTION-DURATION",
    Kind::Long,
    "the longest that a transaction lasts, in ms: it is committed after that; the default is 3000 where transactions are on",
);
const RECORD_SIZE: Opt = exclusive(opt("--record-size", "RECORD-SIZE", Kind::Int, "bytes of a random payload"));
const PAYLOAD_FILE: Opt =
    exclusive(opt("--payload-file", "PAYLOAD-FILE", Kind::Text, "file of payloads, one of which is chosen at random"));
const PAYLOAD_MONOTONIC: Opt = exclusive(flag("--payload-monotonic", "the payload is the record's number"));

const PARSER_4_3: Parser = Parser {
    program: "kafka-producer-perf-test",
    description: DESCRIPTION,
    options: &[
        opt("--bootstrap-server", "BOOTSTRAP-SERVER", Kind::Text, "the servers to connect to, before any property"),
        TOPIC,
        NUM_RECORDS,
        PAYLOAD_DELIMITER,
        THROUGHPUT,
        many("--producer-props", "(DEPRECATED) settings of the producer; see --command-property"),
        many("--command-property", "settings of the producer, before those of --command-config"),
        opt("--producer.config", "CONFIG-FILE", Kind::Text, "(DEPRECATED) properties file; see --command-config"),
        opt("--command-config", "CONFIG-FILE", Kind::Text, "properties file with settings of the producer"),
        PRINT_METRICS,
        TRANSACTIONAL_ID,
        TRANSACTION_DURATION,
        opt("--warmup-records", "WARMUP-RECORDS", Kind::Long, "records before the steady state (default: 0)"),
        opt(
            "--reporting-interval",
            "INTERVAL-MS",
            Kind::Long,
            "milliseconds between two progress lines (default: 5000)",
        ),
        opt("--record-key-range", "KEY-RANGE", Kind::Int, "keys are the decimal numbers below this"),
        opt(
            "--key-distribution",
            "KEY-DISTRIBUTION",
            Kind::Choice(&["none", "range", "random"]),
            "how keys are chosen (default: none)",
        ),
        opt("--random-seed", "RANDOM-SEED", Kind::Long, "seed of payloads and keys (default: 0)"),
        RECORD_SIZE,
        PAYLOAD_FILE,
        PAYLOAD_MONOTONIC,
    ],
    later: &["--record-key-range", "--key-distribution", "--random-seed"],
};

const PARSER_3_9: Parser = Parser {
    program: "producer-performance",
    description: DESCRIPTION,
    options: &[
        TOPIC,
        NUM_RECORDS,
        PAYLOAD_DELIMITER,
        THROUGHPUT,
        many("--producer-props", "settings of the producer, before those of --producer.config"),
        opt("--producer.config", "CONFIG-FILE", Kind::Text, "properties file with settings of the producer"),
        PRINT_METRICS,
        TRANSACTIONAL_ID,
        TRANSACTION_DURATION,
        RECORD_SIZE,
        PAYLOAD_FILE,
        PAYLOAD_MONOTONIC,
    ],
    later: &[],
};

/// Whose options, usage and errors these arguments are held to (`--compat`).
pub(crate) fn parser(args: &[String]) -> &'static Parser {
    parser_of(Compat::take(args).map_or_else(|_| Compat::default(), |(compat, _)| compat))
}

fn parser_of(compat: Compat) -> &'static Parser {
    if compat.is_3_9() { &PARSER_3_9 } else { &PARSER_4_3 }
}

/// No argument but, perhaps, `--compat`: the help, and exit code 0.
pub(crate) fn is_empty(args: &[String]) -> bool {
    Compat::take(args).is_ok_and(|(_, rest)| rest.is_empty())
}

/// A run, checked.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) compat: Compat,
    pub(crate) topic: String,
    pub(crate) records: u64,
    pub(crate) throughput: f64,
    pub(crate) payload: PayloadSource,
    pub(crate) keys: Keys,
    pub(crate) seed: i64,
    pub(crate) warmup_records: u64,
    pub(crate) reporting_interval_ms: i64,
    pub(crate) print_metrics: bool,
    /// After how long a transaction is committed.
    pub(crate) transaction_duration_ms: Option<i64>,
    /// Lines about deprecated options.
    pub(crate) notices: Vec<&'static str>,
    given: Given,
}

impl Options {
    /// How many records there are, where that was given. `--duration` without them stands for the largest number.
    pub(crate) fn known_records(&self) -> Option<u64> {
        (self.records != i64::MAX.cast_unsigned()).then_some(self.records)
    }
}

/// Reads and checks the arguments.
pub(crate) fn parse(args: &[String]) -> Result<Options, Stop> {
    let (compat, args) = Compat::take(args).map_err(Stop::Error)?;
    let given = parser_of(compat).parse(&args)?;
    let checked = if compat.is_3_9() { check_3_9(&given) } else { check(&given) };
    checked.map_err(|message| Stop::Error(message.to_owned()))?;
    let count = |name: &str| u64::try_from(given.number(name).unwrap_or(0)).unwrap_or(0);
    Ok(Options {
        compat,
        topic: given.text("--topic").unwrap_or_default().to_owned(),
        records: count("--num-records"),
        throughput: given.double("--throughput").unwrap_or(-1.0),
        payload: payload(&given, compat),
        keys: keys(&given),
        seed: given.number("--random-seed").unwrap_or(0),
        warmup_records: count("--warmup-records"),
        reporting_interval_ms: given.number("--reporting-interval").unwrap_or(5000),
        print_metrics: given.has("--print-metrics"),
        transaction_duration_ms: given.number("--transaction-duration-ms"),
        notices: if compat.is_3_9() { Vec::new() } else { notices(&given) },
        given,
    })
}

fn payload(given: &Given, compat: Compat) -> PayloadSource {
    if let Some(size) = given.number("--record-size") {
        return PayloadSource::Random(usize::try_from(size).unwrap_or(0));
    }
    match given.text("--payload-file") {
        Some(path) => {
            // Kafka puts a line end in the place of the whole value `\n` alone; elsewhere the expression says what that is.
            let delimiter = given.text("--payload-delimiter").filter(|given| *given != "\\n").unwrap_or("\n");
            PayloadSource::File { path: path.to_owned(), delimiter: delimiter.to_owned(), compat }
        }
        None => PayloadSource::Monotonic,
    }
}

fn keys(given: &Given) -> Keys {
    let range = given.number("--record-key-range").and_then(|range| i32::try_from(range).ok()).unwrap_or(1);
    match given.text("--key-distribution") {
        Some("range") => Keys::Range(range),
        Some("random") => Keys::Random(range),
        _ => Keys::None,
    }
}

/// The one check of ProducerPerformance (3.9).
fn check_3_9(given: &Given) -> Result<(), &'static str> {
    if given.has("--producer-props") || given.has("--producer.config") {
        return Ok(());
    }
    Err("Either --producer-props or --producer.config must be specified.")
}

/// The checks of ProducerPerformance.ConfigPostProcessor (4.4), in its order.
fn check(given: &Given) -> Result<(), &'static str> {
    let at_least_one = |name: &str| given.number(name).is_none_or(|value| value > 0);
    let records = given.number("--num-records").unwrap_or(0);
    let keyed = given.text("--key-distribution").is_some_and(|distribution| distribution != "none");
    let servers =
        ["--bootstrap-server", "--command-property", "--producer-props", "--producer.config", "--command-config"];
    let rules = [
        (at_least_one("--num-records"), "--num-records should be greater than zero."),
        (
            given.number("--warmup-records").unwrap_or(0).max(0) < records,
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        ),
        (at_least_one("--record-size"), "--record-size should be greater than zero."),
        (
            servers.iter().any(|name| given.has(name)),
            "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.",
        ),
        (
            !(given.has("--command-property") && given.has("--producer-props")),
            "--command-property and --producer-props cannot be specified together.",
        ),
        (
            !(given.has("--command-config") && given.has("--producer.config")),
            "--command-config and --producer.config cannot be specified together.",
        ),
        (at_least_one("--transaction-duration-ms"), "--transaction-duration-ms should be greater than zero."),
        (at_least_one("--reporting-interval"), "--reporting-interval should be greater than zero."),
        (at_least_one("--record-key-range"), "--record-key-range should be greater than zero."),
        (
            !keyed || given.has("--record-key-range"),
            "--record-key-range is required when --key-distribution is 'range' or 'random'.",
        ),
        (
            keyed || !given.has("--record-key-range"),
            "--key-distribution must be 'range' or 'random' when --record-key-range is specified.",
        ),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, text)| Err(text))
}

fn notices(given: &Given) -> Vec<&'static str> {
    let notices = [
        (
            "--producer-props",
            "Option --producer-props has been deprecated and will be removed in a future version. Use --command-property instead.",
        ),
        (
            "--producer.config",
            "Option --producer.config has been deprecated and will be removed in a future version. Use --command-config instead.",
        ),
    ];
    notices.into_iter().filter(|(name, _)| given.has(name)).map(|(_, text)| text).collect()
}

impl Options {
    /// The producer's properties: the file, then the command line, then `--bootstrap-server` and `--transactional-id`
    /// (a random one where only a duration is given).
    pub(crate) fn properties(&self) -> Result<Properties, String> {
        let mut properties = Properties::new();
        if self.compat.is_3_9() {
            if self.records == 0 {
                return Err("/ by zero".into());
            }
            // Missing, it is an empty list to the clients of 3.9, and an error of its own to those of 4.
            properties.set("bootstrap.servers", "");
        }
        let file = self.given.text("--command-config").or_else(|| self.given.text("--producer.config"));
        if let Some(path) = file {
            properties.extend(&read_properties(path)?);
        }
        for pair in self.given.list("--command-property").iter().chain(self.given.list("--producer-props")) {
            // Kafka splits at every `=` and so refuses values that contain one; we take them.
            let (key, value) =
                pair.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(|| invalid(pair))?;
            properties.set(key, value);
        }
        if let Some(servers) = self.given.text("--bootstrap-server") {
            properties.set("bootstrap.servers", servers);
        }
        if self.compat.is_3_9() {
            // On with a duration alone, and then with the option's id or this one, whatever the properties say.
            let id = self.given.text("--transactional-id").unwrap_or("performance-producer-default-transactional-id");
            if self.transaction_duration_ms.is_some_and(|duration| duration > 0) {
                properties.set("transactional.id", id);
            }
        } else if let Some(id) = self.given.text("--transactional-id") {
            properties.set("transactional.id", id);
        } else if self.transaction_duration_ms.is_some() {
            properties.set_default("transactional.id", &format!("performance-producer-{}", random_id()));
        }
        properties.set_default("client.id", "perf-producer-client");
        Ok(properties)
    }
}

/// Kafka's form of a random id.
fn random_id() -> Uuid {
    loop {
        if let Some(id) = Uuid::from_random(rand::random()) {
            return id;
        }
    }
}

fn invalid(pair: &str) -> String {
    format!("Invalid property: {pair}")
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;

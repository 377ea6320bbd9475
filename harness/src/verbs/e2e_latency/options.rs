//! The options of kafka-e2e-latency: named since 4.2 (KIP-1172), positions before; their checks in the original's order.

use crate::cli::compat::Compat;
use crate::cli::jopt::{self, Arity, Given, Opt, table};
use crate::cli::read_properties;
use crate::client::properties::Properties;

const fn opt(name: &'static str, metavar: &'static str, help: &'static str) -> Opt {
    Opt { name, arity: Arity::Required, metavar, help }
}

const fn optional(name: &'static str, metavar: &'static str, help: &'static str) -> Opt {
    Opt { name, arity: Arity::Optional, metavar, help }
}

const OPTIONS: &[Opt] = &[
    opt("bootstrap-server", "String: bootstrap-server", "REQUIRED. The brokers, as HOST1:PORT1,HOST2:PORT2."),
    optional("command-config", "String: config-file", "Properties file with settings of producer and consumer."),
    Opt { name: "help", arity: Arity::Flag, metavar: "", help: "Print usage information." },
    optional("num-headers", "Integer: count", "Headers of each record (default: 0)."),
    opt("num-records", "Integer: count", "REQUIRED. How many records are sent, one after the other."),
    opt("producer-acks", "String: producer-acks", "REQUIRED. Who acknowledges: '1' or 'all'."),
    optional("record-header-key-size", "Integer: bytes", "Bytes of a header's key (default: 0)."),
    optional("record-header-size", "Integer: bytes", "Bytes of a header's value; -1 for null (default: 0)."),
    optional("record-key-size", "Integer: bytes", "Bytes of a record's key (default: 0)."),
    opt("record-size", "Integer: bytes", "REQUIRED. Bytes of a record's value."),
    opt("topic", "String: topic-name", "REQUIRED. The topic; made with one partition where it does not exist."),
    Opt { name: "version", arity: Arity::Flag, metavar: "", help: "Print the version." },
];

/// The first line that no argument at all, and `--help`, print.
const PURPOSE: &str = "This tool measures end-to-end latency in Kafka by sending messages and timing their reception.";
/// The options that every run names, in the order of the old positions; the sixth position is `--command-config`.
const REQUIRED: [&str; 5] = ["bootstrap-server", "topic", "num-records", "producer-acks", "record-size"];
/// On stdout, where the old positions are used with 4.2 and later.
const POSITIONAL: &str = "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka 5.0. Please use named arguments instead: --bootstrap-server, --topic, --num-records, --producer-acks, --record-size, --command-config";
const USAGE_3_9: &str = "USAGE: java org.apache.kafka.tools.EndToEndLatency broker_list topic num_messages producer_acks message_size_bytes [optional] properties_file";

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A message and the option table, on stderr; exit code 1.
    Usage(String),
    /// A message alone, on stderr; exit code 1.
    Message(String),
    /// The version, on stdout; exit code 0.
    Version,
}

/// What each record is made of, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) value: usize,
    /// `None`: no key at all, as before 4.2.
    pub(crate) key: Option<usize>,
    pub(crate) headers: usize,
    pub(crate) header_key: usize,
    /// `None`: null.
    pub(crate) header_value: Option<usize>,
}

/// A run, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) compat: Compat,
    pub(crate) servers: String,
    pub(crate) topic: String,
    pub(crate) records: i32,
    pub(crate) acks: String,
    pub(crate) sizes: Sizes,
    pub(crate) config_file: Option<String>,
}

/// The option table.
pub(crate) fn usage() -> String {
    table(OPTIONS)
}

/// A line about the old positions, which comes before any other.
pub(crate) fn notice(args: &[String]) -> Option<&'static str> {
    let (compat, args) = Compat::take(args).ok()?;
    (!compat.is_3_9() && !is_named(&args) && (args.len() == 5 || args.len() == 6)).then_some(POSITIONAL)
}

/// Reads and checks the arguments.
pub(crate) fn parse(args: &[String]) -> Result<Options, Stop> {
    let (compat, args) = Compat::take(args).map_err(Stop::Message)?;
    if compat.is_3_9() { positions_3_9(&args) } else { parse_4_3(&args) }
}

fn positions_3_9(args: &[String]) -> Result<Options, Stop> {
    if args.len() != 5 && args.len() != 6 {
        return Err(Stop::Message(USAGE_3_9.into()));
    }
    let number = |text: &String| -> Result<i32, Stop> {
        text.parse().map_err(|_| Stop::Message(format!("For input string: \"{text}\"")))
    };
    let (records, size) = (number(&args[2])?, number(&args[4])?);
    if !["1", "all"].contains(&args[3].as_str()) {
        let text = "Latency testing requires synchronous acknowledgement. Please use 1 or all";
        return Err(Stop::Message(text.into()));
    }
    // The original's arrays refuse these sizes, each in its own moment; nothing is sent in either.
    if let Some(bad) = [records, size].into_iter().find(|number| *number < 0) {
        return Err(Stop::Message(bad.to_string()));
    }
    let sizes = Sizes { value: bytes(size), key: None, headers: 0, header_key: 0, header_value: None };
    Ok(Options {
        compat: Compat::V3_9,
        servers: args[0].clone(),
        topic: args[1].clone(),
        records,
        acks: args[3].clone(),
        sizes,
        config_file: args.get(5).filter(|path| !path.trim().is_empty()).cloned(),
    })
}

fn parse_4_3(args: &[String]) -> Result<Options, Stop> {
    if args.is_empty() {
        return Err(Stop::Usage(PURPOSE.into()));
    }
    let args = if is_named(args) { args.to_vec() } else { as_named(args)? };
    let given = jopt::parse(OPTIONS, &args).map_err(Stop::Usage)?;
    if given.has("help") {
        return Err(Stop::Usage(PURPOSE.into()));
    }
    if given.has("version") {
        return Err(Stop::Version);
    }
    if let Some(missing) = REQUIRED.iter().find(|name| !given.has(name)) {
        return Err(Stop::Usage(format!("Missing required argument \"[{missing}]\"")));
    }
    checked(&given)
}

fn is_named(args: &[String]) -> bool {
    args.iter().any(|arg| REQUIRED.iter().any(|name| arg.strip_prefix("--") == Some(*name)))
}

/// The old positions under their names of today.
fn as_named(args: &[String]) -> Result<Vec<String>, Stop> {
    if args.len() != 5 && args.len() != 6 {
        return Err(Stop::Message(format!(
            "Invalid number of arguments. Expected 5 or 6 positional arguments, but got {}. Usage: bootstrap-server topic num-records producer-acks record-size [optional] command-config",
            args.len()
        )));
    }
    let names = REQUIRED.iter().chain(&["command-config"]);
    Ok(names.zip(args).flat_map(|(name, arg)| [format!("--{name}"), arg.clone()]).collect())
}

/// The values, each looked at in the original's order: a bad number surfaces when it is its turn.
fn checked(given: &Given) -> Result<Options, Stop> {
    let text = |name: &str| given.text(name).map_err(Stop::Message).map(|text| text.unwrap_or_default().to_owned());
    let acks = text("producer-acks")?;
    if !["1", "all"].contains(&acks.as_str()) {
        let text = "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or 'all'.";
        return Err(Stop::Usage(text.into()));
    }
    let number = |name: &str, min: i32, what: &str| -> Result<i32, Stop> {
        let number: i32 = given.number(name).map_err(Stop::Message)?.unwrap_or(0);
        if number < min {
            return Err(Stop::Usage(format!("Value for --{name} must be a {what}.")));
        }
        Ok(number)
    };
    let not_negative = "non-negative integer";
    let records = number("num-records", 1, "positive integer")?;
    let value = bytes(number("record-size", 0, not_negative)?);
    let key = Some(bytes(number("record-key-size", 0, not_negative)?));
    let header_key = bytes(number("record-header-key-size", 0, not_negative)?);
    let header_value = number("record-header-size", -1, "non-negative integer or -1 for null header value")?;
    let headers = bytes(number("num-headers", 0, not_negative)?);
    let header_value = usize::try_from(header_value).ok();
    Ok(Options {
        compat: Compat::V4_3,
        servers: text("bootstrap-server")?,
        topic: text("topic")?,
        records,
        acks,
        sizes: Sizes { value, key, headers, header_key, header_value },
        config_file: given.text("command-config").map_err(Stop::Message)?.map(str::to_owned),
    })
}

/// A size that is not negative.
fn bytes(size: i32) -> usize {
    usize::try_from(size).unwrap_or(0)
}

impl Options {
    /// What both clients get: the file, then the servers.
    fn common(&self) -> Result<Properties, String> {
        let mut properties = Properties::new();
        if let Some(path) = &self.config_file {
            properties.extend(&read_properties(path)?);
        }
        properties.set("bootstrap.servers", &self.servers);
        Ok(properties)
    }

    /// The producer's properties. What the tool sets itself comes last: nobody can change it.
    pub(crate) fn producer_properties(&self) -> Result<Properties, String> {
        let mut properties = self.common()?;
        properties.set("linger.ms", "0");
        properties.set("max.block.ms", &i64::MAX.to_string());
        properties.set("acks", &self.acks);
        Ok(properties)
    }

    /// The consumer's properties.
    pub(crate) fn consumer_properties(&self, wall_ms: i64) -> Result<Properties, String> {
        let mut properties = self.common()?;
        properties.set("group.id", &format!("test-group-{wall_ms}"));
        properties.set("enable.auto.commit", "false");
        properties.set("auto.offset.reset", "latest");
        properties.set("fetch.max.wait.ms", "0");
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "--bootstrap-server h:1 --topic t --num-records 10 --producer-acks 1 --record-size 100";

    fn parse_line(line: &str) -> Result<Options, Stop> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn message(line: &str) -> String {
        match parse_line(line) {
            Err(Stop::Usage(message) | Stop::Message(message)) => message,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn named_options_and_positions_mean_the_same() {
        let (named, old) = (parse_line(GOOD).unwrap(), parse_line("h:1 t 10 1 100").unwrap());
        assert_eq!(old, named);
        let notice_of = |line: &str| notice(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(notice_of("h:1 t 10 1 100"), Some(POSITIONAL));
        assert_eq!([notice_of(GOOD), notice_of("h:1 t"), notice_of("--compat 3.9 h:1 t 10 1 100")], [None; 3]);
        assert_eq!(parse_line("h:1 t 10 all 100 file").unwrap().config_file.as_deref(), Some("file"));
    }

    #[test]
    fn the_messages_of_4_3_are_kafka_s() {
        let cases = [
            ("", "This tool measures end-to-end latency in Kafka by sending messages and timing their reception."),
            (
                "--help",
                "Invalid number of arguments. Expected 5 or 6 positional arguments, but got 1. Usage: bootstrap-server topic num-records producer-acks record-size [optional] command-config",
            ),
            ("--topic t", "Missing required argument \"[bootstrap-server]\""),
            ("--topic t --foo", "foo is not a recognized option"),
        ];
        for (line, wanted) in cases {
            assert_eq!(message(line), wanted, "{line}");
        }
        let cases = [
            ("--num-records 0", "Value for --num-records must be a positive integer."),
            ("--record-size -1", "Value for --record-size must be a non-negative integer."),
            ("--num-records abc", "Cannot parse argument 'abc' of option num-records"),
            (
                "--producer-acks 0",
                "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or 'all'.",
            ),
        ];
        for (change, wanted) in cases {
            let (name, _) = change.split_once(' ').unwrap();
            let (before, after) = GOOD.split_once(name).unwrap();
            let rest = after.trim_start().split_once(' ').map_or("", |(_, rest)| rest);
            assert_eq!(message(&format!("{before}{change} {rest}")), wanted, "{change}");
        }
        let cases = [
            ("--record-key-size -1", "Value for --record-key-size must be a non-negative integer."),
            ("--record-header-key-size -1", "Value for --record-header-key-size must be a non-negative integer."),
            (
                "--record-header-size -2",
                "Value for --record-header-size must be a non-negative integer or -1 for null header value.",
            ),
            ("--num-headers -1", "Value for --num-headers must be a non-negative integer."),
        ];
        for (more, wanted) in cases {
            assert_eq!(message(&format!("{GOOD} {more}")), wanted, "{more}");
        }
    }

    #[test]
    fn a_header_value_of_minus_one_is_null() {
        let sizes = parse_line(&format!("{GOOD} --num-headers 2 --record-header-size -1")).unwrap().sizes;
        assert_eq!(sizes, Sizes { value: 100, key: Some(0), headers: 2, header_key: 0, header_value: None });
    }

    #[test]
    fn version_3_9_has_positions_only_and_its_own_words() {
        assert_eq!(message("--compat 3.9"), USAGE_3_9);
        assert_eq!(message("--compat 3.9 --topic t"), USAGE_3_9);
        assert_eq!(message("--compat 3.9 h:1 t x 1 100"), "For input string: \"x\"");
        let acks = "Latency testing requires synchronous acknowledgement. Please use 1 or all";
        assert_eq!(message("--compat 3.9 h:1 t 10 0 100"), acks);
        let options = parse_line("--compat 3.9 h:1 t 10 all 100").unwrap();
        assert_eq!(options.sizes.key, None);
    }

    #[test]
    fn what_the_tool_sets_cannot_be_changed() {
        let options = parse_line(GOOD).unwrap();
        let (producer, consumer) = (options.producer_properties().unwrap(), options.consumer_properties(7).unwrap());
        let of = |properties: &Properties, name: &str| properties.get(name).map(str::to_owned);
        assert_eq!(of(&producer, "linger.ms").as_deref(), Some("0"));
        assert_eq!(of(&producer, "acks").as_deref(), Some("1"));
        assert_eq!(of(&consumer, "group.id").as_deref(), Some("test-group-7"));
        assert_eq!(of(&consumer, "auto.offset.reset").as_deref(), Some("latest"));
    }
}

//! The options of kafka-consumer-perf-test, of 4.3 and of 3.9, and the checks that follow the parse.

use crate::cli::compat::Compat;
use crate::cli::jopt::{Arity, Given, Opt, parse as parse_options, table};
use crate::cli::read_properties;
use crate::client::properties::Properties;

const fn opt(name: &'static str, metavar: &'static str, help: &'static str) -> Opt {
    Opt { name, arity: Arity::Required, metavar, help }
}

const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt { name, arity: Arity::Flag, metavar: "", help }
}

/// Which of the originals has an option.
#[derive(Clone, Copy)]
enum Has {
    Both,
    Only(Compat),
}

const NEW: Has = Has::Only(Compat::V4_3);
const OLD: Has = Has::Only(Compat::V3_9);

/// By name, as their tables are.
const OPTIONS: &[(Has, Opt)] = &[
    (Has::Both, opt("bootstrap-server", "String: server to connect to", "REQUIRED. The server(s) to connect to.")),
    (OLD, opt("broker-list", "String: broker-list", "DEPRECATED, use --bootstrap-server, which comes before it.")),
    (NEW, opt("command-config", "String: config file", "Properties file with settings of the consumer.")),
    (
        NEW,
        opt(
            "command-property",
            "String: prop1=val1",
            "A setting of the consumer; repeatable; before --command-config.",
        ),
    ),
    (NEW, opt("consumer.config", "String: config file", "(DEPRECATED) Properties file; use --command-config.")),
    (OLD, opt("consumer.config", "String: config file", "Properties file with settings of the consumer.")),
    (
        Has::Both,
        opt("date-format", "String: date format", "How times are printed, as java.text.SimpleDateFormat has it."),
    ),
    (Has::Both, opt("fetch-size", "Integer: size", "max.partition.fetch.bytes (default: 1048576).")),
    (
        Has::Both,
        flag("from-latest", "Begin with the latest record where the group has no offset, and not with the earliest."),
    ),
    (Has::Both, opt("group", "String: gid", "The group id (default: perf-consumer- and a random number).")),
    (Has::Both, flag("help", "Print usage information.")),
    (Has::Both, flag("hide-header", "Leave out the header of the stats.")),
    (NEW, opt("include", "String: Java regex (String)", "Regular expression of the topics to consume from.")),
    (NEW, opt("messages", "Long: count", "(DEPRECATED) The number of records to consume; use --num-records.")),
    (OLD, opt("messages", "Long: count", "REQUIRED. The number of records to consume.")),
    (OLD, opt("num-fetch-threads", "Integer: count", "DEPRECATED and ignored.")),
    (NEW, opt("num-records", "Long: count", "REQUIRED. The number of records to consume.")),
    (Has::Both, flag("print-metrics", "Print metrics at the end.")),
    (
        Has::Both,
        opt(
            "reporting-interval",
            "Long: interval_ms",
            "Milliseconds between two rows of detailed stats (default: 5000).",
        ),
    ),
    (Has::Both, flag("show-detailed-stats", "Print a row per reporting interval, and no summary.")),
    (Has::Both, opt("socket-buffer-size", "Integer: size", "receive.buffer.bytes (default: 2097152).")),
    (OLD, opt("threads", "Integer: count", "DEPRECATED and ignored.")),
    (
        Has::Both,
        Opt {
            name: "timeout",
            arity: Arity::Optional,
            metavar: "Long: milliseconds",
            help: "The longest wait between two records (default: 10000).",
        },
    ),
    (Has::Both, opt("topic", "String: topic", "The topic to consume from.")),
    (Has::Both, flag("version", "Print the version.")),
];

/// The options of one of the originals.
fn options(compat: Compat) -> Vec<Opt> {
    let is_there = |has: Has| matches!(has, Has::Both) || matches!(has, Has::Only(only) if only == compat);
    OPTIONS.iter().filter(|(has, _)| is_there(*has)).map(|(_, option)| *option).collect()
}

/// The first line that no argument at all, and `--help`, print.
const PURPOSE: &str = "This tool is used to verify the consumer performance.";

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A message, with the option table where there is one, on stderr; exit code 1.
    Usage(String),
    /// The version, on stdout; exit code 0.
    Version,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topics {
    One(String),
    Matching(String),
}

/// A run, checked but for what the original looks at only when it needs it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) compat: Compat,
    pub(crate) detailed: bool,
    pub(crate) hide_header: bool,
    pub(crate) print_metrics: bool,
    /// Lines about deprecated options.
    pub(crate) notices: Vec<&'static str>,
    given: Given,
}

/// What the run needs in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) records: u64,
    pub(crate) timeout_ms: i64,
    pub(crate) reporting_interval_ms: i64,
}

/// The option table of the newest version.
pub(crate) fn help() -> String {
    table(&options(Compat::default()))
}

/// Reads and checks the arguments.
pub(crate) fn parse(args: &[String]) -> Result<Options, Stop> {
    let (compat, args) = Compat::take(args).map_err(Stop::Usage)?;
    let options = options(compat);
    let usage = |message: String| Stop::Usage(format!("{message}\n{}", table(&options).trim_end()));
    if args.is_empty() && !compat.is_3_9() {
        return Err(usage(PURPOSE.into()));
    }
    let given = parse_options(&options, &args).map_err(usage)?;
    if given.has("help") {
        return Err(usage(PURPOSE.into()));
    }
    if given.has("version") {
        return Err(Stop::Version);
    }
    let checked = if compat.is_3_9() { check_3_9(&given) } else { check_4_3(&given) };
    checked.map_err(usage)?;
    Ok(Options {
        compat,
        detailed: given.has("show-detailed-stats"),
        hide_header: given.has("hide-header"),
        print_metrics: given.has("print-metrics"),
        notices: notices(&given, compat),
        given,
    })
}

fn check_4_3(given: &Given) -> Result<(), String> {
    if !given.has("bootstrap-server") {
        return Err("Missing required argument \"[bootstrap-server]\"".into());
    }
    if given.has("topic") == given.has("include") {
        return Err(exactly_one("topic", "include"));
    }
    if given.has("messages") == given.has("num-records") {
        return Err(exactly_one("messages", "num-records"));
    }
    if given.has("consumer.config") && given.has("command-config") {
        return Err("Option \"[consumer.config]\" can't be used with option \"[command-config]\"".into());
    }
    Ok(())
}

fn check_3_9(given: &Given) -> Result<(), String> {
    if !given.has("bootstrap-server") && !given.has("broker-list") {
        return Err("Missing required option(s) [bootstrap-server]".into());
    }
    let missing = ["topic", "messages"].into_iter().find(|name| !given.has(name));
    missing.map_or(Ok(()), |name| Err(format!("Missing required argument \"[{name}]\"")))
}

fn exactly_one(left: &str, right: &str) -> String {
    format!("Exactly one of the following arguments is required: [{left}], [{right}]")
}

fn notices(given: &Given, compat: Compat) -> Vec<&'static str> {
    let new = !compat.is_3_9();
    let notices = [
        (new && given.has("messages"), "Warning: --messages is deprecated. Use --num-records instead."),
        (
            new && given.has("consumer.config"),
            "Warning: --consumer.config is deprecated. Use --command-config instead.",
        ),
        (
            given.has("threads") || given.has("num-fetch-threads"),
            "WARNING: option [threads] and [num-fetch-threads] have been deprecated and will be ignored by the test",
        ),
    ];
    notices.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text).collect()
}

impl Options {
    /// What to read.
    pub(crate) fn topics(&self) -> Result<Topics, String> {
        if let Some(topic) = self.given.text("topic")? {
            return Ok(Topics::One(topic.to_owned()));
        }
        Ok(Topics::Matching(self.given.text("include")?.unwrap_or_default().to_owned()))
    }

    /// How times are printed.
    pub(crate) fn date_format(&self) -> Result<&str, String> {
        Ok(self.given.text("date-format")?.unwrap_or("yyyy-MM-dd HH:mm:ss:SSS"))
    }

    /// The numbers; a bad one surfaces here, as in the original only after the header.
    pub(crate) fn numbers(&self) -> Result<Numbers, String> {
        let records: i64 = match self.given.number("num-records")? {
            Some(records) => records,
            None => self.given.number("messages")?.unwrap_or(0),
        };
        let reporting_interval_ms = self.given.number("reporting-interval")?.unwrap_or(5000);
        if reporting_interval_ms <= 0 {
            return Err("Reporting interval must be greater than 0.".into());
        }
        let timeout_ms = self.given.number("timeout")?.unwrap_or(10_000);
        Ok(Numbers { records: u64::try_from(records).unwrap_or(0), timeout_ms, reporting_interval_ms })
    }

    /// The consumer's properties. What the tool sets itself comes last: nobody can change it.
    pub(crate) fn properties(&self, random: u64) -> Result<Properties, String> {
        let mut properties = Properties::new();
        for name in ["command-config", "consumer.config"] {
            if let Some(path) = self.given.text(name)? {
                properties.extend(&read_properties(path)?);
            }
        }
        for pair in self.given.all("command-property") {
            // Without `=` the value is empty, as in the original.
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            properties.set(key, value);
        }
        let servers = self.given.text("bootstrap-server")?.or(self.given.text("broker-list")?).unwrap_or_default();
        let group =
            self.given.text("group")?.map_or_else(|| format!("perf-consumer-{}", random % 100_000), str::to_owned);
        let fetch_size: i32 = self.given.number("fetch-size")?.unwrap_or(1_048_576);
        let socket_buffer: i32 = self.given.number("socket-buffer-size")?.unwrap_or(2_097_152);
        let from = if self.given.has("from-latest") { "latest" } else { "earliest" };
        properties.set("bootstrap.servers", servers);
        properties.set("group.id", &group);
        properties.set("receive.buffer.bytes", &socket_buffer.to_string());
        properties.set("max.partition.fetch.bytes", &fetch_size.to_string());
        properties.set("auto.offset.reset", from);
        properties.set("check.crcs", "false");
        properties.set_default("client.id", "perf-consumer-client");
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "--bootstrap-server h:1 --topic t --num-records 10";

    fn parse_line(line: &str) -> Result<Options, Stop> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn message(line: &str) -> String {
        match parse_line(line) {
            Err(Stop::Usage(message)) => message.lines().next().unwrap_or_default().to_owned(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_messages_are_kafka_s() {
        let cases = [
            ("", "This tool is used to verify the consumer performance."),
            ("--help", "This tool is used to verify the consumer performance."),
            ("--topic t --messages 1", "Missing required argument \"[bootstrap-server]\""),
            (
                "--bootstrap-server h:1 --messages 1",
                "Exactly one of the following arguments is required: [topic], [include]",
            ),
            (
                "--bootstrap-server h:1 --topic t",
                "Exactly one of the following arguments is required: [messages], [num-records]",
            ),
            ("--num-rec 5", "num-rec is not a recognized option"),
            ("--compat 3.9", "Missing required option(s) [bootstrap-server]"),
            ("--compat 3.9 --broker-list h:1", "Missing required argument \"[topic]\""),
            ("--compat 3.9 --broker-list h:1 --topic t", "Missing required argument \"[messages]\""),
            ("--compat 3.9 --num-records 5", "num-records is not a recognized option"),
            ("--broker-list h:1", "broker-list is not a recognized option"),
        ];
        for (line, wanted) in cases {
            assert_eq!(message(line), wanted, "{line}");
        }
        let both = format!("{GOOD} --consumer.config a --command-config b");
        assert_eq!(message(&both), "Option \"[consumer.config]\" can't be used with option \"[command-config]\"");
        assert!(matches!(parse_line("--version"), Err(Stop::Version)));
    }

    #[test]
    fn an_option_given_twice_surfaces_when_it_is_needed() {
        let options = parse_line("--topic a --topic b --bootstrap-server h:1 --messages 1").unwrap();
        let wanted = "Found multiple arguments for option topic, but you asked for only one";
        assert_eq!(options.topics().unwrap_err(), wanted);
    }

    #[test]
    fn a_bad_number_surfaces_when_it_is_needed() {
        let options = parse_line("--bootstrap-server h:1 --topic t --num-records abc").unwrap();
        assert_eq!(options.numbers().unwrap_err(), "Cannot parse argument 'abc' of option num-records");
        let zero = parse_line(&format!("{GOOD} --reporting-interval 0")).unwrap();
        assert_eq!(zero.numbers().unwrap_err(), "Reporting interval must be greater than 0.");
    }

    #[test]
    fn what_the_tool_sets_cannot_be_changed() {
        let line = format!(
            "{GOOD} --command-property group.id=mine --command-property check.crcs=true --command-property a=b=c"
        );
        let properties = parse_line(&line).unwrap().properties(123_456).unwrap();
        let get = |name| properties.get(name).unwrap();
        assert_eq!([get("group.id"), get("check.crcs"), get("a")], ["perf-consumer-23456", "false", "b=c"]);
        assert_eq!([get("auto.offset.reset"), get("max.partition.fetch.bytes")], ["earliest", "1048576"]);
        let latest = parse_line(&format!("{GOOD} --from-latest --group g")).unwrap().properties(0).unwrap();
        assert_eq!((latest.get("auto.offset.reset"), latest.get("group.id")), (Some("latest"), Some("g")));
    }

    #[test]
    fn deprecated_spellings_work_and_say_so() {
        let options = parse_line("--bootstrap-server h:1 --topic t --messages 5").unwrap();
        assert_eq!(options.numbers().unwrap().records, 5);
        assert_eq!(options.notices, ["Warning: --messages is deprecated. Use --num-records instead."]);
        let old = parse_line("--compat 3.9 --broker-list h:1 --topic t --messages 5 --threads 10").unwrap();
        assert_eq!(old.notices.len(), 1);
        assert!(old.notices[0].starts_with("WARNING: option [threads] and"));
    }
}

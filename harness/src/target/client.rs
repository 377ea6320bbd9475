//! A client that is measured, as data: a program of its own, from a word of the command line to its command lines.
//!
//! | word | what it is |
//! |---|---|
//! | `ringlog` | this binary's perf tools |
//! | `ringlog:PATH` | another binary's |
//! | `kafka:VERSION` | Apache Kafka's perf tools, from `$RINGLOG_PEERS/kafka-VERSION/libs`; 4.2 or later, whose options these are |
//! | `librdkafka:PATH` | scripts/lib/librdkafka_cost.c, compiled: `scripts/client-cost` does it |
//!
//! ```text
//!   Job { produce | consume, topic, records, settings, way }  -->  Command  -->  its output  -->  records that it says it moved
//! ```
//!
//! Each writes values that are made beforehand, so that what a record costs is the client's work and not a random generator's.
//!
//! Invariants: every client is told the same settings under its own names, or refused; a setting that was not handed on is
//! not said to have held. Secrets are in a file, never in a command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use super::kafka::JVM;
use super::spec::{self, TargetError};
use crate::client::SplittableRandom;
use crate::client::properties::Properties;
use crate::host::facts::sanitized;
use crate::load::payload::prepared;

/// kafka-producer-perf-test.sh, 4.3: what a user gets who sets nothing.
const HEAP: &str = "-Xmx512M";
const PRODUCER_CLASS: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSUMER_CLASS: &str = "org.apache.kafka.tools.ConsumerPerformance";
/// The first version whose perf tools have `--command-config`, major and minor.
const KAFKA_MIN: (u32, u32) = (4, 2);
/// Values that are made beforehand, as many as librdkafka_cost.c makes: the tools draw from them.
const VALUES: usize = 4096;
/// A consumer that had nothing for so long ends.
const SILENCE_MS: &str = "60000";
/// What stands between a client's name and its broker's in a target's.
const TO: &str = "-to-";
/// Says how much was moved: Kafka's summary line, Kafka's row, and the two lines of our C program.
const MOVED: [&str; 4] = [
    r"(?m)^(\d+) records sent, .*99\.9th\.$",
    r"(?m)^\d{4}-\d\d-\d\d [\d:]+, (?:[^,]+, ){3}(\d+),",
    r"(?m)^(\d+) delivered, 0 failed$",
    r"(?m)^(\d+) records, \d+ bytes$",
];

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name in rows.
    pub name: String,
    /// The word that it came from.
    pub word: String,
    program: Program,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Program {
    /// `None` is this one.
    Ringlog(Option<PathBuf>),
    Kafka {
        libs: PathBuf,
    },
    Librdkafka(PathBuf),
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Writes.
    Produce,
    /// Reads from the beginning.
    Consume,
}

/// One run of a client.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// What it does.
    pub verb: Verb,
    /// Where.
    pub topic: &'a str,
    /// How many records.
    pub records: u64,
    /// Bytes of each.
    pub record_bytes: u32,
    /// What was asked for under Kafka's names.
    pub settings: &'a BTreeMap<String, String>,
    /// What a client needs to get to the broker.
    pub way: &'a Properties,
    /// A file that may be written for it, and one beside it.
    pub file: &'a Path,
}

/// Why a client cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ClientJobError {
    /// A property that this client is not handed.
    #[error("{client} is not told of {key}: {advice}; leave this client out, or the property")]
    Property {
        /// Who.
        client: String,
        /// Which.
        key: String,
        /// What it could be told.
        advice: &'static str,
    },
    /// Its file or its program.
    #[error("{what}: {source}")]
    Io {
        /// What.
        what: String,
        /// The system's words.
        source: std::io::Error,
    },
}

/// The client of a word.
pub fn parse(word: &str, peers: &Path) -> Result<Client, TargetError> {
    let (kind, rest) = word.split_once(':').map_or((word, None), |(kind, rest)| (kind, Some(rest)));
    let there = |path: PathBuf, advice| {
        if path.exists() { Ok(path) } else { Err(TargetError::Missing { word: word.to_owned(), path, advice }) }
    };
    let (name, program) = match (kind, rest) {
        ("ringlog", None) => (kind.to_owned(), Program::Ringlog(None)),
        ("ringlog", Some(path)) => {
            (sanitized(path), Program::Ringlog(Some(there(path.into(), "name a binary that was built")?)))
        }
        ("kafka", Some(version)) if is_known(version) => {
            let advice = "`scripts/peers fetch` gets Kafka's jars, RINGLOG_PEERS names their folder";
            (
                sanitized(&format!("kafka-{version}")),
                Program::Kafka { libs: there(spec::libs_of(version, peers), advice)? },
            )
        }
        ("librdkafka", Some(path)) => {
            let path = there(path.into(), "`scripts/client-cost` compiles it from scripts/lib/librdkafka_cost.c")?;
            (format!("librdkafka-{}", version_of(word, &path)?), Program::Librdkafka(path))
        }
        _ => return Err(TargetError::NoClient(word.to_owned())),
    };
    Ok(Client { name, word: word.to_owned(), program })
}

/// Whether the perf tools of this version have the options that they are given.
fn is_known(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= KAFKA_MIN)
}

/// What our C program says of its library.
fn version_of(word: &str, program: &Path) -> Result<String, TargetError> {
    let output = Command::new(program).arg("version").output();
    let version =
        output.ok().filter(|it| it.status.success()).map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let version =
        version.filter(|it| it.starts_with(|first: char| first.is_ascii_digit())).map(|it| sanitized(it.trim()));
    version.ok_or_else(|| TargetError::NoLibrdkafka { word: word.to_owned(), program: program.to_owned() })
}

/// The name of the target where this client meets that broker.
#[must_use]
pub fn name_of(client: &Client, broker: &str) -> String {
    format!("{}{TO}{broker}", client.name)
}

/// The broker of such a name.
#[must_use]
pub fn broker_of<'a>(client: &Client, name: &'a str) -> &'a str {
    name.strip_prefix(&client.name).and_then(|it| it.strip_prefix(TO)).unwrap_or(name)
}

impl Client {
    /// The files whose hash says which program it is; none for this one.
    #[must_use]
    pub fn folder_or_file(&self) -> Option<&Path> {
        match &self.program {
            Program::Ringlog(None) => None,
            Program::Ringlog(Some(path)) | Program::Librdkafka(path) | Program::Kafka { libs: path } => Some(path),
        }
    }

    /// Whether its settings have the Java client's defaults where nothing was asked for.
    #[must_use]
    pub fn has_javas_defaults(&self) -> bool {
        !matches!(self.program, Program::Librdkafka(_))
    }

    /// The command line of a job.
    pub fn command(&self, job: &Job<'_>) -> Result<Command, ClientJobError> {
        match &self.program {
            Program::Ringlog(path) => {
                let own = path.clone().map_or_else(std::env::current_exe, Ok);
                let mut command = Command::new(own.map_err(failed("this program"))?);
                command.arg(if job.verb == Verb::Produce { "producer-perf" } else { "consumer-perf" });
                self.perf_tool(command, job)
            }
            Program::Kafka { libs } => {
                let mut command = Command::new("java");
                command.arg(HEAP).args(JVM).arg("-cp").arg(format!("{}/*", libs.display()));
                command.arg(if job.verb == Verb::Produce { PRODUCER_CLASS } else { CONSUMER_CLASS });
                self.perf_tool(command, job)
            }
            Program::Librdkafka(path) => self.librdkafka(Command::new(path), job),
        }
    }

    fn perf_tool(&self, mut command: Command, job: &Job<'_>) -> Result<Command, ClientJobError> {
        let (bootstrap, records) = (bootstrap(job.way), job.records.to_string());
        command.args(["--bootstrap-server", bootstrap, "--topic", job.topic, "--num-records", &records]);
        let mut told = job.settings.clone();
        match job.verb {
            Verb::Produce => command.arg("--payload-file").arg(values(job)?).args(["--throughput", "-1"]),
            // The tool has an option of its own for this one, whose default is stronger than the file.
            Verb::Consume => match told.remove("max.partition.fetch.bytes") {
                Some(bytes) => command.args(["--timeout", SILENCE_MS, "--fetch-size", &bytes]),
                None => command.args(["--timeout", SILENCE_MS]),
            },
        };
        let way = job.way.iter().filter(|(key, _)| *key != "bootstrap.servers");
        let told = told.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let lines: String = way.chain(told).map(|(key, value)| line(key, value)).collect();
        std::fs::write(job.file, lines).map_err(failed(&job.file.display().to_string()))?;
        command.arg("--command-config").arg(job.file);
        Ok(command)
    }

    fn librdkafka(&self, mut command: Command, job: &Job<'_>) -> Result<Command, ClientJobError> {
        command.arg(if job.verb == Verb::Produce { "produce" } else { "consume" });
        command.args([bootstrap(job.way), job.topic, &job.records.to_string()]);
        match job.verb {
            Verb::Produce => command.arg(job.record_bytes.to_string()),
            // A group of its own for each run: it would go on where the one before it committed.
            Verb::Consume => {
                let now = jiff::Timestamp::now().as_nanosecond();
                command.args(["auto.offset.reset=earliest".to_owned(), format!("group.id={}-{now}", job.topic)])
            }
        };
        let told = job.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in job.way.iter().chain(told) {
            if let Some((key, value)) = self.librdkafkas(key, value)? {
                command.arg(format!("{key}={value}"));
            }
        }
        Ok(command)
    }

    /// A property under librdkafka's name; `None` where it says nothing to it.
    fn librdkafkas(&self, key: &str, value: &str) -> Result<Option<(String, String)>, ClientJobError> {
        let refused = |advice| Err(ClientJobError::Property { client: self.name.clone(), key: key.to_owned(), advice });
        let named = |name: &str, value: &str| Ok(Some((name.to_owned(), value.to_owned())));
        match (key, value) {
            ("bootstrap.servers" | "client.id", _) | ("ssl.truststore.type", "PEM") => Ok(None),
            ("buffer.memory", bytes) => match bytes.parse::<u64>() {
                Ok(bytes) => named("queue.buffering.max.kbytes", &(bytes / 1024).to_string()),
                Err(_) => refused("it must be a number of bytes"),
            },
            ("fetch.max.wait.ms", _) => named("fetch.wait.max.ms", value),
            ("ssl.truststore.location", _) => named("ssl.ca.location", value),
            ("ssl.endpoint.identification.algorithm", "") => named(key, "none"),
            ("ssl.endpoint.identification.algorithm" | "security.protocol", _) => named(key, value),
            _ if key.starts_with("ssl.") || key.starts_with("sasl.") => {
                refused("it is handed security.protocol and a truststore of type PEM")
            }
            _ => named(key, value),
        }
    }
}

/// A file of values for a job, a line each; made once.
fn values(job: &Job<'_>) -> Result<PathBuf, ClientJobError> {
    let path = job.file.with_extension(format!("{}-bytes", job.record_bytes));
    if !path.exists() {
        let lines = prepared(&mut SplittableRandom::new(0), job.record_bytes as usize, VALUES);
        std::fs::write(&path, lines.join(&b'\n')).map_err(failed(&path.display().to_string()))?;
    }
    Ok(path)
}

/// How many records a client says it moved; `None` where it does not say.
#[must_use]
pub fn moved(said: &str) -> Option<u64> {
    let of = |pattern: &str| {
        let found = Regex::new(pattern).ok()?.captures_iter(said).last()?;
        found.get(1)?.as_str().parse().ok()
    };
    MOVED.into_iter().find_map(of)
}

fn bootstrap(way: &Properties) -> &str {
    way.get("bootstrap.servers").unwrap_or_default()
}

/// A line of a properties file; a backslash begins an escape there.
fn line(key: &str, value: &str) -> String {
    format!("{key}={}\n", value.replace('\\', "\\\\").replace('\n', "\\n"))
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> ClientJobError + '_ {
    move |source| ClientJobError::Io { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    fn client(program: Program) -> Client {
        Client { name: "c".to_owned(), word: "c".to_owned(), program }
    }

    fn way(text: &str) -> Properties {
        Properties::parse(&format!("bootstrap.servers=h:1\n{text}")).unwrap()
    }

    /// The arguments of a job with these settings, and its file.
    fn told(program: Program, verb: Verb, settings: &[(&str, &str)], over: &str) -> Result<(String, String), String> {
        let dir = scratch("client-job");
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (way, file) = (way(over), dir.join("p"));
        let job = Job { verb, topic: "t", records: 7, record_bytes: 100, settings: &settings, way: &way, file: &file };
        let command = client(program).command(&job).map_err(|error| error.to_string());
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::remove_dir_all(dir).unwrap();
        let words: Vec<String> = command?.get_args().map(|it| it.to_string_lossy().into_owned()).collect();
        Ok((words.join(" "), text))
    }

    #[test]
    fn words_name_clients_and_a_word_that_names_none_says_what_would() {
        let dir = scratch("clients");
        std::fs::create_dir_all(dir.join("kafka-4.3.1/libs")).unwrap();
        assert_eq!(parse("ringlog", &dir).unwrap().name, "ringlog");
        let kafka = parse("kafka:4.3.1", &dir).unwrap();
        assert_eq!((kafka.name.as_str(), kafka.has_javas_defaults()), ("kafka-4.3.1", true));
        let refused = |word: &str| parse(word, &dir).unwrap_err().to_string();
        assert!(refused("kafka:9.9.9").contains("scripts/peers fetch"));
        assert!(refused("kafka:3.9.2").contains("4.2"), "its tools have other options");
        assert!(refused("librdkafka").contains("librdkafka:PATH"));
        assert!(refused("librdkafka:/no/such").contains("scripts/client-cost"));
        assert!(refused("librdkafka:/bin/false").contains("version"));
        assert!(refused("librdkafka:/bin/true").contains("version"), "it says nothing");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_target_is_named_after_both_and_gives_its_broker_back() {
        let own = client(Program::Ringlog(None));
        assert_eq!(name_of(&own, "kafka-4.3.1"), "c-to-kafka-4.3.1");
        assert_eq!(broker_of(&own, "c-to-kafka-4.3.1"), "kafka-4.3.1");
    }

    #[test]
    fn the_perf_tools_have_their_settings_and_their_secrets_in_a_file() {
        let kafka = Program::Kafka { libs: "/jars".into() };
        let settings = [("acks", "1"), ("linger.ms", "5")];
        let (words, file) = told(kafka.clone(), Verb::Produce, &settings, "ssl.key.password=a\\\\b").unwrap();
        let due = "ProducerPerformance --bootstrap-server h:1 --topic t --num-records 7 --payload-file ";
        assert!(words.contains(due) && words.contains("/p.100-bytes --throughput -1"), "{words}");
        assert!(words.contains("-cp /jars/*") && !words.contains("a\\b"), "{words}");
        assert_eq!(file, "ssl.key.password=a\\\\b\nacks=1\nlinger.ms=5\n");
        let fetch = [("fetch.min.bytes", "1"), ("max.partition.fetch.bytes", "9")];
        let (words, file) = told(Program::Ringlog(None), Verb::Consume, &fetch, "").unwrap();
        assert!(words.starts_with("consumer-perf ") && words.contains("--timeout 60000 --fetch-size 9"), "{words}");
        assert_eq!(file, "fetch.min.bytes=1\n");
    }

    #[test]
    fn values_are_lines_of_the_size_that_records_have() {
        let dir = scratch("client-values");
        let (way, file, settings) = (way(""), dir.join("client.properties"), BTreeMap::new());
        let job = |record_bytes| Job {
            verb: Verb::Produce,
            topic: "t",
            records: 7,
            record_bytes,
            settings: &settings,
            way: &way,
            file: &file,
        };
        let path = values(&job(100)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert!(lines.len() == VALUES && lines.iter().all(|line| line.len() == 100), "{}", lines.len());
        assert!(text.bytes().all(|byte| byte == b'\n' || byte.is_ascii_uppercase()));
        assert_ne!(values(&job(1)).unwrap(), path);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn librdkafka_is_told_under_its_own_names_or_refuses() {
        let own = || Program::Librdkafka("/p".into());
        let settings = [("buffer.memory", "33554432"), ("batch.size", "16384")];
        let tls = "security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location=/ca";
        let (words, _) = told(own(), Verb::Produce, &settings, tls).unwrap();
        let due = "produce h:1 t 7 100 security.protocol=SSL ssl.ca.location=/ca batch.size=16384 queue.buffering.max.kbytes=32768";
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(&words), sorted(due));
        let (words, _) = told(own(), Verb::Consume, &[("fetch.max.wait.ms", "9")], "").unwrap();
        assert!(words.contains("auto.offset.reset=earliest") && words.contains("fetch.wait.max.ms=9"), "{words}");
        let refused = told(own(), Verb::Produce, &[], "sasl.jaas.config=x").unwrap_err();
        assert!(refused.contains("sasl.jaas.config") && refused.contains("leave this client out"), "{refused}");
        assert!(told(own(), Verb::Produce, &[], "ssl.truststore.type=PKCS12").is_err());
    }

    #[test]
    fn what_was_moved_is_read_from_each_clients_last_line() {
        let tool = "5 records sent, 1.0 records/sec (1.00 MB/sec), 1.0 ms avg latency, 1.0 ms max latency.\n\
            9 records sent, 1.0 records/sec (1.00 MB/sec), 1 ms avg, 1 ms max, 1 ms 50th, 1 ms 95th, 1 ms 99th, 2 ms 99.9th.\n";
        assert_eq!(moved(tool), Some(9));
        let row = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, x\n\
            2026-11-21 10:00:00:123, 2026-11-21 10:00:01:123, 0.9537, 1.2, 1000, 4.5, 3\n";
        assert_eq!(moved(row), Some(1000));
        assert_eq!((moved("12 delivered, 0 failed\n"), moved("11 delivered, 1 failed\n")), (Some(12), None));
        assert_eq!((moved("13 records, 99 bytes\n"), moved("Exception in thread main")), (Some(13), None));
    }
}

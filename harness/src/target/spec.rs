//! A target from a word of the command line.
//!
//! | word | what it is |
//! |---|---|
//! | `ringlog` | this binary's broker |
//! | `ringlog:PATH` | another binary's |
//! | `kafka:VERSION` | Apache Kafka, from `$RINGLOG_PEERS/kafka-VERSION/libs` (else `.peers/..`; `scripts/peers fetch`) |
//! | `kafka:PATH` | the same, from a folder of jars |
//! | `3xkafka:..` | a cluster of three nodes of it on this machine |
//! | `NAME=WORD` | one of these under another name |

use std::path::{Path, PathBuf};

use super::{Start, Target};
use crate::host::facts::sanitized;

/// Megabytes that a JVM is given before its first round: below that its code is still being compiled.
const KAFKA_WARM_UP_MB: u64 = 2000;

/// Nodes of a cluster on one machine.
const NODES_MAX: u32 = 9;

/// Why a word names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No kind.
    #[error(
        "{0:?} is no target: use ringlog, ringlog:PATH, kafka:VERSION, kafka:FOLDER or 3xkafka:.. (three nodes), or NAME= before \
         one of these"
    )]
    Unknown(String),
    /// A file or a folder that is not there.
    #[error("{word}: there is no {path}; {advice}")]
    Missing {
        /// The word.
        word: String,
        /// What was looked for.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// A cluster that we cannot start.
    #[error(
        "{word}: a cluster that is started here has 1 to {NODES_MAX} nodes, of kafka; start others yourself and name them with \
         --bootstrap-server"
    )]
    Nodes {
        /// The word.
        word: String,
    },
    /// No client.
    #[error(
        "{0:?} is no client: use ringlog, ringlog:PATH, kafka:VERSION (4.2 or later) or librdkafka:PATH (what scripts/client-cost \
         compiles)"
    )]
    NoClient(String),
    /// A program that does not say what it is.
    #[error(
        "{word}: `{program} version` does not name a version: it is no program made from scripts/lib/librdkafka_cost.c"
    )]
    NoLibrdkafka {
        /// The word.
        word: String,
        /// What was asked.
        program: PathBuf,
    },
    /// Two targets of one name.
    #[error("two targets are called {0}: give one of them another name with NAME= before it")]
    SameName(String),
}

/// The target of a word.
pub fn parse(word: &str, peers: &Path) -> Result<Target, TargetError> {
    let (name, kind) = match word.split_once('=') {
        Some((name, kind)) => (Some(sanitized(name)), kind),
        None => (None, word),
    };
    let (kind, rest) = kind.split_once(':').map_or((kind, None), |(kind, rest)| (kind, Some(rest)));
    let (nodes, kind) = counted(kind);
    let is_startable = nodes.is_none_or(|it| kind == "kafka" && (1..=NODES_MAX).contains(&it));
    match (kind, rest) {
        _ if !is_startable => Err(TargetError::Nodes { word: word.to_owned() }),
        ("ringlog", None) => Ok(Target::new(name.unwrap_or_else(|| kind.to_owned()), Start::Ringlog { program: None })),
        ("ringlog", Some(path)) => {
            let program = there(word, Path::new(path), "name a binary that was built")?;
            Ok(Target::new(name.unwrap_or_else(|| sanitized(path)), Start::Ringlog { program: Some(program) }))
        }
        ("kafka", Some(version)) => {
            let libs = if version.contains('/') { PathBuf::from(version) } else { libs_of(version, peers) };
            let libs = there(word, &libs, "`scripts/peers fetch` gets Kafka's jars, RINGLOG_PEERS names their folder")?;
            let times = nodes.map_or_else(String::new, |it| format!("{it}x"));
            let name = name.unwrap_or_else(|| sanitized(&format!("{times}kafka-{}", version.trim_matches('/'))));
            let start = Start::Kafka { libs, nodes: nodes.unwrap_or(1) };
            Ok(Target { warm_up_mb: KAFKA_WARM_UP_MB, ..Target::new(name, start) })
        }
        _ => Err(TargetError::Unknown(word.to_owned())),
    }
}

/// `3xkafka` is three of kafka.
fn counted(kind: &str) -> (Option<u32>, &str) {
    let count = kind.split_once('x').and_then(|(count, kind)| Some((count.parse().ok()?, kind)));
    count.map_or((None, kind), |(count, kind)| (Some(count), kind))
}

/// Refuses two targets of one name.
pub fn distinct(targets: &[Target]) -> Result<(), TargetError> {
    let twice = targets.iter().enumerate().find(|(at, it)| targets[..*at].iter().any(|other| other.name == it.name));
    twice.map_or(Ok(()), |(_, it)| Err(TargetError::SameName(it.name.clone())))
}

/// Where other people's software is: RINGLOG_PEERS, or `.peers` of the working directory.
#[must_use]
pub fn peers() -> PathBuf {
    std::env::var_os("RINGLOG_PEERS").map_or_else(|| PathBuf::from(".peers"), PathBuf::from)
}

pub(super) fn libs_of(version: &str, peers: &Path) -> PathBuf {
    peers.join(format!("kafka-{version}")).join("libs")
}

fn there(word: &str, path: &Path, advice: &'static str) -> Result<PathBuf, TargetError> {
    path.canonicalize().map_err(|_| TargetError::Missing { word: word.to_owned(), path: path.to_owned(), advice })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    #[test]
    fn words_name_targets() {
        let dir = scratch("targets");
        std::fs::create_dir_all(dir.join("kafka-4.3.1/libs")).unwrap();
        let own = parse("ringlog", &dir).unwrap();
        assert_eq!((own.name.as_str(), own.start), ("ringlog", Start::Ringlog { program: None }));
        let kafka = parse("kafka:4.3.1", &dir).unwrap();
        assert_eq!((kafka.name.as_str(), kafka.warm_up_mb), ("kafka-4.3.1", KAFKA_WARM_UP_MB));
        let three = parse("3xkafka:4.3.1", &dir).unwrap();
        assert_eq!((three.name.as_str(), three.start.nodes(), three.replication_factor), ("3xkafka-4.3.1", 3, 3));
        let two = parse("small=2xkafka:4.3.1", &dir).unwrap();
        assert_eq!((two.name.as_str(), two.start.nodes(), two.replication_factor), ("small", 2, 2));
        let other = parse(&format!("before=ringlog:{}", dir.display()), &dir).unwrap();
        assert_eq!(other.name, "before");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_word_that_names_nothing_says_what_would() {
        let refused = |word: &str| parse(word, Path::new("/nowhere")).unwrap_err().to_string();
        assert!(refused("redpanda").contains("use ringlog"));
        assert!(refused("kafka").contains("kafka:VERSION"));
        assert!(refused("kafka:4.3.1").contains("scripts/peers fetch"));
        assert!(refused("ringlog:/no/such").contains("/no/such"));
        for word in ["3xringlog", "0xkafka:4.3.1", "10xkafka:4.3.1"] {
            let told = refused(word);
            assert!(told.starts_with(word) && told.contains("1 to 9 nodes, of kafka"), "{told}");
        }
    }

    #[test]
    fn two_targets_of_one_name_are_refused() {
        let two = [Target::null(crate::yardstick::Mode::Receive), Target::null(crate::yardstick::Mode::Receive)];
        assert!(distinct(&two).unwrap_err().to_string().contains("null-receive"));
        assert_eq!(distinct(&two[..1]), Ok(()));
    }
}

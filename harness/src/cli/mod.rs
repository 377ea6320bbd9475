//! What the verbs share: the two option parsers of Kafka's tools, Java's number formats, metrics tables.

pub(crate) mod argparse;
pub(crate) mod client_metrics;
pub(crate) mod compat;
pub(crate) mod java_format;
pub(crate) mod jopt;
pub(crate) mod metrics;

use std::path::Path;

use crate::client::ClientError;
use crate::client::config::ConfigError;
use crate::client::properties::Properties;

/// Why a perf tool ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PerfError {
    #[error("{0}")]
    Text(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the driver cannot start: {0}")]
    Driver(#[from] std::io::Error),
}

/// Reads a `.properties` file.
// The harness reads the files that its user names; they are no part of what is simulated.
#[allow(clippy::disallowed_methods)]
pub(crate) fn read_properties(path: &str) -> Result<Properties, String> {
    let text = std::fs::read(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
    // java.util.Properties.load(InputStream) reads Latin-1; files in UTF-8 are what people have.
    let text =
        String::from_utf8(text).unwrap_or_else(|error| error.as_bytes().iter().map(|b| char::from(*b)).collect());
    Properties::parse(&text).map_err(|error| format!("{path}: {error}"))
}

/// Says on stderr, as soon as it is known and once for each kind, why a broker cannot be reached; the client goes on.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    pub(crate) fn unreachable(&mut self, reason: &str) {
        if !self.0.iter().any(|known| same_kind(known, reason)) {
            errln!("WARN no connection to {reason}");
            self.0.push(reason.to_owned());
        }
    }
}

/// Two texts that differ in their numbers only.
pub(crate) fn same_kind(left: &str, right: &str) -> bool {
    let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    words(left) == words(right)
}

/// Names the properties that had no effect, as the Java client's log does.
pub(crate) fn warn_unused(unused: &[String]) {
    if !unused.is_empty() {
        errln!("WARN These configurations '[{}]' were supplied but are not used yet.", unused.join(", "));
    }
}

/// How the texts begin of what the Java clients check only while they are being made, and wrap.
const CHECKED_LATE: [&str; 6] = [
    "Class ",
    "delivery.timeout.ms should be",
    "Invalid url in bootstrap.servers",
    "Invalid port in bootstrap.servers",
    "No resolvable bootstrap urls",
    "Couldn't resolve server",
];

impl PerfError {
    /// What goes to stderr: Kafka's words. `client` is `producer` or `consumer`.
    pub(crate) fn report(&self, client: &str) -> String {
        let text = self.to_string();
        let is_config = matches!(self, Self::Config(_) | Self::Client(ClientError::Config(_)));
        if is_config && CHECKED_LATE.iter().any(|begin| text.starts_with(begin)) {
            return format!("Failed to construct kafka {client}\nCaused by: {text}");
        }
        text
    }
}

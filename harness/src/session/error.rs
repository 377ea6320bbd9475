//! Why a session measured nothing.

use std::path::PathBuf;

use crate::client::ClientError;
use crate::emulate::EmulateError;
use crate::results::ResultsError;
use crate::target::control::ControlError;
use crate::target::process::StartError;
use crate::target::spec::TargetError;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A target that is none.
    #[error("--target: {0}")]
    Target(#[from] TargetError),
    /// A process that is not there.
    #[error("--broker-pid {0}: no such process runs on this machine; leave the option out for a broker elsewhere")]
    BrokerPid(u32),
    /// A client's properties file.
    #[error("{what}: {reason}")]
    CommandConfig {
        /// Which.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `--resume` names a run of something else.
    #[error("--resume {path}: {what}: give the options that it was started with")]
    Resume {
        /// Its folder.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// `--resume` names no run.
    #[error("--resume {0}: there is no such run: give the folder that the run named")]
    NoRun(PathBuf),
    /// Results could not be kept.
    #[error("--results {path}: {source}: name a folder that may be written")]
    Keep {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A machine that is not emulated.
    #[error(transparent)]
    Emulate(#[from] EmulateError),
    /// A broker did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Settings with which no client can be made.
    #[error("{name}: {reason}")]
    Client {
        /// What the target is called.
        name: String,
        /// The client's words.
        reason: String,
    },
    /// A broker that runs already gives no answer that can be used.
    #[error("{name}: {what} at {bootstrap}: {reason}; {advice}")]
    Missing {
        /// What is there instead of an answer.
        what: &'static str,
        /// What to do.
        advice: &'static str,
        /// What it is called.
        name: String,
        /// Where it was looked for.
        bootstrap: String,
        /// The client's words.
        reason: String,
    },
    /// Events on a broker that somebody else runs.
    #[error(
        "workload {workload} has events on its target, and {target} runs already: only a broker that is started here is killed, \
         halted or filled; start one with --target, or leave the workload out"
    )]
    Events {
        /// The workload.
        workload: String,
        /// The target.
        target: String,
    },
    /// More replicas than nodes.
    #[error(
        "{workload} asks for {replicas} replicas, and {target} has {nodes} node(s): start a cluster (--target 3xkafka:VERSION), name \
         one with --bootstrap-server, or ask for fewer"
    )]
    Replicas {
        /// Who asks.
        workload: String,
        /// For how many.
        replicas: i16,
        /// The target.
        target: String,
        /// What it has.
        nodes: u32,
    },
    /// The target's disk.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// An endpoint does not answer.
    #[error("--metrics-from: {0}; start the exporter, or leave the option out: its columns are empty then")]
    Metrics(String),
    /// The results.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The folder, memory, signals.
    #[error("{what}: {source}")]
    Io {
        /// What was under way.
        what: String,
        /// The system's words.
        source: std::io::Error,
    },
}

impl SessionError {
    /// Why a broker that is to run already cannot be measured, and what to do about this reason.
    pub(super) fn missing(name: &str, bootstrap: &str, error: &ClientError) -> Self {
        let (name, bootstrap, reason) = (name.to_owned(), bootstrap.to_owned(), error.to_string());
        let (what, advice) = match error {
            ClientError::Config(_) => return Self::Client { name, reason },
            ClientError::Authentication(_) => {
                ("the broker turns this client away", "mend security.protocol, ssl.* and sasl.* in --command-config")
            }
            ClientError::Timeout { .. } if !reason.contains("refused") => (
                "no broker answers",
                "look whether its listener speaks what security.protocol in --command-config says, and whether it is up",
            ),
            ClientError::Timeout { .. } | ClientError::Io(_) => {
                ("no broker answers", "start it, or name one that runs with --bootstrap-server")
            }
            _ => ("no answer that can be used", "name a Kafka broker, and a user who may describe topics"),
        };
        Self::Missing { what, advice, name, bootstrap, reason }
    }

    /// Whether the options are wrong, so that nothing could have been measured anywhere.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Target(_)
                | Self::BrokerPid(_)
                | Self::Client { .. }
                | Self::CommandConfig { .. }
                | Self::Resume { .. }
                | Self::NoRun(_)
                | Self::Keep { .. }
                | Self::Events { .. }
                | Self::Replicas { .. }
        ) || matches!(self, Self::Emulate(error) if error.is_usage())
    }
}

/// Names what was under way when the system refused something.
pub(super) fn io(what: &str) -> impl FnOnce(std::io::Error) -> SessionError + '_ {
    move |source| SessionError::Io { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::ConfigError;

    #[test]
    fn each_reason_why_a_broker_cannot_be_measured_has_its_own_advice() {
        let told = |error: &ClientError| SessionError::missing("k", "h:1", error).to_string();
        let timeout = |what: &str| ClientError::Timeout { what: what.to_owned(), waited_ms: 5000 };
        let refused = told(&timeout("Metadata was answered (h:1: Connection refused)"));
        assert!(refused.ends_with("start it, or name one that runs with --bootstrap-server"), "{refused}");
        let silent = told(&timeout("Metadata was answered (h:1: the connection ended)"));
        assert!(silent.contains("security.protocol") && !silent.contains("start it"), "{silent}");
        let config = ClientError::Config(ConfigError::Conflict("Invalid url in bootstrap.servers: x".to_owned()));
        let error = SessionError::missing("k", "x", &config);
        assert_eq!((error.to_string().as_str(), error.is_usage()), ("k: Invalid url in bootstrap.servers: x", true));
    }
}

//! Why a session measured nothing.

use std::path::PathBuf;

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
    /// A machine that is not emulated.
    #[error(transparent)]
    Emulate(#[from] EmulateError),
    /// A broker did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A broker that runs already does not answer.
    #[error(
        "{name}: no broker answers at {bootstrap}: {reason}; start it, or name one that runs with --bootstrap-server"
    )]
    Missing {
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
    /// Whether the options are wrong, so that nothing could have been measured anywhere.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Target(_)
                | Self::CommandConfig { .. }
                | Self::Resume { .. }
                | Self::Events { .. }
                | Self::Replicas { .. }
        ) || matches!(self, Self::Emulate(error) if error.is_usage())
    }
}

/// Names what was under way when the system refused something.
pub(super) fn io(what: &str) -> impl FnOnce(std::io::Error) -> SessionError + '_ {
    move |source| SessionError::Io { what: what.to_owned(), source }
}

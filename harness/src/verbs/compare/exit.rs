//! How a comparison ends: exit codes, and why there is none.

use std::path::PathBuf;

use crate::results::ResultsError;
use crate::session::SessionError;
use crate::spec::workload::WorkloadError;
use crate::verdict::Verdict;
use crate::verdict::gates::GateError;

pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 same or better (with --aa: quiet); 1 worse; 2 wrong usage; 3 inconclusive; 4 invalid: records lost, a client at
its limit, an emulated machine more than 15 % off, a broker that did not start or ended, sides that are the same and differ (--aa); 5 a gate is not met. 130 interrupted.
Of several the first of 130, 4, 5, 1, 3.";

pub(super) const WORSE: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const INCONCLUSIVE: u8 = 3;
pub(super) const INVALID: u8 = 4;
pub(super) const GATE: u8 = 5;
pub(super) const INTERRUPTED: u8 = 130;

/// How the measuring ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it was meant to.
    #[default]
    Whole,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Something went wrong.
    Broken(String),
}

/// The exit code of a verdict, gates apart.
pub(super) fn code_of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Better | Verdict::Same => 0,
        Verdict::Worse => WORSE,
        Verdict::Inconclusive => INCONCLUSIVE,
        Verdict::ClientBound | Verdict::NoData => INVALID,
    }
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompareError {
    /// Options that do not fit together.
    #[error("{0}")]
    Usage(String),
    /// A profile.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// Gates.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Results that cannot be read.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// Rows without sides.
    #[error(
        "{0}: its rows have no sides: it is no run of ringlog compare; --noise and --power want one of ringlog compare --aa"
    )]
    NotPaired(PathBuf),
    /// Rows whose sides were different on purpose.
    #[error(
        "{0}: its sides were not the same (its manifest does not say aa = true): what differed would be taken for noise; give a run \
         of ringlog compare --aa"
    )]
    NotEqual(PathBuf),
    /// The measuring.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file.
    #[error("{what}: {source}")]
    Io {
        /// Which.
        what: String,
        /// The system's words.
        source: std::io::Error,
    },
}

impl CompareError {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Session(error) if !error.is_usage() => INVALID,
            _ => USAGE,
        }
    }
}

//! Why a machine is not emulated.

use std::path::PathBuf;

/// Why nothing was limited. What was begun is undone.
#[derive(Debug, thiserror::Error)]
pub enum EmulateError {
    /// Words that say nothing.
    #[error("--emulate: {0}")]
    Words(String),
    /// The emulated machine would be the better one.
    #[error("--emulate: {what} has {wanted}, and this machine {has}: only a smaller machine is emulated; {advice}")]
    Faster {
        /// What is faster.
        what: String,
        /// How much of it is asked for.
        wanted: String,
        /// How much there is.
        has: String,
        /// What to do.
        advice: String,
    },
    /// A broker that somebody else runs.
    #[error(
        "--emulate: {0} runs already, and only brokers that are started here are limited: start one with --target, or leave \
         --emulate out"
    )]
    Remote(String),
    /// Nothing here limits it.
    #[error("--emulate: nothing limits {key} here: {why}; {advice}, or leave it as it is with {key}=native")]
    NoMeans {
        /// What should be limited.
        key: &'static str,
        /// Why it is not.
        why: String,
        /// What to do.
        advice: String,
    },
    /// A control group that we may not make or change.
    #[error(
        "--emulate: {what} {path}: {source}; limiting wants the rights to make control groups: be root, or have a group of your \
         own delegated (version 2: `systemd-run --user --scope -p Delegate=yes ringlog ..` within it)"
    )]
    Group {
        /// What was under way.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A network of our own.
    #[error(
        "--emulate: {what}: {reason}; a loopback of our own wants root (CAP_SYS_ADMIN, CAP_NET_ADMIN), iproute2's ip and tc, and \
         the kernel's htb and u32; leave it as it is with network_gbps=native"
    )]
    Network {
        /// What was under way.
        what: String,
        /// What the system or the tool said.
        reason: String,
    },
    /// The library that delays fsync.
    #[error("--emulate: {what}: {reason}; leave it as it is with fdatasync_us=native")]
    Sync {
        /// What was under way.
        what: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The measuring of what is left.
    #[error("--emulate: measuring what the limits leave: {0}")]
    Check(String),
}

impl EmulateError {
    /// Whether the options are wrong, so that it could not be done on this machine by anybody.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Words(_) | Self::Faster { .. } | Self::Remote(_))
    }
}

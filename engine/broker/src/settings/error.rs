//! Why the broker does not start with what it was given: each names the setting, its value, the limit and what to do.

use super::key::InvalidValue;
use super::properties;

/// Why the broker does not start with these settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// An argument that is none.
    #[error("{argument}: {why}; see ringlog broker --help")]
    Argument {
        /// As it was given.
        argument: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The file cannot be read.
    #[error("--config {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the kernel says.
        error: std::io::Error,
    },
    /// The file is not in the syntax of properties.
    #[error("{path}: {error}")]
    Syntax {
        /// The file.
        path: String,
        /// The line and why.
        error: properties::PropertiesError,
    },
    /// A value that its setting does not take.
    #[error("{invalid} (in {place}: give another value, or leave it out for the default, {default})")]
    Invalid {
        /// Key, value and limit.
        invalid: InvalidValue,
        /// The file or the option.
        place: String,
        /// The setting's default.
        default: String,
    },
    /// A value that cannot be served.
    #[error("{key}={value}: {why}")]
    Unusable {
        /// The setting.
        key: &'static str,
        /// Its text.
        value: String,
        /// The limit and what to do.
        why: String,
    },
}

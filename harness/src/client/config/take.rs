//! Reading properties: each value by its kind, with Kafka's error texts, and which properties nobody asked for.

use std::time::Duration;

use super::super::properties::{HIDDEN, Properties, is_secret};
use super::{ConfigError, JAVA_ONLY};

/// Reads properties and remembers which were read.
pub(super) struct Take<'a> {
    pub(super) properties: &'a Properties,
    used: Vec<&'static str>,
    /// Every setting that was read, with its value after defaults; secrets are not shown.
    pub(super) effective: Vec<(&'static str, String)>,
}

impl<'a> Take<'a> {
    pub(super) fn new(properties: &'a Properties) -> Self {
        Self { properties, used: JAVA_ONLY.to_vec(), effective: Vec::new() }
    }

    pub(super) fn unused(&self) -> Vec<String> {
        let names = self.properties.iter().map(|(name, _)| name);
        names.filter(|name| !self.used.contains(name)).map(str::to_owned).collect()
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.used.push(name);
        let text = self.properties.get(name).map(str::trim);
        if let Some(text) = text {
            self.note(name, if is_secret(name) { HIDDEN } else { text });
        }
        text
    }

    fn note(&mut self, name: &'static str, value: impl ToString) {
        self.effective.retain(|(known, _)| *known != name);
        self.effective.push((name, value.to_string()));
    }

    pub(super) fn i64(&mut self, name: &'static str, default: i64, min: i64, max: i64) -> Result<i64, ConfigError> {
        let Some(text) = self.text(name) else {
            self.note(name, default);
            return Ok(default);
        };
        let kind = if max > i64::from(i32::MAX) { "LONG" } else { "INT" };
        let value: i64 = text.parse().map_err(|_| invalid(name, text, format!("Not a number of type {kind}")))?;
        if value < min {
            return Err(invalid(name, text, format!("Value must be at least {min}")));
        }
        if value > max {
            return Err(invalid(name, text, format!("Not a number of type {kind}")));
        }
        Ok(value)
    }

    pub(super) fn i32(&mut self, name: &'static str, default: i32, min: i32) -> Result<i32, ConfigError> {
        let value = self.i64(name, i64::from(default), i64::from(min), i64::from(i32::MAX))?;
        Ok(i32::try_from(value).unwrap_or(default))
    }

    pub(super) fn u32(&mut self, name: &'static str, default: u32, min: i64) -> Result<u32, ConfigError> {
        let value = self.i64(name, i64::from(default), min, i64::from(i32::MAX))?;
        Ok(u32::try_from(value).unwrap_or(default))
    }

    pub(super) fn usize(&mut self, name: &'static str, default: usize, min: i64) -> Result<usize, ConfigError> {
        // buffer.memory is Kafka's only LONG among these; the others fit an INT.
        let max = if name == "buffer.memory" { i64::MAX } else { i64::from(i32::MAX) };
        let value = self.i64(name, i64::try_from(default).unwrap_or(max), min, max)?;
        Ok(usize::try_from(value).unwrap_or(default))
    }

    pub(super) fn millis(&mut self, name: &'static str, default: u64) -> Result<Duration, ConfigError> {
        let value = self.i64(name, i64::try_from(default).unwrap_or(i64::MAX), 0, i64::MAX)?;
        Ok(Duration::from_millis(u64::try_from(value).unwrap_or(default)))
    }

    /// As [`Self::millis`], for the settings that are an INT in Kafka.
    pub(super) fn int_millis(&mut self, name: &'static str, default: i32, min: i32) -> Result<Duration, ConfigError> {
        let value = self.i32(name, default, min)?;
        Ok(Duration::from_millis(u64::try_from(value).unwrap_or(0)))
    }

    pub(super) fn bool(&mut self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.text(name) {
            None => {
                self.note(name, default);
                Ok(default)
            }
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(invalid(name, text, "Expected value to be either true or false".into())),
        }
    }

    pub(super) fn choice(&mut self, name: &'static str, default: &'a str, of: &[&str]) -> Result<&'a str, ConfigError> {
        let text = self.text(name).unwrap_or(default);
        self.note(name, text);
        if of.contains(&text) {
            return Ok(text);
        }
        Err(invalid(name, text, format!("String must be one of: {}", of.join(", "))))
    }

    pub(super) fn refuse(&mut self, name: &'static str, instead: &'static str) -> Result<(), ConfigError> {
        match self.text(name) {
            None | Some("") => Ok(()),
            Some(value) => Err(ConfigError::NotSupported { name, value: value.to_owned(), instead }),
        }
    }
}

pub(super) fn invalid(name: &str, value: &str, reason: String) -> ConfigError {
    ConfigError::Invalid { name: name.to_owned(), value: value.to_owned(), reason }
}

pub(super) fn conflict<T>(text: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Conflict(text.to_owned()))
}

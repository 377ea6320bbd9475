//! A TOML file that a person wrote, with the line of each of its keys, so that whatever is wrong with it can be shown there.
//!
//! ```text
//!   text -> Document -- read::<T>() --> T            a key that is not known, a value of the wrong kind: line, nearest key
//!                    -- numbers() ----> paths        every number in it, by its path: disk.0.seq_write_mb_s
//!                    -- line_of(path) -> line        for what only shows once it is read: two values that contradict
//! ```

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How alike two keys must be for one to be offered in place of the other (Jaro-Winkler, 0 to 1).
const ALIKE_MIN: f64 = 0.75;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Finding {
    /// The file, or the name of a built-in one.
    pub origin: String,
    /// Line from 1; 0 where it is about the whole file.
    pub line: usize,
    /// What is wrong and what would be right.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.origin, self.words),
            line => write!(f, "{}:{line}: {}", self.origin, self.words),
        }
    }
}

/// A TOML text that parses.
#[derive(Debug)]
pub struct Document<'a> {
    origin: &'a str,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Parses; `origin` is the file's name for messages.
    pub fn parse(origin: &'a str, text: &'a str) -> Result<Self, Finding> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { origin, text, root }),
            Err(error) => Err(finding(origin, text, &error)),
        }
    }

    /// Its values as a type whose keys are all known to serde.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Finding> {
        toml::from_str(self.text).map_err(|error| finding(self.origin, self.text, &error))
    }

    /// A finding at the line of a path, or of the nearest thing above it that is there.
    #[must_use]
    pub fn finding(&self, path: &str, words: impl Into<String>) -> Finding {
        Finding { origin: self.origin.to_owned(), line: self.line_of(path), words: words.into() }
    }

    /// Whether there is such a path.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let mut at = Place::Table(self.root.get_ref());
        path.split('.').all(|step| {
            at.step(step).is_some_and(|(_, next)| {
                at = next;
                true
            })
        })
    }

    /// The line of a path such as `disk.0.seq_write_mb_s`.
    #[must_use]
    pub fn line_of(&self, path: &str) -> usize {
        let mut span = 0..0;
        let mut at = Place::Table(self.root.get_ref());
        for step in path.split('.') {
            let Some((found, next)) = at.step(step) else { break };
            span = found;
            at = next;
        }
        line(self.text, span.start)
    }

    /// The paths of all numbers, in the order of the names. A table of quantiles (p50, p99, ..) counts as one.
    #[must_use]
    pub fn numbers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (key, value) in self.root.get_ref() {
            numbers(key.get_ref(), value.get_ref(), &mut found);
        }
        found
    }
}

/// Where a path has come to.
enum Place<'a> {
    Table(&'a DeTable<'a>),
    Value(&'a DeValue<'a>),
}

impl<'a> Place<'a> {
    fn step(&self, step: &str) -> Option<(Range<usize>, Place<'a>)> {
        let table = match self {
            Self::Table(table) => table,
            Self::Value(DeValue::Table(table)) => table,
            Self::Value(DeValue::Array(all)) => {
                let value = all.get(step.parse::<usize>().ok()?)?;
                return Some((value.span(), Place::Value(value.get_ref())));
            }
            Self::Value(_) => return None,
        };
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == step)?;
        Some((key.span(), Place::Value(value.get_ref())))
    }
}

fn numbers(name: &str, value: &DeValue<'_>, found: &mut Vec<String>) {
    match value {
        DeValue::Integer(_) | DeValue::Float(_) => found.push(name.to_owned()),
        DeValue::Table(table) if is_quantiles(table) => found.push(name.to_owned()),
        DeValue::Table(table) => {
            table.iter().for_each(|(key, it)| numbers(&format!("{name}.{}", key.get_ref()), it.get_ref(), found));
        }
        DeValue::Array(all) => {
            all.iter().enumerate().for_each(|(at, it)| numbers(&format!("{name}.{at}"), it.get_ref(), found));
        }
        _ => {}
    }
}

fn is_quantiles(table: &DeTable<'_>) -> bool {
    let quantile = |key: &str| key == "max" || key.strip_prefix('p').is_some_and(|it| it.parse::<u32>().is_ok());
    !table.is_empty() && table.keys().all(|key| quantile(key.get_ref()))
}

fn finding(origin: &str, text: &str, error: &toml::de::Error) -> Finding {
    let line = error.span().map_or(0, |span| line(text, span.start));
    Finding { origin: origin.to_owned(), line, words: with_nearest(error.message()) }
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&it| it == b'\n').count()
}

/// serde names the key that it does not know and all that it knows: the nearest is what a person wants to read.
fn with_nearest(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    match nearest(unknown, names) {
        Some(key) => format!("there is no key {unknown:?} here; the nearest is {key:?}"),
        None => message.to_owned(),
    }
}

/// The name most like this one, if any is like it at all.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.into_iter().map(|it| (strsim::jaro_winkler(name, it), it));
    alike.filter(|it| it.0 >= ALIKE_MIN).max_by(|a, b| a.0.total_cmp(&b.0)).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "name = \"a\"\n[nic]\nbaseline_gbps = 1\n[[disk]]\nsize_gb = 2\nfsync_us = { p50 = 1, p99 = 2 }\n";

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nic {
        #[allow(dead_code)]
        baseline_gbps: f64,
    }

    #[test]
    fn numbers_are_found_with_their_lines_and_quantiles_are_one() {
        let document = Document::parse("x.toml", TEXT).unwrap();
        assert_eq!(document.numbers(), ["disk.0.fsync_us", "disk.0.size_gb", "nic.baseline_gbps"]);
        assert_eq!(["disk.0.size_gb", "nic.baseline_gbps", "disk.0.nothing"].map(|it| document.line_of(it)), [5, 3, 4]);
        assert_eq!(document.finding("nic", "no").to_string(), "x.toml:2: no");
    }

    #[test]
    fn a_key_that_is_not_known_is_shown_with_its_line_and_the_nearest() {
        let error = Document::parse("x.toml", "\nbaseline_gps = 1").unwrap().read::<Nic>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.toml:2: there is no key \"baseline_gps\" here; the nearest is \"baseline_gbps\""
        );
        let error = Document::parse("x.toml", "a = ").unwrap_err();
        assert_eq!((error.origin.as_str(), error.line), ("x.toml", 1));
    }
}

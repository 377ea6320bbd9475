//! Options beyond the originals', taken out of the arguments before a compatible parser sees the rest: its usage, its
//! errors and its abbreviations stay what they are.
//!
//! - `--opt value` and `--opt=value`, by the whole name only: an abbreviation belongs to the original's parser.
//! - A value does not begin with `--`. An option that was given twice is refused.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::load::clients::CLIENTS_MAX;

/// One option beyond the original's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    /// With its dashes.
    pub(crate) name: &'static str,
    /// What its value is called; empty where it takes none.
    pub(crate) metavar: &'static str,
    pub(crate) help: &'static str,
}

/// An option's line in the help.
pub(crate) const fn extra(name: &'static str, metavar: &'static str, help: &'static str) -> Extra {
    Extra { name, metavar, help }
}

/// More seconds than this are a mistake.
const SECONDS_MAX: f64 = 1e8;

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken(Vec<(&'static str, String)>);

/// Splits the arguments into the extras and what the original's parser is to see.
pub(crate) fn take(extras: &[Extra], args: &[String]) -> Result<(Taken, Vec<String>), String> {
    let (mut taken, mut left) = (Taken::default(), Vec::new());
    let mut rest = args.iter().peekable();
    while let Some(token) = rest.next() {
        let (name, inline) = token.split_once('=').map_or((token.as_str(), None), |(name, value)| (name, Some(value)));
        let Some(extra) = extras.iter().find(|extra| extra.name == name) else {
            left.push(token.clone());
            continue;
        };
        if taken.has(extra.name) {
            return Err(format!("{name} was given twice; once is enough"));
        }
        let value = match (extra.metavar, inline) {
            ("", None) => String::new(),
            ("", Some(value)) => return Err(format!("{name} takes no value, and was given {value}")),
            (_, Some(value)) => value.to_owned(),
            (metavar, None) => {
                let value = rest.next_if(|next| !next.starts_with("--"));
                value.cloned().ok_or_else(|| format!("{name} needs a value: {name} {metavar}"))?
            }
        };
        taken.0.push((extra.name, value));
    }
    Ok((taken, left))
}

/// The section of the help that names the extras.
pub(crate) fn help(original: &str, extras: &[Extra]) -> String {
    let line = |extra: &Extra| {
        let gap = if extra.metavar.is_empty() { "" } else { " " };
        format!("  {}{gap}{}\n      {}\n", extra.name, extra.metavar, extra.help)
    };
    format!("\nBeyond {original}:\n{}", extras.iter().map(line).collect::<String>())
}

impl Taken {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// A file.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// A span of time in seconds.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, String> {
        Ok(self.number(name, (0.001, SECONDS_MAX))?.map(Duration::from_secs_f64))
    }

    /// `--clients`: how many, and whether their threads are pinned.
    pub(crate) fn clients(&self) -> Result<(usize, bool), String> {
        let clients = self.number("--clients", (1, CLIENTS_MAX))?;
        Ok((clients.unwrap_or(1), clients.is_some()))
    }

    /// A number of `min` to `max`.
    pub(crate) fn number<N: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        (min, max): (N, N),
    ) -> Result<Option<N>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number: Option<N> = text.parse().ok().filter(|number| *number >= min && *number <= max);
        number.map(Some).ok_or_else(|| format!("{name} {text}: it must be a number from {min} to {max}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTRAS: &[Extra] = &[
        Extra { name: "--clients", metavar: "N", help: "how many" },
        Extra { name: "--strict", metavar: "", help: "a flag" },
    ];

    fn take_line(line: &str) -> Result<(Taken, Vec<String>), String> {
        take(EXTRAS, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn extras_are_taken_out_and_the_rest_keeps_its_order() {
        let (taken, left) =
            take_line("--topic t --clients 3 --producer-props a=b c=d --strict --print-metrics").unwrap();
        assert_eq!(left.join(" "), "--topic t --producer-props a=b c=d --print-metrics");
        assert_eq!(taken.number("--clients", (1, 64)), Ok(Some(3)));
        assert!(taken.has("--strict"));
        assert_eq!(take_line("--clients=2").unwrap().0.text("--clients"), Some("2"));
    }

    #[test]
    fn abbreviations_are_left_to_the_original() {
        let (taken, left) = take_line("--client 3 --str").unwrap();
        assert_eq!(taken, Taken::default());
        assert_eq!(left, ["--client", "3", "--str"]);
    }

    #[test]
    fn bad_values_are_named_with_their_limits() {
        assert_eq!(take_line("--clients --strict").unwrap_err(), "--clients needs a value: --clients N");
        assert_eq!(take_line("--clients").unwrap_err(), "--clients needs a value: --clients N");
        assert_eq!(take_line("--strict=1").unwrap_err(), "--strict takes no value, and was given 1");
        assert_eq!(take_line("--strict --strict").unwrap_err(), "--strict was given twice; once is enough");
        let taken = take_line("--clients 0").unwrap().0;
        assert_eq!(taken.number("--clients", (1, 64)).unwrap_err(), "--clients 0: it must be a number from 1 to 64");
    }

    #[test]
    fn the_help_names_every_extra() {
        let text = help("kafka-producer-perf-test", EXTRAS);
        assert!(text.starts_with("\nBeyond kafka-producer-perf-test:\n  --clients N\n      how many\n"), "{text}");
    }
}

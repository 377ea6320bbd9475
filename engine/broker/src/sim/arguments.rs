//! The arguments of `ringlog sim`.

use std::ops::Range;
use std::path::Path;

use ringlog_io::{Files, OsFiles};

use super::plan::{Plan, Trouble, Wish};

/// What `ringlog sim --help` prints.
pub(crate) const HELP: &str = "\
Usage: ringlog sim [--seed N | --seeds A..B] [--plan FILE | [--shards N] [--events LIST]] [--go-on] [--quiet]

  --seed N       runs one seed and prints what happens
  --seeds A..B   runs the seeds from A up to but not B, to the first that fails (default 0..1000)
  --shards N     so many shards, whatever the seed says
  --events LIST  only these troubles may come, separated by commas: kill, kill-in-deletion, power-cut, restart, pause,
                 slow-disk, full-disk, sync-error, read-error, write-error, no-descriptors, cold-cache, reset, cut; none
  --plan FILE    settings, clients, weather and troubles as this file says, whatever the seed says: --seed N prints them in
                 this form
  --go-on        does not stop at the first seed that fails
  --quiet        one seed without its log
  --help         this text

The exit code is 1 where a promise was broken.
";

/// What is to be run.
#[derive(Clone, Debug)]
pub(super) struct Arguments {
    pub(super) seeds: Seeds,
    pub(super) wish: Wish,
    pub(super) goes_on: bool,
    pub(super) is_quiet: bool,
}

/// The seeds, from the first up to but not the last.
pub(super) type Seeds = Range<u64>;

/// What the arguments ask for.
pub(super) enum Parsed {
    Arguments(Arguments),
    Help,
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value} is not a number"))
}

impl Arguments {
    pub(super) fn count(&self) -> u64 {
        self.seeds.end - self.seeds.start
    }

    pub(super) fn parse(args: &[String]) -> Result<Parsed, String> {
        let mut parsed = Self { seeds: 0..1_000, wish: Wish::default(), goes_on: false, is_quiet: false };
        let mut rest = args.iter();
        while let Some(name) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{name} wants a value"));
            match name.as_str() {
                "--help" | "-h" => return Ok(Parsed::Help),
                "--go-on" => parsed.goes_on = true,
                "--quiet" => parsed.is_quiet = true,
                "--seed" => {
                    let seed: u64 = number(name, value()?)?;
                    parsed.seeds = seed..seed.checked_add(1).ok_or("--seed: below 2^64-1")?;
                }
                "--seeds" => parsed.seeds = seeds(value()?)?,
                "--shards" => parsed.wish.shards = Some(shards(value()?)?),
                #[cfg(feature = "plant")]
                "--plant" => {
                    let name = value()?;
                    if !ringlog_io::plant::plant(name) {
                        return Err(format!("--plant: {name} is none of {}", ringlog_io::plant::NAMES.join(", ")));
                    }
                }
                "--plan" => parsed.wish.plan = Some(plan(value()?)?),
                "--events" => parsed.wish.troubles = Some(troubles(value()?)?),
                other => return Err(format!("{other} is not an option; --help says which there are")),
            }
        }
        match &parsed.wish {
            Wish { plan: Some(_), shards: None, troubles: None } | Wish { plan: None, .. } => {
                Ok(Parsed::Arguments(parsed))
            }
            _ => Err("--plan says all that --shards and --events say: leave them out".to_owned()),
        }
    }
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let (from, to) = text.split_once("..").ok_or_else(|| format!("--seeds: {text} is not of the form A..B"))?;
    let (from, to) = (number("--seeds", from)?, number("--seeds", to)?);
    if from < to { Ok(from..to) } else { Err(format!("--seeds: {text} has no seeds")) }
}

fn plan(path: &str) -> Result<Box<Plan>, String> {
    let bytes = OsFiles::new().read(Path::new(path)).map_err(|error| format!("--plan: {error}"))?;
    String::from_utf8_lossy(&bytes).parse().map(Box::new).map_err(|error| format!("--plan: {path}: {error}"))
}

fn shards(text: &str) -> Result<usize, String> {
    match number("--shards", text)? {
        count @ 1..=8 => Ok(count),
        count => Err(format!("--shards: {count} is not from 1 to 8")),
    }
}

fn troubles(text: &str) -> Result<Vec<Trouble>, String> {
    let find = |name: &str| {
        let found = Trouble::ALL.iter().find(|(known, _, _)| *known == name);
        found
            .map(|(_, trouble, _)| *trouble)
            .ok_or_else(|| format!("--events: {name} is no trouble; --help lists them"))
    };
    if text == "none" { Ok(Vec::new()) } else { text.split(',').map(find).collect() }
}

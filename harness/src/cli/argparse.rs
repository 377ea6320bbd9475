//! Options as argparse4j 0.7.0 reads them, which kafka-producer-perf-test uses.
//!
//! - `--opt value` and `--opt=value`; an abbreviation that fits one option only is that option.
//! - A token that begins with `-` is no value, unless it is a negative number.
//! - An option given twice: the last one counts, lists too.
//! - The first mistake ends the parse: `unrecognized arguments`, a bad value, two of a group that excludes itself; then
//!   one missing required option; then a missing group.

use std::collections::BTreeMap;

/// How many values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// None: it is there or not.
    Flag,
    /// One.
    One,
    /// One or more (`nargs +`).
    Many,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Long,
    Int,
    Double,
    Choice(&'static [&'static str]),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opt {
    pub(crate) name: &'static str,
    pub(crate) metavar: &'static str,
    pub(crate) arity: Arity,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// One of those that exclude each other, one of which is required.
    pub(crate) exclusive: bool,
    pub(crate) help: &'static str,
}

/// A tool's options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parser {
    pub(crate) program: &'static str,
    pub(crate) description: &'static str,
    pub(crate) options: &'static [Opt],
    /// Those of them that a later release has: an abbreviation is theirs only where it is none of the others'.
    pub(crate) later: &'static [&'static str],
}

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given(BTreeMap<&'static str, Vec<String>>);

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// `-h`.
    Help,
    /// A mistake.
    Error(String),
}

impl Given {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str)
    }

    pub(crate) fn list(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A `Long` or `Int`, which the parser has checked.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// A `Double`, which the parser has checked.
    pub(crate) fn double(&self, name: &str) -> Option<f64> {
        java_double(self.text(name)?).ok()
    }
}

impl Parser {
    /// Reads the arguments.
    pub(crate) fn parse(&self, args: &[String]) -> Result<Given, Stop> {
        let mut given = Given::default();
        let mut at = 0;
        while at < args.len() {
            at = self.take_option(args, at, &mut given)?;
        }
        self.check_required(&given)?;
        Ok(given)
    }

    fn take_option(&self, args: &[String], at: usize, given: &mut Given) -> Result<usize, Stop> {
        let token = &args[at];
        if token == "-h" || token == "--help" {
            return Err(Stop::Help);
        }
        if !looks_like_option(token) {
            return Err(Stop::Error(format!("unrecognized arguments: '{}'", args[at..].join(" "))));
        }
        let (name, inline) = token.split_once('=').map_or((token.as_str(), None), |(name, value)| (name, Some(value)));
        let option = self.find(name)?.ok_or_else(|| Stop::Error(self.unknown(token)))?;
        self.check_exclusive(option, given)?;
        let (values, next) = values_of(option, inline, args, at + 1)?;
        for value in &values {
            check(option, value)?;
        }
        given.0.insert(option.name, values);
        Ok(next)
    }

    /// The option of that name or of which it is the only possible abbreviation.
    fn find(&self, name: &str) -> Result<Option<&Opt>, Stop> {
        if let Some(exact) = self.options.iter().find(|option| option.name == name) {
            return Ok(Some(exact));
        }
        let fits = |is_later: bool| -> Vec<&Opt> {
            let of_release = |option: &&Opt| self.later.contains(&option.name) == is_later;
            let options = self.options.iter().filter(of_release);
            options.filter(|option| name.len() > 2 && option.name.starts_with(name)).collect()
        };
        let fits = Some(fits(false)).filter(|fits| !fits.is_empty()).unwrap_or_else(|| fits(true));
        if fits.len() > 1 {
            let names: Vec<&str> = fits.iter().map(|option| option.name).collect();
            return Err(Stop::Error(format!("ambiguous option: {name} could match {}", names.join(", "))));
        }
        Ok(fits.first().copied())
    }

    fn unknown(&self, token: &str) -> String {
        let mut near: Vec<(usize, &str)> =
            self.options.iter().map(|option| (distance(token, option.name), option.name)).collect();
        near.sort_unstable();
        let near: String = near.iter().take(3).map(|(_, name)| format!("\n\t{name}")).collect();
        format!("unrecognized arguments: '{token}'\nDid you mean:{near}")
    }

    fn check_exclusive(&self, option: &Opt, given: &Given) -> Result<(), Stop> {
        let other =
            self.options.iter().find(|other| other.exclusive && other.name != option.name && given.has(other.name));
        match other.filter(|_| option.exclusive) {
            Some(other) => {
                Err(Stop::Error(format!("argument {}: not allowed with argument {}", option.name, other.name)))
            }
            None => Ok(()),
        }
    }

    fn check_required(&self, given: &Given) -> Result<(), Stop> {
        if let Some(missing) = self.options.iter().find(|option| option.required && !given.has(option.name)) {
            return Err(Stop::Error(format!("argument {} is required", missing.name)));
        }
        let group: Vec<&str> =
            self.options.iter().filter(|option| option.exclusive).map(|option| option.name).collect();
        if !group.is_empty() && !group.iter().any(|name| given.has(name)) {
            return Err(Stop::Error(format!("one of the arguments {} is required", group.join(" "))));
        }
        Ok(())
    }

    /// The usage line.
    pub(crate) fn usage(&self) -> String {
        let (group, single): (Vec<&Opt>, Vec<&Opt>) = self.options.iter().partition(|option| option.exclusive);
        let single: Vec<String> = single.iter().map(|option| option.usage()).collect();
        let group: Vec<String> = group.iter().map(|option| option.form()).collect();
        let group = if group.is_empty() { String::new() } else { format!(" ({})", group.join(" | ")) };
        format!("usage: {} [-h] {}{group}", self.program, single.join(" "))
    }

    /// What `-h` prints.
    pub(crate) fn help(&self) -> String {
        let lines: String =
            self.options.iter().map(|option| format!("  {}\n      {}\n", option.form(), option.help)).collect();
        format!(
            "{}\n\n{}\n\noptions:\n  -h, --help\n      show this help message and exit\n{lines}",
            self.usage(),
            self.description
        )
    }
}

impl Opt {
    fn form(&self) -> String {
        let Self { name, metavar, .. } = self;
        match self.arity {
            Arity::Flag => (*name).to_owned(),
            Arity::One => format!("{name} {metavar}"),
            Arity::Many => format!("{name} {metavar} [{metavar} ...]"),
        }
    }

    fn usage(&self) -> String {
        if self.required { self.form() } else { format!("[{}]", self.form()) }
    }
}

fn values_of(option: &Opt, inline: Option<&str>, args: &[String], at: usize) -> Result<(Vec<String>, usize), Stop> {
    let free = || args[at..].iter().take_while(|token| !looks_like_option(token)).count();
    match (option.arity, inline) {
        (Arity::Flag, None) => Ok((Vec::new(), at)),
        (Arity::Flag, Some(value)) => {
            Err(Stop::Error(format!("argument {}: ignore implicit argument '{value}'", option.name)))
        }
        (_, Some(value)) => Ok((vec![value.to_owned()], at)),
        (Arity::One, None) if free() == 0 => {
            Err(Stop::Error(format!("argument {}: expected one argument", option.name)))
        }
        (Arity::One, None) => Ok((vec![args[at].clone()], at + 1)),
        (Arity::Many, None) => match free() {
            0 => Err(Stop::Error(format!("argument {}: expected 1 argument(s)", option.name))),
            count => Ok((args[at..at + count].to_vec(), at + count)),
        },
    }
}

/// Begins with `-`, is longer than that and is no negative number.
fn looks_like_option(token: &str) -> bool {
    let negative_number =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') && rest.parse::<f64>().is_ok();
    token.strip_prefix('-').is_some_and(|rest| !rest.is_empty() && !negative_number(rest))
}

fn check(option: &Opt, value: &str) -> Result<(), Stop> {
    let (ok, kind) = match option.kind {
        Kind::Text => (true, ""),
        Kind::Long => (value.parse::<i64>().is_ok(), "Long"),
        Kind::Int => (value.parse::<i32>().is_ok(), "Integer"),
        Kind::Double => (java_double(value).is_ok(), "Double"),
        Kind::Choice(of) => {
            if of.contains(&value) {
                return Ok(());
            }
            let of = of.join(",");
            let text = format!("argument {}: invalid choice: '{value}' (choose from {{{of}}})", option.name);
            return Err(Stop::Error(text));
        }
    };
    if ok {
        return Ok(());
    }
    let reason = if kind == "Double" && value.is_empty() {
        "empty String".into()
    } else {
        format!("For input string: \"{value}\"")
    };
    Err(Stop::Error(format!("argument {}: could not convert '{value}' to {kind} ({reason})", option.name)))
}

/// `Double.valueOf`: white space around it, a type suffix, `NaN` and `Infinity` are allowed.
fn java_double(text: &str) -> Result<f64, ()> {
    let text = text.trim();
    match text.trim_start_matches(['+', '-']) {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => return Ok(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => {}
    }
    let bare = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let numeric = bare.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    bare.parse().ok().filter(|_| numeric).ok_or(())
}

/// Levenshtein's, for "Did you mean".
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

//! One line per check (`ok name detail`, `FAIL name detail`, `?? name reason` where it could not be decided) and, last of all,
//! `N passed, N failed`, with the inconclusive ones where there are any.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Why a check did not hold. Its text is the detail that the reader of the report needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It failed.
    Failed(String),
    /// A number does not hold. Of a reference it says that the machine was not quiet enough to measure by it.
    Disturbed(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Failed(text) | Self::Disturbed(text)) = self;
        f.write_str(text)
    }
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// Fails with a text, with what was under way before the system's words.
pub(crate) fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Fault + '_ {
    move |error| Fault::Failed(format!("{what}: {error}"))
}

/// Fails the check with `text` unless `holds`.
pub(crate) fn need(holds: bool, text: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Failed(text())) }
}

/// What a check says: the detail that is shown, or why it did not hold.
pub(crate) type Told = Result<String, Fault>;

/// Counts what passed and what failed, and prints each as it happens.
pub(crate) struct Report<'a> {
    only: Option<String>,
    out: &'a mut dyn Write,
    pub(crate) passed: Vec<String>,
    pub(crate) failed: Vec<String>,
    pub(crate) undecided: Vec<String>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(only: Option<String>, out: &'a mut dyn Write) -> Self {
        Self { only, out, passed: Vec::new(), failed: Vec::new(), undecided: Vec::new() }
    }

    /// Whether `--only` (a part of a name) lets this check run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }

    /// Keeps what a check said.
    pub(crate) fn tell(&mut self, name: &str, told: &Told, started: Option<Instant>) {
        let (word, list, detail) = match told {
            Ok(detail) => ("ok", &mut self.passed, detail.clone()),
            Err(fault) => ("FAIL", &mut self.failed, fault.to_string()),
        };
        list.push(name.to_owned());
        let spent = started.map_or_else(String::new, |it| format!(" [{:.1} s]", it.elapsed().as_secs_f64()));
        self.line(&format!("{word} {name} {}{spent}", one_line(&detail)));
    }

    /// Neither held nor failed: what it is measured against was itself not to be trusted.
    pub(crate) fn inconclusive(&mut self, name: &str, reason: &str) {
        self.undecided.push(name.to_owned());
        self.line(&format!("?? {name} {}", one_line(reason)));
    }

    /// A line beside the checks.
    pub(crate) fn line(&mut self, text: &str) {
        // Whoever closed the pipe reads no more; the exit code still says how it ended.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    /// The closing lines and the exit code: 1 if anything failed or nothing ran.
    pub(crate) fn close(&mut self) -> ExitCode {
        let told = |word: &str, names: &[String]| names.iter().map(|it| format!("{word}: {it}")).collect::<Vec<_>>();
        for line in told("failed", &self.failed).into_iter().chain(told("inconclusive", &self.undecided)) {
            self.line(&line);
        }
        let undecided = self.undecided.len();
        let more = if undecided > 0 { format!(", {undecided} inconclusive") } else { String::new() };
        self.line(&format!("{} passed, {} failed{more}", self.passed.len(), self.failed.len()));
        if !self.failed.is_empty() || self.passed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Most characters of a detail.
const DETAIL_MAX: usize = 1200;

fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(DETAIL_MAX) {
        Some((at, _)) => format!("{} ...", &words[..at]),
        None => words,
    }
}

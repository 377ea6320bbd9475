//! Target against achieved: columns, fidelity, words.

use std::collections::BTreeMap;

use super::asked::figure;
use super::{Asked, EmulateError, Limit, Means};
use crate::results::columns::Row;
use crate::target::Start;

/// By how much what is achieved may differ from its target.
const OFF_SHARE: f64 = 0.15;
/// Less than this share of what was asked for: this machine does not have it.
const SLOWER_SHARE: f64 = 0.5;
/// What rows say where nothing is lacking, and what begins it where something is.
pub(crate) const WHOLE: &str = "emulated";
const IN_PART: &str = "emulated in part: ";
/// The manifest's key of what was asked for.
pub(crate) const ASKED: &str = "asked";

/// What was measured under the limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Had {
    values: BTreeMap<Limit, f64>,
    /// Beside the p50 of fdatasync.
    pub sync_us_p99: Option<f64>,
}

impl Had {
    /// Adds values.
    pub(crate) fn extend(&mut self, values: impl IntoIterator<Item = (Limit, f64)>) {
        self.values.extend(values);
    }

    fn get(&self, limit: Limit) -> Option<f64> {
        self.values.get(&limit).copied()
    }
}

/// An emulated machine as it was had, by any broker or by one.
pub(crate) struct AsHad<'a> {
    /// What was asked for.
    pub asked: &'a Asked,
    /// What limits it.
    pub means: &'a Means,
    /// What was measured.
    pub had: &'a Had,
    /// The broker, and how it asks the kernel.
    pub of: Option<(&'a Start, Option<&'a str>)>,
}

impl AsHad<'_> {
    /// A row with the machine that it is of.
    pub(crate) fn row(&self, mut row: Row) -> Row {
        let asked = &self.asked;
        row.profile =
            if asked.profile.is_some() { asked.words.clone() } else { format!("{},{}", row.profile, asked.words) };
        row.emulated.clone_from(&asked.words);
        row.fidelity = self.fidelity();
        let rounded = |it: f64| (it * 1e4).round() / 1e4;
        for (limit, wanted) in asked.limits.all() {
            let (target, achieved) = cells(&mut row, limit);
            (*target, *achieved) = (Some(rounded(wanted)), self.had.get(limit).map(rounded));
        }
        row.emulated_fdatasync_us_p99 = asked.limits.sync.and_then(|it| it.p99);
        row.achieved_fdatasync_us_p99 = row.emulated_fdatasync_us_p99.and(self.had.sync_us_p99).map(rounded);
        row
    }

    /// How much of the machine is emulated.
    pub(crate) fn fidelity(&self) -> String {
        let lacking: Vec<String> = self.asked.limits.all().flat_map(|(limit, _)| self.lacking(limit)).collect();
        let native = self.asked.native.iter().map(|key| format!("{key} is this machine's"));
        let all: Vec<String> = lacking.into_iter().chain(native).collect();
        if all.is_empty() { WHOLE.to_owned() } else { format!("{IN_PART}{}", all.join("; ")) }
    }

    /// What is wrong with one limit, in words.
    fn lacking(&self, limit: Limit) -> impl Iterator<Item = String> {
        let off = self.off(limit).map(|it| format!("{} was {} of {}", limit.key(), figure(it.1), figure(it.0)));
        let lacks = self.means.lacks(limit, self.of).map(|it| format!("{}: {it}", limit.key()));
        off.into_iter().chain(lacks)
    }

    /// Target and what was measured, where they differ by too much.
    fn off(&self, limit: Limit) -> Option<(f64, f64)> {
        let (wanted, had) = (self.asked.limits.get(limit)?, self.had.get(limit)?);
        is_off(wanted, had).then_some((wanted, had))
    }

    /// Refuses a machine that is faster than this one turned out to be: the limit is not what holds it there.
    pub(crate) fn check(&self) -> Result<(), EmulateError> {
        let less = |limit: Limit| {
            let (wanted, had) = (self.asked.limits.get(limit)?, self.had.get(limit)?);
            // Processor time is what is left by others, and memory is counted: neither is a machine's speed.
            let share = match limit {
                Limit::Cores | Limit::MemoryGib => return None,
                Limit::FdatasyncUs => wanted / had,
                _ => had / wanted,
            };
            (share < SLOWER_SHARE).then_some((limit, wanted, had))
        };
        let Some((limit, wanted, had)) = Limit::ALL.into_iter().find_map(less) else { return Ok(()) };
        let key = limit.key();
        Err(EmulateError::Faster {
            what: self.asked.profile.clone().unwrap_or_else(|| "what is asked for".to_owned()),
            wanted: format!("{key} {}", figure(wanted)),
            has: format!("reached {} a moment ago", figure(had)),
            advice: format!(
                "ask for less with {key}=.., leave it as it is with {key}=native, or let `ringlog probe` say what is here"
            ),
        })
    }

    /// A line for each limit, and what was asked for.
    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        let lines = self.asked.limits.all().map(|(limit, wanted)| (limit.key().to_owned(), self.line(limit, wanted)));
        lines.chain([(ASKED.to_owned(), self.asked.words.clone())]).collect()
    }

    fn line(&self, limit: Limit, wanted: f64) -> String {
        let had = self.had.get(limit).map(|it| format!(", measured {}", figure(it))).unwrap_or_default();
        let lacks = self.means.lacks(limit, self.of).map(|it| format!("; {it}")).unwrap_or_default();
        format!("{}{had}, by {}{lacks}", figure(wanted), self.means.words(limit))
    }

    /// What a person has to know before the figures are read.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let part = |(limit, wanted): (Limit, f64)| {
            let had = self.had.get(limit).map(|it| format!(" ({})", figure(it))).unwrap_or_default();
            format!("{} {}{had}", limit.key(), figure(wanted))
        };
        let parts: Vec<String> = self.asked.limits.all().map(part).collect();
        let first = format!(
            "figures are of an emulated machine, {}; asked for (measured before the first broker): {}",
            self.asked.words,
            parts.join(", ")
        );
        let off = self.asked.limits.all().filter(|it| self.off(it.0).is_some()).map(|(limit, _)| {
            format!("{} is more than {:.0} % off what was asked for", limit.key(), OFF_SHARE * 100.0)
        });
        std::iter::once(first).chain(off).collect()
    }

    /// What `--dry-run` says, for brokers that ask the kernel in these ways.
    pub(crate) fn would(&self, brokers: &[(&Start, Option<&str>)]) -> String {
        let lines = self.asked.limits.all().map(|(limit, wanted)| {
            let mut lacks: Vec<String> =
                brokers.iter().filter_map(|broker| self.means.lacks(limit, Some(*broker))).collect();
            lacks.dedup();
            let lacks = if lacks.is_empty() { String::new() } else { format!(" ({})", lacks.join("; ")) };
            format!("\n  {} {}, by {}{lacks}", limit.key(), figure(wanted), self.means.words(limit))
        });
        let native = self.asked.native.iter().map(|key| format!("\n  {key} stays as it is"));
        format!("every broker would be limited to {}:{}", self.asked.words, lines.chain(native).collect::<String>())
    }
}

/// Whether what is achieved is too far from its target.
fn is_off(wanted: f64, had: f64) -> bool {
    (had / wanted - 1.0).abs() > OFF_SHARE
}

/// The limit of a row that was missed by too much, in words.
pub(crate) fn off_of(row: &Row) -> Option<String> {
    let off = |limit: &Limit| {
        let column = if *limit == Limit::FdatasyncUs { "fdatasync_us_p50" } else { limit.key() };
        let figure_of = |kind: &str| row.figure(&format!("{kind}_{column}"));
        let (wanted, had) = (figure_of("emulated")?, figure_of("achieved")?);
        let words = || {
            format!(
                "{} was {} of {}, more than {:.0} % off",
                limit.key(),
                figure(had),
                figure(wanted),
                OFF_SHARE * 100.0
            )
        };
        is_off(wanted, had).then(words)
    };
    Limit::ALL.iter().find_map(off)
}

/// The two columns of a limit.
fn cells(row: &mut Row, limit: Limit) -> (&mut Option<f64>, &mut Option<f64>) {
    match limit {
        Limit::Cores => (&mut row.emulated_cores, &mut row.achieved_cores),
        Limit::MemoryGib => (&mut row.emulated_memory_gib, &mut row.achieved_memory_gib),
        Limit::DiskWriteMbS => (&mut row.emulated_disk_write_mb_s, &mut row.achieved_disk_write_mb_s),
        Limit::DiskReadMbS => (&mut row.emulated_disk_read_mb_s, &mut row.achieved_disk_read_mb_s),
        Limit::DiskWriteIops => (&mut row.emulated_disk_write_iops, &mut row.achieved_disk_write_iops),
        Limit::DiskReadIops => (&mut row.emulated_disk_read_iops, &mut row.achieved_disk_read_iops),
        Limit::NetworkGbps => (&mut row.emulated_network_gbps, &mut row.achieved_network_gbps),
        Limit::FdatasyncUs => (&mut row.emulated_fdatasync_us_p50, &mut row.achieved_fdatasync_us_p50),
    }
}

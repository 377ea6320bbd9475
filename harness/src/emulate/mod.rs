//! This machine as a smaller one: every broker that a run starts is limited to what a hardware profile has.
//!
//! ```text
//!   --emulate WORDS -> asked    profile and KEY=VALUE over it -> Limits; what is faster than this machine is refused
//!                      means    what limits each of them here; what cannot be limited is refused, with what to do
//!                      |
//!   Emulation::begin   group    a control group (v1 or v2) for each broker: cpuset, quota, memory, disk
//!                      network  a loopback of our own, each broker's two directions held to a rate
//!                      sync     a preloaded library in which fsync lasts as long as the profile says
//!                      check    a child in such a group measures what is really left         target against achieved
//!                      |
//!                      told     columns of rows.csv, fidelity, words
//! ```
//!
//! - The client is not limited: it is another machine. It keeps a core of its own where there is one to keep.
//! - Null brokers are limited as subjects are: a ceiling is the ceiling of the emulated machine.
//! - Groups are locked as long as we live. What a killed run left is found by its lock and removed by the next.
//! - What a limit does not reach is said in every row (`fidelity`), never passed over.

#![allow(
    clippy::disallowed_methods,
    reason = "writes control groups, starts processes, reads the clock: the instrument, not the broker"
)]

mod asked;
pub(crate) mod check;
mod error;
mod group;
mod means;
mod network;
mod sync;
#[cfg(test)]
mod tests;
pub(crate) mod told;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

pub(crate) use asked::{Asked, Host};
pub use error::EmulateError;
use group::Group;
pub(crate) use means::Means;
use network::Network;
pub(crate) use told::{AsHad, Had, WHOLE, off_of};

use crate::results::columns::Row;
use crate::target::Start;

/// A property of a machine that can be limited. The order is that of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Limit {
    /// Processor time, in cores.
    Cores,
    /// Memory of the broker, page cache included.
    MemoryGib,
    /// Bytes a second that the disk takes.
    DiskWriteMbS,
    /// Bytes a second that it gives.
    DiskReadMbS,
    /// Write operations a second.
    DiskWriteIops,
    /// Read operations a second.
    DiskReadIops,
    /// Each direction.
    NetworkGbps,
    /// An append with its fdatasync: half stay below. The other quantiles come from the profile.
    FdatasyncUs,
}

impl Limit {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Cores,
        Self::MemoryGib,
        Self::DiskWriteMbS,
        Self::DiskReadMbS,
        Self::DiskWriteIops,
        Self::DiskReadIops,
        Self::NetworkGbps,
        Self::FdatasyncUs,
    ];

    /// Its key on the command line.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Cores => "cores",
            Self::MemoryGib => "memory_gib",
            Self::DiskWriteMbS => "disk_write_mb_s",
            Self::DiskReadMbS => "disk_read_mb_s",
            Self::DiskWriteIops => "disk_write_iops",
            Self::DiskReadIops => "disk_read_iops",
            Self::NetworkGbps => "network_gbps",
            Self::FdatasyncUs => "fdatasync_us",
        }
    }

    /// Whether the disk's device is what is limited.
    pub(crate) fn is_of_device(self) -> bool {
        matches!(self, Self::DiskWriteMbS | Self::DiskReadMbS | Self::DiskWriteIops | Self::DiskReadIops)
    }
}

/// What a broker is started within.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// `cgroup.procs` of its groups.
    doors: Vec<PathBuf>,
    /// `NAME=VALUE` of its environment.
    environment: Vec<String>,
}

/// Enters the groups whose files come before `--`, and becomes what comes after it: the process id stays, and so does what
/// the kernel does with it when its starter ends.
const ENTER: &str = r#"set -e; while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@""#;

impl Within {
    /// A command of this program that enters first.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ENTER, "sh"]).args(&self.doors).arg("--");
        if !self.environment.is_empty() {
            command.arg("env").args(&self.environment);
        }
        command.arg(program);
        command
    }
}

/// A machine that is emulated, as long as this lives.
pub(crate) struct Emulation {
    asked: Asked,
    means: Means,
    environment: Vec<String>,
    network: Option<Network>,
    had: Had,
    groups: Mutex<Vec<Group>>,
}

impl Emulation {
    /// Makes the groups' places ready, and measures in one of them what is left of the machine. `dir` holds the brokers' data.
    /// The calling thread, and those that it starts from now on, have a network of their own where that is limited.
    pub(crate) fn begin(asked: &Asked, dir: &Path) -> Result<Self, EmulateError> {
        let means = Means::find(asked, Path::new("/"), dir)?;
        let limits = &asked.limits;
        let environment = limits.sync.as_ref().map(|it| sync::environment(it, dir)).transpose()?.unwrap_or_default();
        let network = limits.get(Limit::NetworkGbps).map(Network::begin).transpose()?;
        let had = Had::default();
        let mut emulation = Self { asked: asked.clone(), means, environment, network, had, groups: Mutex::default() };
        emulation.had = emulation.measured(dir)?;
        emulation.as_had(None).check()?;
        Ok(emulation)
    }

    /// What is left, for a broker that is started as ours will be.
    fn measured(&self, dir: &Path) -> Result<Had, EmulateError> {
        let within = self.within("check")?;
        let mut had = check::in_child(&within, &self.asked.limits, dir)?;
        had.extend(self.network.as_ref().map(|it| it.measured().map(|it| (Limit::NetworkGbps, it))).transpose()?);
        had.extend(self.group_memory().map(|it| (Limit::MemoryGib, it)));
        // Its place is not needed any more.
        self.groups().pop();
        Ok(had)
    }

    /// What the kernel says that the last group's memory is.
    fn group_memory(&self) -> Option<f64> {
        self.groups().last().and_then(Group::memory_gib)
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one broker.
    pub(crate) fn within(&self, name: &str) -> Result<Within, EmulateError> {
        let mut doors = Vec::new();
        if self.means.has_groups() {
            let group = Group::create(&self.means, &self.asked.limits, name)?;
            doors = group.doors();
            self.groups().push(group);
        }
        Ok(Within { doors, environment: self.environment.clone() })
    }

    /// Holds the connections of a broker that listens there to the rate.
    pub(crate) fn listens(&self, bootstrap: &str) -> Result<(), EmulateError> {
        let Some(network) = &self.network else { return Ok(()) };
        let ports = bootstrap.split(',').filter_map(|it| it.rsplit_once(':')?.1.parse::<u16>().ok());
        ports.into_iter().try_for_each(|port| network.limit(port))
    }

    /// What every row repeats.
    pub(crate) fn row(&self, row: Row) -> Row {
        self.as_had(None).row(row)
    }

    /// How well a target's rows are emulated.
    pub(crate) fn fidelity(&self, start: &Start, io: Option<&str>) -> String {
        self.as_had(Some((start, io))).fidelity()
    }

    /// What the manifest keeps, and a person reads.
    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        self.as_had(None).facts()
    }

    /// What a person has to know: what is emulated, and what is off.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.as_had(None).warnings()
    }

    fn as_had<'a>(&'a self, of: Option<(&'a Start, Option<&'a str>)>) -> AsHad<'a> {
        AsHad { asked: &self.asked, means: &self.means, had: &self.had, of }
    }
}

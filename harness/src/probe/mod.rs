//! This machine, measured in under two minutes: what `ringlog probe` writes down as a hardware profile.
//!
//! ```text
//!   STEPS in order, each for its seconds -> Found (numbers, each with how it was come by) -> write: a profile with its facts
//!     processor   CRC32C, lz4, zstd, a copy          one thread
//!     cache       writes into new pages of the page cache, and into the same again
//!     direct      the disk past the page cache       glommio
//!     buffered    the disk through the page cache; fdatasync of one file, and of 2 to 64 at once
//!     loopback    one connection: bandwidth, round trip
//!   quiet         what disturbed them, step by step
//!   against       what is 15 % off a preset
//! ```
//!
//! - Nothing of the engine is used: other files, other sockets, another executor. What a broker does cannot flatter it.
//! - Every file loses its name as soon as it is open: whatever ends a probe, nothing is left behind.
//! - A step ends by the clock, not by its work: a slow machine takes as long as a fast one.

#![allow(clippy::disallowed_methods, reason = "a measuring instrument with its own files and clock")]

pub(crate) mod against;
mod buffered;
mod cache;
#[cfg(feature = "yardstick")]
mod direct;
mod loopback;
mod machine;
mod processor;
mod quiet;
mod slices;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::host::{HostFacts, Meter};
use crate::spec::hardware::{ParallelSync, Quantiles};

pub(crate) use write::profile_text;

/// Largest file that a step writes; there is one at a time.
const FILE_BYTES: u64 = 2 << 30;
/// That of a look at the disk alone.
const DISK_ALONE_BYTES: u64 = 256 << 20;
/// Room that must be left over: others write too.
const ROOM_LEFT_BYTES: u64 = 256 << 20;
/// Files that are synchronised at the same time.
const PARALLEL_FILES: [u32; 6] = [2, 4, 8, 16, 32, 64];

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// A file or socket.
    #[error("{step}: {source}")]
    Io {
        /// What was measured.
        step: &'static str,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The folder cannot be probed, or the machine has no way to.
    #[error("{0}")]
    Refused(String),
}

/// What is measured, how long, and where.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    /// The folder on the disk that is measured.
    pub dir: PathBuf,
    /// What the seconds of the steps and the bytes of their files are multiplied with.
    pub scale: f64,
}

/// A rate with how even it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Units a second.
    pub per_s: f64,
    /// In the slowest fifth of the time.
    pub least_per_s: f64,
    /// In the fastest.
    pub greatest_per_s: f64,
}

/// Everything that was found; what is `None` could not be found here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Cycles.
    pub clock: Option<Rate>,
    pub crc32c: Option<Rate>,
    pub lz4: Option<Rate>,
    pub zstd: Option<Rate>,
    pub copy: Option<Rate>,
    pub cache_first: Option<Rate>,
    pub cache_again: Option<Rate>,
    pub seq_write: Option<Rate>,
    pub seq_read: Option<Rate>,
    pub rand_read: Option<Rate>,
    pub rand_write: Option<Rate>,
    pub read_us: Option<Quantiles>,
    pub buffered_write: Option<Rate>,
    pub buffered_read: Option<Rate>,
    pub sync_us: Option<Quantiles>,
    pub sync_parallel: Vec<ParallelSync>,
    pub loopback: Option<Rate>,
    pub rtt_us: Option<Quantiles>,
    /// What disturbed it.
    pub quiet: quiet::Quiet,
    /// Seconds that it took.
    pub seconds: f64,
}

/// One thing that is measured.
pub(crate) struct Step {
    /// What a person calls it.
    pub what: &'static str,
    /// How long, at a scale of 1.
    seconds: f64,
    /// Whether others' processor time falsifies it: the kernel's own work for a disk does not.
    needs_quiet_cores: bool,
    /// Measures it.
    run: fn(&Task<'_>, &mut Found) -> std::io::Result<()>,
}

/// A step's surroundings.
struct Task<'a> {
    dir: &'a Path,
    time: Duration,
    file_bytes: u64,
}

/// What is measured, in order. The disk's writing comes first of the disk: what follows reads what it wrote.
const STEPS: [Step; 11] = [
    Step { what: "the clock", seconds: 1.0, needs_quiet_cores: true, run: processor::clock },
    Step { what: "CRC32C", seconds: 2.0, needs_quiet_cores: true, run: processor::crc32c },
    Step { what: "lz4", seconds: 2.0, needs_quiet_cores: true, run: processor::lz4 },
    Step { what: "zstd", seconds: 2.0, needs_quiet_cores: true, run: processor::zstd },
    Step { what: "a copy in memory", seconds: 2.0, needs_quiet_cores: true, run: processor::copy },
    Step { what: "pages of the page cache, first and again", seconds: 4.0, needs_quiet_cores: true, run: cache::touch },
    Step { what: "the disk past the page cache", seconds: 26.0, needs_quiet_cores: false, run: direct },
    Step {
        what: "the disk through the page cache",
        seconds: 12.0,
        needs_quiet_cores: false,
        run: buffered::sequential,
    },
    Step { what: "fdatasync of one file", seconds: 8.0, needs_quiet_cores: false, run: buffered::sync_alone },
    Step {
        what: "fdatasync of 2 to 64 files at once",
        seconds: 18.0,
        needs_quiet_cores: false,
        run: buffered::sync_parallel,
    },
    Step { what: "loopback", seconds: 6.0, needs_quiet_cores: true, run: loopback::measure },
];

impl Probe {
    /// The steps with their seconds.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static str, f64)> {
        STEPS.iter().map(|it| (it.what, it.seconds * self.scale))
    }

    /// Bytes of the largest file.
    pub(crate) fn file_bytes(&self) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2 GiB")]
        let bytes = (FILE_BYTES as f64 * self.scale.min(1.0)) as u64;
        bytes.max(64 << 20).next_multiple_of(1 << 20)
    }

    /// Refuses a folder that is none, has too little room, or is memory, and a machine without direct I/O.
    pub(crate) fn check(&self) -> Result<(), ProbeError> {
        let refused = |words: String| Err(ProbeError::Refused(words));
        let dir = self.dir.display();
        if !self.dir.is_dir() {
            return refused(format!(
                "--dir {dir}: there is no such folder; name one on the disk that is to be measured"
            ));
        }
        let file_system = machine::path_facts(&self.dir).file_system.unwrap_or_default();
        if matches!(file_system.as_str(), "tmpfs" | "ramfs") {
            return refused(format!("--dir {dir} is on {file_system}, which is memory: name a folder on a disk"));
        }
        let wanted = self.file_bytes() + ROOM_LEFT_BYTES;
        let free = rustix::fs::statvfs(&self.dir).map(|it| it.f_bavail.saturating_mul(it.f_frsize));
        let free = free.map_err(|error| ProbeError::Io { step: "the room of --dir", source: error.into() })?;
        if free < wanted {
            let mb = |bytes: u64| bytes / 1_000_000;
            return refused(format!(
                "--dir {dir} has {} MB free and a probe wants {}: free some, name another folder, or take --quick",
                mb(free),
                mb(wanted)
            ));
        }
        check_direct()
    }

    /// Measures everything; `tell` hears of each step before it begins, with the seconds that are left.
    pub(crate) fn run(&self, mut tell: impl FnMut(&str, f64)) -> Result<Found, ProbeError> {
        self.check()?;
        let mut found = Found::default();
        found.quiet.note_build(cfg!(debug_assertions));
        let begin = Instant::now();
        let mut left: f64 = self.steps().map(|it| it.1).sum();
        for step in &STEPS {
            tell(step.what, left);
            let time = Duration::from_secs_f64(step.seconds * self.scale);
            let task = Task { dir: &self.dir, time, file_bytes: self.file_bytes() };
            let wrong = |source| ProbeError::Io { step: step.what, source };
            let meter = Meter::start(&[]).map_err(wrong)?;
            (step.run)(&task, &mut found).map_err(wrong)?;
            found.quiet.note(step, &meter.stop().map_err(wrong)?);
            left -= time.as_secs_f64();
        }
        found.quiet.note_rates(&[
            ("CRC32C", found.crc32c),
            ("lz4", found.lz4),
            ("zstd", found.zstd),
            ("a copy in memory", found.copy),
        ]);
        found.seconds = begin.elapsed().as_secs_f64();
        Ok(found)
    }
}

/// The disk alone, so long past the page cache, and so long with fdatasync.
pub(crate) fn disk(dir: &Path, time: Duration, sync_time: Duration) -> Result<Found, ProbeError> {
    check_direct()?;
    let wrong = |step| move |source| ProbeError::Io { step, source };
    let (mut found, file_bytes) = (Found::default(), DISK_ALONE_BYTES);
    direct(&Task { dir, time, file_bytes }, &mut found).map_err(wrong("the disk past the page cache"))?;
    buffered::sync_alone(&Task { dir, time: sync_time, file_bytes }, &mut found)
        .map_err(wrong("fdatasync of one file"))?;
    Ok(found)
}

/// The facts of this machine that need no measuring.
pub(crate) fn host() -> HostFacts {
    HostFacts::read(Path::new("/"))
}

/// The name of a profile of this machine where nobody gives one.
pub(crate) fn default_name(dir: &Path) -> String {
    format!("{}-probe", host().hardware_name(&machine::path_facts(dir)).replace('_', "-"))
}

#[cfg(feature = "yardstick")]
fn check_direct() -> Result<(), ProbeError> {
    crate::yardstick::server::check(&host()).map_err(|error| ProbeError::Refused(error.to_string()))
}

#[cfg(not(feature = "yardstick"))]
fn check_direct() -> Result<(), ProbeError> {
    Err(ProbeError::Refused(
        "this build has no direct I/O: build with the feature `yardstick` (it is on by default)".to_owned(),
    ))
}

#[cfg(feature = "yardstick")]
fn direct(task: &Task<'_>, found: &mut Found) -> std::io::Result<()> {
    direct::measure(task, found)
}

#[cfg(not(feature = "yardstick"))]
fn direct(_task: &Task<'_>, _found: &mut Found) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

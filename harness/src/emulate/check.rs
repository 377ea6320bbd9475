//! What the limits really leave: measured by a child that is started as brokers are, before the first of them is.
//!
//! ```text
//!   us --> ringlog emulate-check in a group of its own --> one line of JSON --> Had
//!          a thread on each core      processor time in the wall's
//!          the disk, as a probe has it: in order, at random, fdatasync
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ringlog_io::{cpu_time, process};
use serde::{Deserialize, Serialize};

use super::asked::Limits;
use super::{EmulateError, Had, Limit, Within};
use crate::probe;

/// The verb that only we call.
pub(crate) const VERB: &str = "emulate-check";
/// How long cores are kept busy, and how long the disk.
const CORES: Duration = Duration::from_millis(600);
const DISK: Duration = Duration::from_secs(4);
const SYNC: Duration = Duration::from_secs(1);
const MB: f64 = 1e6;

/// What the child says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Said {
    cores: Option<f64>,
    write_mb_s: Option<f64>,
    read_mb_s: Option<f64>,
    write_iops: Option<f64>,
    read_iops: Option<f64>,
    sync_us_p50: Option<f64>,
    sync_us_p99: Option<f64>,
}

#[derive(Debug, clap::Parser)]
#[command(name = "ringlog emulate-check", about = "What a limited machine leaves: --emulate starts it")]
struct Options {
    /// Measure processor time.
    #[arg(long)]
    cores: bool,
    /// Measure the disk.
    #[arg(long)]
    disk: bool,
    /// Folder of the disk.
    #[arg(long)]
    dir: PathBuf,
}

/// Starts the child and gives what it found.
pub(super) fn in_child(within: &Within, limits: &Limits, dir: &Path) -> Result<Had, EmulateError> {
    let wrong = |error: std::io::Error| EmulateError::Check(error.to_string());
    let mut command = within.command(&std::env::current_exe().map_err(wrong)?);
    command.arg(VERB).arg("--dir").arg(dir);
    let has_disk = limits.all().any(|it| it.0.is_of_device() || it.0 == Limit::FdatasyncUs);
    command.args(limits.get(Limit::Cores).map(|_| "--cores")).args(has_disk.then_some("--disk"));
    // This thread waits for its end.
    process::end_with_this_thread(&mut command);
    let output = command.output().map_err(wrong)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(EmulateError::Check(format!("{} ({})", words.trim(), output.status)));
    }
    let said = serde_json::from_slice(&output.stdout);
    said.map(had).map_err(|error| EmulateError::Check(format!("its answer: {error}")))
}

fn had(said: Said) -> Had {
    let mut had = Had::default();
    had.extend(
        [
            (Limit::Cores, said.cores),
            (Limit::DiskWriteMbS, said.write_mb_s),
            (Limit::DiskReadMbS, said.read_mb_s),
            (Limit::DiskWriteIops, said.write_iops),
            (Limit::DiskReadIops, said.read_iops),
            (Limit::FdatasyncUs, said.sync_us_p50),
        ]
        .into_iter()
        .filter_map(|(limit, value)| Some((limit, value?))),
    );
    had.sync_us_p99 = said.sync_us_p99;
    had
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match crate::verbs::options(VERB, args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let said = measured(&options).and_then(|it| serde_json::to_string(&it).map_err(|error| error.to_string()));
    match said {
        Ok(line) => {
            outln!("{line}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            errln!("{VERB}: {words}");
            ExitCode::FAILURE
        }
    }
}

fn measured(options: &Options) -> Result<Said, String> {
    let mut said = Said::default();
    if options.cores {
        said.cores = Some(busy(CORES).map_err(|error| error.to_string())?);
    }
    if options.disk {
        let found = probe::disk(&options.dir, DISK, SYNC).map_err(|error| error.to_string())?;
        said.write_mb_s = found.seq_write.map(|it| it.per_s / MB);
        said.read_mb_s = found.seq_read.map(|it| it.per_s / MB);
        said.write_iops = found.rand_write.map(|it| it.per_s);
        said.read_iops = found.rand_read.map(|it| it.per_s);
        said.sync_us_p50 = found.sync_us.map(|it| it.p50);
        said.sync_us_p99 = found.sync_us.and_then(|it| it.p99);
    }
    Ok(said)
}

/// Cores' worth of processor time that busy threads get, one on each core.
pub(super) fn busy(time: Duration) -> std::io::Result<f64> {
    let threads = ringlog_io::threads::core_count();
    let (begin, before) = (Instant::now(), cpu_time::process_ns(std::process::id())?);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| while begin.elapsed() < time {});
        }
    });
    let ran_ns = cpu_time::process_ns(std::process::id())?.saturating_sub(before);
    Ok(ran_ns as f64 / begin.elapsed().as_nanos() as f64)
}

//! `ringlog broker --check`: what these settings would do on this machine, without starting anything.
//!
//! ```text
//!   settings      each that was given: honoured, or not
//!   listeners     a port for each shard, free or not now
//!   log, memory, descriptors, io, metrics
//! ```
//! It takes no lock and makes no file, so that it may be asked beside a broker that runs.

use std::net::SocketAddr;
use std::process::ExitCode;

use ringlog_io::driver::{self, DriverOptions};
use ringlog_io::{Choice, Files, OsFiles, threads};

use crate::limits::{Budget, Means};
use crate::metadata::image::ShardId;
use crate::settings::Settings;
use crate::settings::broker_keys::broker_key;
use crate::settings::key::Effect;
use crate::{out, start};

/// It would start, and something that was given has no effect.
const WITHOUT_EFFECT: u8 = 2;

/// What is said, line by line, and whether the broker would start.
struct Report {
    lines: Vec<String>,
    refusals: Vec<String>,
    /// Something that was given has no effect.
    is_partly_idle: bool,
}

impl Report {
    fn say(&mut self, what: &str, words: &str) {
        self.lines.push(format!("{what:<12} {words}"));
    }
}

/// Says it on standard output. The exit code: see `ringlog broker --help`.
pub(crate) fn run(settings: &Settings) -> ExitCode {
    let mut report = Report { lines: Vec::new(), refusals: Vec::new(), is_partly_idle: false };
    given(&mut report, settings);
    listeners(&mut report, settings);
    log_dir(&mut report, settings);
    match crate::means(settings) {
        Ok(means) => share(&mut report, settings, &means),
        Err(error) => report.refusals.push(error),
    }
    io(&mut report, settings);
    report.lines.iter().for_each(|line| out::line(format_args!("{line}")));
    report.refusals.iter().for_each(|refusal| out::error_line(format_args!("ringlog broker: {refusal}")));
    match (report.refusals.is_empty(), report.is_partly_idle) {
        (false, _) => {
            out::line(format_args!("it would not start"));
            ExitCode::FAILURE
        }
        (true, true) => {
            out::line(format_args!("it would start; not all that was given has an effect"));
            ExitCode::from(WITHOUT_EFFECT)
        }
        (true, false) => {
            out::line(format_args!("it would start"));
            ExitCode::SUCCESS
        }
    }
}

fn given(report: &mut Report, settings: &Settings) {
    let honoured = settings.values().given_pairs().filter(|(name, text)| {
        broker_key(name).is_some_and(|key| key.effect == Effect::Used || key.default == Some(text))
    });
    for (name, text) in honoured {
        report.say("setting", &format!("{name}={text}: honoured"));
    }
    for warning in settings.warnings() {
        report.say("setting", warning);
        report.is_partly_idle = true;
    }
    if report.lines.is_empty() {
        report.say("setting", "none is given: the defaults hold");
    }
}

fn listeners(report: &mut Report, settings: &Settings) {
    for shard in 0..settings.shards() {
        match settings.listen_address(shard) {
            Ok(address) => {
                let (host, port) = settings.advertised(ShardId(shard), address.port());
                let words = format!(
                    "shard {shard}, node {}: {address}, clients are told {host}:{port}",
                    settings.here().node(ShardId(shard))
                );
                report.say("listener", &(words + &in_use(address)));
            }
            Err(error) => report.refusals.push(error.to_string()),
        }
    }
    if let Some(address) = settings.metrics_listen() {
        report.say("metrics", &format!("http://{address}/metrics, /healthz, /readyz{}", in_use(address)));
    }
    let (shards, cores) = (settings.shards(), threads::cores().len());
    if shards > cores {
        report.say("cores", &format!("{shards} shards on {cores} cores: none is pinned, and they wait for each other"));
    }
}

/// What is wrong with an address now: whoever uses it may be gone when the broker starts.
fn in_use(address: SocketAddr) -> String {
    let options = DriverOptions { choice: Choice::Epoll, receive_buffers: 2, ..DriverOptions::default() };
    let listened = driver::open(options).and_then(|mut driver| driver.listen(address).map(drop));
    listened.map_or_else(|error| format!("; now it cannot be listened on: {error}"), |()| String::new())
}

fn log_dir(report: &mut Report, settings: &Settings) {
    let (files, dir) = (OsFiles::new(), settings.log_dir_absolute());
    let there = if files.exists(&dir) { "there" } else { "made at the start" };
    let partitions = crate::partition_folders(settings);
    // The file system of a folder that is not there yet is that of the first above it that is.
    let space = dir.ancestors().find(|folder| files.exists(folder)).and_then(|folder| files.space(folder).ok());
    let free = space.map_or_else(String::new, |space| format!(", {} MiB can be written", space.usable_bytes >> 20));
    report.say("log", &format!("{}: {there}, {partitions} partitions{free}", dir.display()));
}

fn share(report: &mut Report, settings: &Settings, means: &Means) {
    match Budget::share_out(settings, means) {
        Ok(budget) => report.say("memory", &budget.sentence(settings, means)),
        Err(error) => report.refusals.push(error.to_string()),
    }
}

fn io(report: &mut Report, settings: &Settings) {
    match driver::open(DriverOptions { choice: settings.io(), ..DriverOptions::default() }) {
        Ok(driver) => {
            let kind = start::io_name(driver.kind());
            let reason = driver.fallback_reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            report.say("io", &format!("{kind}{reason}"));
        }
        Err(error) => report.refusals.push(format!("--io: {error}")),
    }
}

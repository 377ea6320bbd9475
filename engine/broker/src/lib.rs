//! Shards that are brokers: settings, connections, handlers, coordinators, the metadata image.
//!
//! ```text
//!   main -> settings -> start: a thread per shard
//!     event_loop: wait -> shard (a turn) -> submissions
//!     shard: front (connections) -> handlers/* -> broker (replicas, groups, sessions) -> response -> transfer
//!     shard 0 also: controller_desk (metadata log, controller)            bus: calls, answers, stop; the newest image
//! ```
//! Start reading at `shard`; `handlers` is the list of APIs. Invariants: a partition is touched by exactly one shard, a
//! connection belongs to exactly one shard, replies leave in request order, every queue has a limit (`limits`).

// Their macros panic where a stream takes no more: see `out`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod acks;
mod apply_image;
mod bring_up;
mod broker;
mod bus;
mod calls;
mod check;
mod cleaner;
mod connection;
mod controller_desk;
mod coordinator;
mod coordinator_load;
mod coordinators;
mod event_loop;
mod fetch_session;
mod flushes;
mod front;
mod group_desk;
mod handlers;
mod holdings;
mod jobs;
mod limits;
mod lists;
mod log_starts;
mod mail;
mod metadata;
mod metrics;
mod openings;
mod out;
mod outbox;
mod random;
mod recompressions;
mod replica;
mod replicas;
mod response;
mod retention;
mod settings;
mod shard;
mod sim;
mod start;
mod submission;
mod tasks;
mod throttle;
mod timers;
mod tokens;
mod transaction_checks;
mod transaction_desk;
mod transaction_markers;
mod transfer;
mod unread;
mod upkeep;
mod vitals;
mod waiting;
mod writeback;

use std::process::ExitCode;
use std::sync::Arc;

use ringlog_io::{Files, OsFiles, process};
use ringlog_storage::PartitionName;
use tracing_subscriber::EnvFilter;

pub use self::sim::main as simulate;
use crate::bring_up::StartError;
use crate::limits::{Budget, Means};
use crate::settings::{Parsed, Settings};

/// The help texts of `ringlog broker` and `ringlog sim`, for who makes a manual of them.
pub const HELP_TEXTS: [(&str, &str); 2] = [("broker", settings::arguments::HELP), ("sim", sim::HELP)];

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
pub(crate) const SIGTERM: i32 = 15;

/// What ends the broker in order. SIGHUP does where it is not ignored: a broker under nohup(1) outlives its terminal, as
/// one on a JVM does.
pub(crate) fn stop_signals() -> Vec<i32> {
    [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| *signal != SIGHUP || !process::ignores(SIGHUP)).collect()
}

/// Runs `ringlog broker` with the arguments after the verb, until a signal stops it.
#[must_use]
pub fn main(args: Vec<String>) -> ExitCode {
    let settings = match settings::from_args(&args) {
        Ok(Parsed::Settings(settings)) => Arc::new(*settings),
        Ok(Parsed::Check(settings)) => return check::run(&settings),
        Ok(Parsed::Help(text)) => {
            out::line(format_args!("{}", text.trim_end()));
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&error),
    };
    #[cfg(feature = "plant")]
    if let Ok(name) = std::env::var("RINGLOG_PLANT")
        && !ringlog_io::plant::plant(&name)
        && !ringlog_io::plant::plant_cost(&name)
    {
        let faults = ringlog_io::plant::NAMES.join(", ");
        return fail(&format!("RINGLOG_PLANT={name} is none of cpu-per-mb:US, paused:US:EVERY_US, {faults}"));
    }
    log_to_stderr(settings.logs_json());
    process::give_back_what_is_freed();
    keep_program_resident();
    settings.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    die_with_any_thread();
    if let Err(error) = ringlog_io::driver::block_signals(&stop_signals()) {
        return fail(&format!("signals could not be blocked: {error}"));
    }
    let (budget, descriptors) = match budget(&settings) {
        Ok(shared_out) => shared_out,
        Err(error) => return fail(&error),
    };
    match start::run(settings, budget, descriptors) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Where it is refused the broker runs all the same.
fn keep_program_resident() {
    if let Err(error) = process::keep_program_resident() {
        tracing::info!(
            %error,
            "the program's own pages may be given away for those of old segments, and a shard then waits for the disk to have them back: \
             raise the memlock limit (ulimit -l, LimitMEMLOCK=, --ulimit memlock=-1)"
        );
    }
}

/// Takes all descriptors that this process may have, as the JVM does, and shares out what there is. Gives how many those are
/// too.
fn budget(settings: &Settings) -> Result<(Budget, usize), StartError> {
    let means = means(settings)?;
    let budget = Budget::share_out(settings, &means).map_err(|error| error.to_string())?;
    tracing::info!("{}", budget.sentence(settings, &means));
    Ok((budget, means.descriptors))
}

/// What there is to share out.
fn means(settings: &Settings) -> Result<Means, StartError> {
    let descriptors = process::raise_descriptors().map_err(|error| format!("descriptors: {error}"))?;
    Ok(Means {
        memory: process::memory().map_err(|error| format!("how much memory there is: {error}"))?,
        descriptors: usize::try_from(descriptors.limit).unwrap_or(usize::MAX),
        partitions: partition_folders(settings),
        dirty_background_bytes: process::dirty_background_bytes(),
    })
}

/// How many partitions are in the log directory, which may not be there yet.
fn partition_folders(settings: &Settings) -> usize {
    let entries = OsFiles::new().list(settings.log_dir()).unwrap_or_default();
    entries.iter().filter(|entry| entry.is_dir && PartitionName::parse(&entry.name).is_some()).count()
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    out::error_line(format_args!("ringlog broker: {error}"));
    ExitCode::FAILURE
}

fn log_to_stderr(as_json: bool) {
    let filter = EnvFilter::try_from_env("RINGLOG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A line that finds no room (a log on the disk that is full) is lost: told on the same stream, it would be a panic.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let lines = lines.log_internal_errors(false);
    if as_json { lines.json().flatten_event(true).init() } else { lines.init() }
}

/// A panic is a bug, and a shard that is gone leaves its partitions without a leader: the process ends, the log recovers,
/// and whoever supervises it starts it again.
fn die_with_any_thread() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

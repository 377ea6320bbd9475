//! How long an fsync lasts: a library is compiled into the run's folder and preloaded into brokers (`slow_sync.c`).
//!
//! It reaches every program that syncs through the C library: a JVM, ringlog with `--io epoll`. It does not reach io_uring.

use std::path::Path;
use std::process::Command;

use super::EmulateError;
use super::means::tool;
use crate::spec::hardware::Quantiles;

/// Its source.
const SOURCE: &str = include_str!("slow_sync.c");

/// Compiles the library below `dir`; what a broker's environment has to have.
pub(super) fn environment(times: &Quantiles, dir: &Path) -> Result<Vec<String>, EmulateError> {
    let failed = |what| move |reason: String| EmulateError::Sync { what, reason };
    let (source, library) = (dir.join("slow_sync.c"), dir.join("slow_sync.so"));
    std::fs::write(&source, SOURCE).map_err(|error| failed("writing the library's source")(error.to_string()))?;
    let compiling = failed("compiling the library that delays fsync (cc)");
    let cc = tool("cc").ok_or_else(|| compiling("there is no C compiler: install one".to_owned()))?;
    let mut command = Command::new(cc);
    command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let output = command.output().map_err(|error| compiling(error.to_string()))?;
    if !output.status.success() {
        return Err(compiling(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(vec![format!("LD_PRELOAD={}", library.display()), format!("RINGLOG_SYNC_US={}", points(times))])
}

/// Quantiles as the library reads them.
pub(super) fn points(times: &Quantiles) -> String {
    let shares = [("p50", "0.5"), ("p90", "0.9"), ("p99", "0.99"), ("p999", "0.999"), ("max", "1")];
    let share = |name: &str| shares.iter().find(|it| it.0 == name).map_or("1", |it| it.1);
    times.named().iter().map(|(name, us)| format!("{}:{us}", share(name))).collect::<Vec<_>>().join(" ")
}

//! A log that the last run left is checked beside the thread that will serve it: what recovery reads and mends is read and mended
//! there, and the thread opens a folder in which little is left to look at, all of it in the page cache.
//!
//! ```text
//!   shard's thread    LogCheck::new --job--> ..............  outcome --> Partition::open_or_create
//!   helper thread                            open, close_begin
//! ```
//! The helper's log is dropped again: it leaves what a kill behind the first half of a stop would have left. So the thread opens
//! it as after a kill in this boot, or, where a clean stop had left nothing to mend, as after that.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlog_io::job::Chore;
use ringlog_io::{Files, Job};

use crate::{Known, LogConfig, Partition, RecoveryReport, Startup, StorageError};

/// How a log that was checked is to be opened, and what the check did, where there was a folder.
#[derive(Debug)]
pub struct Checked {
    /// Instead of what the check went by.
    pub startup: Startup,
    /// What was found and mended.
    pub report: Option<RecoveryReport>,
}

/// How far a check is.
#[derive(Debug)]
enum State {
    Waiting,
    UnderWay,
    Done(Result<Checked, StorageError>),
}

/// One check, to come, under way or done.
#[derive(Debug)]
pub struct LogCheck {
    state: Arc<Mutex<State>>,
}

impl LogCheck {
    /// A check of the folder, and the job that does it. Until that has ended nobody else may touch the folder.
    #[must_use]
    pub fn new(dir: PathBuf, config: LogConfig, known: Known, wall_ms: i64) -> (Self, Job) {
        let state = Arc::new(Mutex::new(State::Waiting));
        let told = Arc::clone(&state);
        let work = move |files: &dyn Files| {
            let tell = |now| *told.lock().unwrap_or_else(PoisonError::into_inner) = now;
            tell(State::UnderWay);
            tell(State::Done(check(&files.shared(), &dir, config.clone(), known, wall_ms)));
            Ok(())
        };
        (Self { state }, Job::Chore(Chore::new(work)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of it; `None` where it did not end.
    #[must_use]
    pub fn outcome(self) -> Option<Result<Checked, StorageError>> {
        match std::mem::replace(&mut *self.state(), State::UnderWay) {
            State::Done(result) => Some(result),
            State::Waiting | State::UnderWay => None,
        }
    }

    /// Whether it left the folder as a clean stop had, or did not come to it. For who asks when no job is under way any more.
    #[must_use]
    pub fn left_clean(&self) -> bool {
        match &*self.state() {
            State::Waiting => true,
            State::UnderWay => false,
            State::Done(result) => result.as_ref().is_ok_and(|checked| checked.startup == Startup::Clean),
        }
    }
}

fn check(
    files: &Rc<dyn Files>,
    dir: &std::path::Path,
    config: LogConfig,
    known: Known,
    wall_ms: i64,
) -> Result<Checked, StorageError> {
    let Some((mut log, report)) = Partition::open_claimed_by(files, dir, config, known, wall_ms)? else {
        return Ok(Checked { startup: known.startup, report: None });
    };
    if !log.is_changed() {
        return Ok(Checked { startup: known.startup, report: Some(report) });
    }
    match log.close_begin() {
        Err(error) if error.is_full() => {
            tracing::warn!(dir = %dir.display(), %error, "what the check found is not written: it is found again");
        }
        begun => begun?,
    }
    Ok(Checked { startup: Startup::SameBoot, report: Some(report) })
}

//! The folder that the targets of a run live in: made fresh, gone afterwards.
//!
//! ```text
//!   <parent>/bench-<process id>/        brokers' data and logs
//!                               in-use  locked as long as the run lasts
//! ```
//!
//! A run that was killed (-9) leaves its folder, and the kernel takes its lock away: the next run below the same parent removes
//! such a folder. By the lock and not by the process id: that may be another process by now, or one in another container.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// What the folders' names begin with.
const PREFIX: &str = "bench-";
/// The locked file.
const IN_USE: &str = "in-use";

/// A folder that nobody else has, removed when the run is over.
pub struct DataFolder {
    /// Where it is, absolute.
    pub path: PathBuf,
    made_parent: bool,
    /// Holds the lock.
    _in_use: File,
}

impl DataFolder {
    /// Makes `<parent>/bench-<process id>`, and removes what killed runs left beside it.
    pub fn create(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        let named = |error: io::Error| io::Error::new(error.kind(), format!("making {}: {error}", path.display()));
        let made_parent = !parent.exists();
        fs::create_dir_all(parent).map_err(named)?;
        // One at a time: a folder without its lock would be taken for one that was left.
        let door = File::open(parent).map_err(named)?;
        door.lock().map_err(named)?;
        remove_left(parent);
        fs::create_dir_all(&path).map_err(named)?;
        let in_use = File::create(path.join(IN_USE)).map_err(named)?;
        in_use.lock().map_err(named)?;
        Ok(Self { path: path.canonicalize().map_err(named)?, made_parent, _in_use: in_use })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            errln!("could not remove {}: {error}", self.path.display());
        }
        // Its parent goes too where we made it; it stays where somebody else uses it by now.
        if let Some(parent) = self.path.parent().filter(|_| self.made_parent) {
            let _ = fs::remove_dir(parent);
        }
    }
}

/// What cannot be removed stays, with a word: nothing of this run depends on it.
fn remove_left(parent: &Path) {
    let folders = fs::read_dir(parent).into_iter().flatten().flatten().map(|it| it.path());
    let ours = folders.filter(|it| it.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)));
    for path in ours.filter(|it| is_left(it)) {
        match fs::remove_dir_all(&path) {
            Ok(()) => errln!("{} was left by a run that was killed, and is removed", path.display()),
            Err(error) => errln!("{} was left by a run that was killed; removing it: {error}", path.display()),
        }
    }
}

/// Whether it has a lock that nobody holds.
fn is_left(path: &Path) -> bool {
    File::open(path.join(IN_USE)).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    #[test]
    fn folders_of_killed_runs_are_removed_and_those_in_use_or_of_others_stay() {
        let parent = scratch("data-folders");
        let folder = |name: &str| {
            fs::create_dir_all(parent.join(name).join("ringlog/log")).unwrap();
            parent.join(name)
        };
        let (left, running, others, older) =
            (folder("bench-1"), folder("bench-2"), folder("somebody's"), folder("bench-3"));
        let lock = |path: &Path| File::create(path.join(IN_USE)).unwrap();
        drop(lock(&left));
        let held = lock(&running);
        held.lock().unwrap();
        drop(lock(&others));
        let own = DataFolder::create(&parent).unwrap();
        assert!(!left.exists(), "its lock is nobody's");
        assert!(running.exists() && others.exists(), "in use, and not ours");
        assert!(older.exists(), "without a lock nothing is known of it");
        assert!(is_left(&others) && !is_left(&own.path));
        let path = own.path.clone();
        drop(own);
        assert!(!path.exists() && parent.exists());
        fs::remove_dir_all(parent).unwrap();
    }
}

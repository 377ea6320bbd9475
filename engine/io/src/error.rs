//! Errors of the kernel with what they were about: the kind and the errno stay readable behind the words.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// An errno with the words that say which path or address it met.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
struct About {
    what: String,
    source: io::Error,
}

/// `error`, of the same kind, with `what` before it.
pub(crate) fn about(what: impl Display, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), About { what: what.to_string(), source: error })
}

/// `error`, of the same kind, with the verb and the path before it.
pub(crate) fn at_path(verb: &str, path: &Path, error: io::Error) -> io::Error {
    about(format_args!("{verb} {}", path.display()), error)
}

/// The errno behind an error of this crate (`libc::ENOSPC`, ...), where the kernel gave one.
#[must_use]
pub fn errno(error: &io::Error) -> Option<i32> {
    if let Some(code) = error.raw_os_error() {
        return Some(code);
    }
    let about = error.get_ref()?.downcast_ref::<About>()?;
    errno(&about.source)
}

/// Whether there was no room on the disk, or none left of what is allowed.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(errno(error), Some(libc::ENOSPC | libc::EDQUOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errno_and_the_kind_survive_the_words() {
        let error = at_path("opening", Path::new("/a/b"), io::Error::from_raw_os_error(libc::EROFS));
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(errno(&error), Some(libc::EROFS));
        assert_eq!(errno(&about("again", error)), Some(libc::EROFS));
        assert_eq!(errno(&io::Error::other("no errno")), None);
    }

    #[test]
    fn the_message_names_the_path() {
        let error = at_path("opening", Path::new("/a/b"), io::Error::from_raw_os_error(libc::ENOENT));
        assert!(error.to_string().starts_with("opening /a/b: No such file"), "{error}");
    }
}

//! The growing file of append mode: every chunk that a socket gave, one after the other.
//!
//! The bytes go there as they came, a request's own header included (about 70 bytes a batch), so that no chunk is cut or
//! copied. At its largest size the file starts over: pages are reused, the disk does not fill.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use glommio::io::BufferedFile;

use super::AppendBy;

/// One growing file for all connections of the process.
pub(super) struct Sink {
    way: Way,
    end: Cell<u64>,
    bytes_max: u64,
}

/// The two ways to write.
enum Way {
    Inline(File),
    Ring(BufferedFile),
}

impl Sink {
    /// Makes the file, in place of an old one.
    pub(super) async fn create(dir: &Path, by: AppendBy, bytes_max: u64) -> io::Result<Self> {
        let file = dir.join("null-append.data");
        let way = match by {
            AppendBy::Inline => Way::Inline(OpenOptions::new().write(true).create(true).truncate(true).open(&file)?),
            AppendBy::Ring => Way::Ring(BufferedFile::create(&file).await?),
        };
        Ok(Self { way, end: Cell::new(0), bytes_max })
    }

    /// Appends a chunk.
    pub(super) async fn append(&self, chunk: &[u8]) -> io::Result<()> {
        let at = if self.end.get() >= self.bytes_max { self.start_over().await? } else { self.end.get() };
        self.end.set(at + chunk.len() as u64);
        match &self.way {
            Way::Inline(file) => file.write_all_at(chunk, at),
            Way::Ring(file) => write_whole(file, chunk, at).await,
        }
    }

    async fn start_over(&self) -> io::Result<u64> {
        match &self.way {
            Way::Inline(file) => file.set_len(0)?,
            Way::Ring(file) => file.truncate(0).await?,
        }
        Ok(0)
    }
}

/// glommio takes the buffer for good, so each chunk is copied once.
async fn write_whole(file: &BufferedFile, chunk: &[u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while done < chunk.len() {
        done += file.write_at(chunk[done..].to_vec(), at + done as u64).await?;
    }
    Ok(())
}

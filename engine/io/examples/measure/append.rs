//! How bytes are appended to a growing file: by an inline pwritev(2), or by a write through the ring, alone or eight
//! files' at once.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use ringlog_io::{Files, OpenMode, OsFiles, host};

use crate::Options;
use crate::receive::place;
use crate::table::{Cost, Meter, Table};

/// A file is cut to nothing at this length, so that its pages are used again.
const FILE_BYTES: u64 = 128 << 20;
const FILES: usize = 8;

pub(crate) fn run(options: &Options) {
    let rounds = options.number("rounds", 9);
    let total = (options.number("mib", 512) << 20) as u64;
    let dir: std::path::PathBuf = options.text("dir").map_or_else(std::env::temp_dir, Into::into);
    let kind = host::file_system_type(&dir).expect("a file system");
    let set = Targets::create(&dir);
    for len in [1 << 10, 16 << 10, 1 << 20] {
        let mut table = Table::default();
        let total = total.min(len as u64 * 16 * 1024);
        for _ in 0..rounds {
            table.add("inline pwritev", set.inline(len, total));
            table.add("ring write, one at a time", set.ring(len, total, 1));
            table.add("ring write, eight files at once", set.ring(len, total, FILES));
        }
        table.print(&format!("append, {len} bytes, {kind}"));
    }
    set.remove();
}

struct Targets {
    paths: Vec<std::path::PathBuf>,
}

impl Targets {
    fn create(dir: &std::path::Path) -> Self {
        place(0);
        let name = |i| dir.join(format!("measure-append-{}-{i}", std::process::id()));
        Self { paths: (0..FILES).map(name).collect() }
    }

    fn remove(&self) {
        for path in &self.paths {
            std::fs::remove_file(path).expect("remove");
        }
    }

    fn inline(&self, len: usize, total: u64) -> Cost {
        let files = OsFiles::new();
        let open: Vec<_> = self.paths.iter().map(|path| files.open(path, OpenMode::Create).expect("open")).collect();
        let bytes = vec![5; len];
        let mut at = [0u64; FILES];
        let meter = Meter::start();
        let count = total / len as u64;
        for i in 0..count as usize {
            let file = i % FILES;
            if at[file] + len as u64 > FILE_BYTES / FILES as u64 {
                files.truncate(&open[file], 0).expect("truncate");
                at[file] = 0;
            }
            files.write_all_at(&open[file], &[IoSlice::new(&bytes)], at[file]).expect("write");
            at[file] += len as u64;
        }
        meter.stop(count * len as u64, count)
    }

    fn ring(&self, len: usize, total: u64, at_once: usize) -> Cost {
        let mut ring: IoUring =
            IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(64).expect("a ring");
        let open: Vec<std::fs::File> = self
            .paths
            .iter()
            .map(|path| std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("open"))
            .collect();
        let bytes = vec![5u8; len];
        let mut at = [0u64; FILES];
        let (mut syscalls, mut done) = (0, 0);
        let meter = Meter::start();
        let count = total / len as u64;
        while done < count {
            for slot in 0..at_once {
                let file = (done as usize + slot) % FILES;
                if at[file] + len as u64 > FILE_BYTES / FILES as u64 {
                    open[file].set_len(0).expect("truncate");
                    at[file] = 0;
                }
                let fd: RawFd = open[file].as_raw_fd();
                let entry = opcode::Write::new(Fd(fd), bytes.as_ptr(), len as u32).offset(at[file]).build();
                // SAFETY: the bytes and the file live until all completions of this turn were taken.
                unsafe { ring.submission().push(&entry).expect("room in the queue") };
                at[file] += len as u64;
            }
            ring.submit_and_wait(at_once).expect("enter");
            syscalls += 1;
            for completion in ring.completion() {
                assert_eq!(completion.result(), len as i32, "a whole write");
                done += 1;
            }
        }
        meter.stop(done * len as u64, syscalls)
    }
}

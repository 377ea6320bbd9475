//! What a partition costs: `cargo bench -p ringlog-storage --bench log`. `cargo test` runs each once, over short logs.
//!
//! `append/files` and `write/files` move the same bytes into the page cache, with and without a partition around them;
//! `append/own` is the partition alone, over files whose writes do nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringlog_io::clock::monotonic;
use ringlog_io::{Buf, DirEntry, File, Files, OpenMode, OsFiles, Residency};
use ringlog_storage::{Isolation, LogConfig, NewBatch, Origin, Partition, Startup};
use ringlog_wire::Uuid;
use ringlog_wire::batch::{BatchBuilder, Rules, Validated, validate};
use ringlog_wire::compression::Scratch;

const NOW: i64 = 1_700_000_000_000;
/// The bytes of a log, or a part of them where each bench runs once.
fn log_bytes(bytes: u64) -> u64 {
    if std::env::args().any(|argument| argument == "--bench") { bytes } else { bytes >> 8 }
}

/// A log is begun again when it holds this much, so that a run does not fill the disk.
const LOG_BYTES_MAX: u64 = 256 << 20;
const SHAPES: [(&str, usize, usize); 3] = [("1 KiB", 1, 900), ("16 KiB", 16, 1000), ("1 MiB", 1000, 1024)];

struct Made {
    bytes: Vec<u8>,
    validated: Validated,
}

impl Made {
    fn new(records: usize, value_len: usize, producer_id: i64) -> Self {
        let mut builder = BatchBuilder::new();
        if producer_id >= 0 {
            builder.set_producer(producer_id, 0, 0);
        }
        (0..records).for_each(|_| builder.append(NOW, None, Some(&vec![b'x'; value_len]), &[]));
        let bytes = builder.finish(&mut Scratch::new()).unwrap().to_vec();
        let rules = Rules { batch_len_max: 2 << 20, ..Rules::default() };
        let validated = validate(&bytes, &rules, NOW, &mut Scratch::new()).unwrap();
        Self { bytes, validated }
    }

    fn new_batch(&self) -> NewBatch<'_> {
        NewBatch { validated: &self.validated, bytes: &self.bytes, origin: Origin::Client }
    }
}

fn folder(name: &str) -> PathBuf {
    let base = std::env::var_os("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    base.join(format!("ringlog-bench-{}", std::process::id())).join(name)
}

fn create(files: &Rc<dyn Files>) -> Partition {
    let dir = folder("append-0");
    let _ = files.remove_dir_all(&dir);
    Partition::create(files, &dir, Uuid([1; 16]), LogConfig::default(), NOW).unwrap()
}

/// The time of `iters` appends; beginning the log again is not counted.
fn time_appends(files: &Rc<dyn Files>, made: &mut Made, iters: u64) -> Duration {
    let (mut partition, mut spent_ns, mut done) = (create(files), 0, 0);
    while done < iters {
        let round = (LOG_BYTES_MAX / made.bytes.len() as u64).min(iters - done);
        let start = monotonic();
        for _ in 0..round {
            let answers = partition.append(&[made.new_batch()], 0, NOW);
            assert!(answers[0].is_ok());
            if made.validated.header.producer_id >= 0 {
                made.validated.header.base_sequence += made.validated.header.record_count;
            }
        }
        spent_ns += monotonic().0 - start.0;
        done += round;
        made.validated.header.base_sequence = made.validated.header.base_sequence.min(0);
        drop(partition);
        partition = create(files);
    }
    Duration::from_nanos(spent_ns)
}

fn time_writes(files: &Rc<dyn Files>, bytes: &[u8], iters: u64) -> Duration {
    let path = folder("plain");
    files.create_dir_all(path.parent().unwrap()).unwrap();
    let (mut spent_ns, mut done) = (0, 0);
    while done < iters {
        let _ = files.remove_file(&path);
        let file = files.open(&path, OpenMode::CreateNew).unwrap();
        let round = (LOG_BYTES_MAX / bytes.len() as u64).min(iters - done);
        let start = monotonic();
        for i in 0..round {
            files.write_all_at(&file, &[IoSlice::new(bytes)], i * bytes.len() as u64).unwrap();
        }
        spent_ns += monotonic().0 - start.0;
        done += round;
    }
    Duration::from_nanos(spent_ns)
}

fn appending(c: &mut Criterion) {
    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    let no_writes: Rc<dyn Files> = Rc::new(NoWrites(OsFiles::new()));
    let mut group = c.benchmark_group("append");
    for (name, records, value_len) in SHAPES {
        let mut made = Made::new(records, value_len, -1);
        group.throughput(Throughput::Bytes(made.bytes.len() as u64));
        group.bench_function(BenchmarkId::new("own", name), |b| {
            b.iter_custom(|iters| time_appends(&no_writes, &mut made, iters));
        });
        group.bench_function(BenchmarkId::new("files", name), |b| {
            b.iter_custom(|iters| time_appends(&files, &mut made, iters));
        });
        group.bench_function(BenchmarkId::new("plain write", name), |b| {
            b.iter_custom(|iters| time_writes(&files, &made.bytes, iters));
        });
    }
    let mut idempotent = Made::new(16, 1000, 7);
    group.bench_function(BenchmarkId::new("own", "16 KiB idempotent"), |b| {
        b.iter_custom(|iters| time_appends(&no_writes, &mut idempotent, iters));
    });
    group.finish();
}

fn filled(files: &Rc<dyn Files>, records: usize, value_len: usize, bytes: u64) -> Partition {
    let mut partition = create(files);
    let made = Made::new(records, value_len, -1);
    while partition.size_bytes() < bytes {
        assert!(partition.append(&[made.new_batch()], 0, NOW)[0].is_ok());
    }
    partition
}

fn reading(c: &mut Criterion) {
    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    for (name, records, value_len) in SHAPES {
        let mut partition = filled(&files, records, value_len, log_bytes(64 << 20));
        let end = partition.end_offset();
        let mut offset = 0;
        c.bench_function(&format!("read/any offset/{name}"), |b| {
            b.iter(|| {
                offset = (offset + 7919) % end;
                partition.read(offset, 1 << 20, true, Isolation::ReadUncommitted).unwrap().len
            });
        });
        let tail = end - records as i64;
        c.bench_function(&format!("read/tail/{name}"), |b| {
            b.iter(|| partition.read(tail, 1 << 20, true, Isolation::ReadUncommitted).unwrap().len);
        });
        partition.close_clean().unwrap();
    }
}

fn recovering(c: &mut Criterion) {
    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    let mut group = c.benchmark_group("open 256 MiB");
    group.sample_size(10);
    for (name, records, value_len) in SHAPES {
        drop(filled(&files, records, value_len, log_bytes(256 << 20)));
        for how in [Startup::NewBoot, Startup::SameBoot, Startup::Clean] {
            group.bench_function(BenchmarkId::new(format!("{how:?}"), name), |b| {
                b.iter(|| Partition::open(&files, &folder("append-0"), LogConfig::default(), how, NOW).unwrap().1);
            });
        }
    }
    group.finish();
    files.remove_dir_all(folder("").as_path()).unwrap();
}

criterion_group! {
    name = log;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = appending, reading, recovering
}
criterion_main!(log);

/// Files whose writes do nothing.
struct NoWrites(OsFiles);

impl Files for NoWrites {
    fn shared(&self) -> Rc<dyn Files> {
        Rc::new(Self(OsFiles::new()))
    }
    fn write_all_at(&self, _: &File, _: &[IoSlice<'_>], _: u64) -> io::Result<()> {
        Ok(())
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        self.0.open(path, mode)
    }
    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(file, buf, offset)
    }
    fn read_once_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_once_at(file, buf, offset)
    }
    fn drop_cached(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        self.0.drop_cached(file, offset, len)
    }
    fn read_resident_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_resident_at(file, buf, offset)
    }
    fn read_resident(&self, file: &File, into: &mut Buf, offset: u64, len: usize) -> io::Result<usize> {
        self.0.read_resident(file, into, offset, len)
    }
    fn len(&self, file: &File) -> io::Result<u64> {
        self.0.len(file)
    }
    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.0.truncate(file, len)
    }
    fn allocate(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        self.0.allocate(file, offset, len)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        self.0.sync(file)
    }
    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.0.sync_all(path)
    }
    fn start_writeback(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        self.0.start_writeback(file, offset, len)
    }
    fn space(&self, path: &Path) -> io::Result<ringlog_io::Space> {
        self.0.space(path)
    }
    fn residency(&self, file: &File, offset: u64, len: u64) -> Residency {
        self.0.residency(file, offset, len)
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.replace(path, bytes)
    }
    fn lock(&self, path: &Path) -> io::Result<File> {
        self.0.lock(path)
    }
}

//! The disk past the page cache, through glommio's ring: what the device does, whatever the kernel keeps.
//!
//! ```text
//!   write 1 MiB x 8 in flight -> the file, round and round     then of what was written:
//!   read  1 MiB x 8           -> sequential
//!   read  4 KiB x 32, at random places;  write 4 KiB x 32;  read 4 KiB x 1: its times
//! ```

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use glommio::io::{DmaFile, OpenOptions};
use glommio::{LocalExecutorBuilder, Placement, spawn_local};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::slices::{Slices, quantiles, us_since};
use super::{Found, Rate, Task};

const SEQUENTIAL_BYTES: u64 = 1 << 20;
const SEQUENTIAL_DEPTH: u64 = 8;
const RANDOM_BYTES: u64 = 4096;
const RANDOM_DEPTH: u64 = 32;
/// Shares of the step's time: sequential writing, which has to write what the others read, has the most.
const SHARES: [f64; 5] = [0.34, 0.18, 0.18, 0.18, 0.12];

pub(super) fn measure(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound).name("probe").make().map_err(io::Error::from)?;
    executor.run(all(task, found))
}

async fn all(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let file = Rc::new(open(&task.dir.join(format!(".ringlog-probe-direct-{}", std::process::id()))).await?);
    let time = |at: usize| task.time.mul_f64(SHARES[at]);
    let places = task.file_bytes / SEQUENTIAL_BYTES;
    let written = Rc::new(Cell::new(0));
    let in_order = |count: u64| {
        let next = Cell::new(0u64);
        move || next.replace(next.get() + 1) % count
    };
    let rate = {
        let (next, written) = (in_order(places), Rc::clone(&written));
        let next = move || {
            let at = next();
            written.set(written.get().max(at + 1));
            at
        };
        together(SEQUENTIAL_DEPTH, SEQUENTIAL_BYTES, time(0), next, writing(&file, SEQUENTIAL_BYTES)).await?
    };
    found.seq_write = Some(rate);
    // What fell behind the end of the time was written all the same: `together` waits for it.
    let written = written.get().max(1);
    let reads =
        together(SEQUENTIAL_DEPTH, SEQUENTIAL_BYTES, time(1), in_order(written), reading(&file, SEQUENTIAL_BYTES));
    found.seq_read = Some(reads.await?);
    let anywhere = |seed: u64| {
        let random = RefCell::new(Xoshiro256PlusPlus::seed_from_u64(seed));
        let places = written * (SEQUENTIAL_BYTES / RANDOM_BYTES);
        move || random.borrow_mut().next_u64() % places
    };
    let reads = together(RANDOM_DEPTH, 1, time(2), anywhere(1), reading(&file, RANDOM_BYTES));
    found.rand_read = Some(reads.await?);
    let writes = together(RANDOM_DEPTH, 1, time(3), anywhere(2), writing(&file, RANDOM_BYTES));
    found.rand_write = Some(writes.await?);
    found.read_us = quantiles(&mut one_by_one(&file, time(4), anywhere(3)).await?);
    Rc::try_unwrap(file).map_err(|_| io::Error::other("a task holds the file"))?.close().await.map_err(io::Error::from)
}

/// Opens a file of its own and takes its name away at once. It holds a block before it is opened: glommio finds out whether a
/// device can be polled by reading from the first file, and an empty one answers without asking the device.
async fn open(path: &Path) -> io::Result<DmaFile> {
    let wrong = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut first = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(wrong)?;
    let prepared = first.write_all(&vec![0x5a; SEQUENTIAL_BYTES as usize]).and_then(|()| first.sync_data());
    let opened = OpenOptions::new().read(true).write(true).dma_open(path).await;
    std::fs::remove_file(path)?;
    prepared.map_err(wrong)?;
    opened.map_err(|error| wrong(error.into()))
}

/// So many tasks, each of which does the work at the next place, counts it and goes on, until the time is over.
async fn together<W: Future<Output = io::Result<()>> + 'static>(
    tasks: u64,
    amount: u64,
    time: Duration,
    next: impl Fn() -> u64 + 'static,
    work: impl Fn(u64) -> W + 'static,
) -> io::Result<Rate> {
    let shared = Rc::new((Slices::begin(time), next, work));
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let shared = Rc::clone(&shared);
            spawn_local(async move {
                let (slices, next, work) = &*shared;
                loop {
                    work(next()).await?;
                    if !slices.add(amount) {
                        return io::Result::Ok(());
                    }
                }
            })
        })
        .collect();
    for task in running {
        task.await?;
    }
    shared.0.rate()
}

fn writing(file: &Rc<DmaFile>, bytes: u64) -> impl Fn(u64) -> BoxedWork + 'static {
    let mut buffer = file.alloc_dma_buffer(bytes as usize);
    // No zeros, which a disk may leave out, and no two blocks alike.
    Xoshiro256PlusPlus::seed_from_u64(bytes).fill_bytes(buffer.as_mut());
    let (file, buffer) = (Rc::clone(file), Rc::new(buffer));
    move |place| {
        let (file, buffer) = (Rc::clone(&file), Rc::clone(&buffer));
        Box::pin(async move {
            let written = file.write_rc_at(buffer, place * bytes).await.map_err(io::Error::from)?;
            whole(written as u64, bytes)
        })
    }
}

fn reading(file: &Rc<DmaFile>, bytes: u64) -> impl Fn(u64) -> BoxedWork + 'static {
    let file = Rc::clone(file);
    move |place| {
        let file = Rc::clone(&file);
        Box::pin(async move {
            let read = file.read_at_aligned(place * bytes, bytes as usize).await.map_err(io::Error::from)?;
            whole(read.len() as u64, bytes)
        })
    }
}

type BoxedWork = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

fn whole(done: u64, wanted: u64) -> io::Result<()> {
    if done == wanted { Ok(()) } else { Err(io::Error::other(format!("{done} bytes of {wanted} went through"))) }
}

/// Random reads one after the other: their times in microseconds.
async fn one_by_one(file: &Rc<DmaFile>, time: Duration, next: impl Fn() -> u64) -> io::Result<Vec<f64>> {
    let (read, begin, mut times_us) = (reading(file, RANDOM_BYTES), Instant::now(), Vec::new());
    while begin.elapsed() < time {
        let one = Instant::now();
        read(next()).await?;
        times_us.push(us_since(one));
    }
    Ok(times_us)
}

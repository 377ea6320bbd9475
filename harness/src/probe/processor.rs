//! What one thread does with bytes: check, compress, copy.

use std::hint::black_box;
use std::io;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::slices::Slices;
use super::{Found, Rate, Task};

/// A batch as a producer under load makes it.
const BATCH_BYTES: usize = 64 << 10;
/// Batches in turn: more than a core's cache holds.
const BATCHES: usize = 64;
/// The level that Kafka's `compression.zstd.level` has where nobody sets it.
const ZSTD_LEVEL: i32 = 3;
/// Of a copy's two blocks each; beyond the caches of most machines.
const COPY_BYTES: usize = 64 << 20;
const COPY_AT_ONCE_BYTES: usize = 1 << 20;
const SEED: u64 = 7;

/// Additions and rotations between two looks at the time: some tens of microseconds.
const CHAIN: u64 = 1 << 16;

/// Cycles: a chain in which each addition waits for a rotation, and that for an addition. Either takes one cycle on the processors that
/// there are, however many of them it could do at once. Without optimisation it is no such chain, and nothing is told.
pub(super) fn clock(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    if cfg!(debug_assertions) {
        return Ok(());
    }
    let slices = Slices::begin(task.time);
    let mut value = black_box(SEED);
    loop {
        for _ in 0..CHAIN {
            value = value.wrapping_add(11).rotate_left(13);
        }
        value = black_box(value);
        if !slices.add(2 * CHAIN) {
            break;
        }
    }
    found.clock = Some(slices.rate()?);
    Ok(())
}

pub(super) fn crc32c(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    found.crc32c = Some(over_batches(task, |batch| Ok(u64::from(crc_fast::crc32_iscsi(batch))))?);
    Ok(())
}

pub(super) fn lz4(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let mut out = vec![0; lz4_flex::block::get_maximum_output_size(BATCH_BYTES)];
    let rate = over_batches(task, |batch| {
        lz4_flex::block::compress_into(batch, &mut out).map(|it| it as u64).map_err(io::Error::other)
    });
    found.lz4 = Some(rate?);
    Ok(())
}

pub(super) fn zstd(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let mut out = vec![0; zstd::zstd_safe::compress_bound(BATCH_BYTES)];
    let rate = over_batches(task, |batch| compressor.compress_to_buffer(batch, &mut out[..]).map(|it| it as u64));
    found.zstd = Some(rate?);
    Ok(())
}

pub(super) fn copy(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let from = vec![1u8; COPY_BYTES];
    // Written once before: a first touch is another step's matter.
    let mut to = vec![2u8; COPY_BYTES];
    let slices = Slices::begin(task.time);
    'measured: loop {
        for (from, to) in from.chunks(COPY_AT_ONCE_BYTES).zip(to.chunks_mut(COPY_AT_ONCE_BYTES)) {
            to.copy_from_slice(black_box(from));
            black_box(&to);
            if !slices.add(from.len() as u64) {
                break 'measured;
            }
        }
    }
    found.copy = Some(slices.rate()?);
    Ok(())
}

/// Does something to one batch after the other until the time is over.
fn over_batches(task: &Task<'_>, mut work: impl FnMut(&[u8]) -> io::Result<u64>) -> io::Result<Rate> {
    let batches = batches();
    let slices = Slices::begin(task.time);
    for batch in batches.iter().cycle() {
        black_box(work(black_box(batch))?);
        if !slices.add(batch.len() as u64) {
            break;
        }
    }
    slices.rate()
}

/// Batches of events as JSON lines, which zstd makes about four times smaller; the same ones on every machine.
pub(super) fn batches() -> Vec<Vec<u8>> {
    const VERBS: [&str; 6] = ["viewed", "added", "removed", "ordered", "returned", "rated"];
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut batch = || {
        let mut text = String::with_capacity(BATCH_BYTES + 256);
        while text.len() < BATCH_BYTES {
            let word = random.next_u64();
            let verb = VERBS[(word % 6) as usize];
            text.push_str(&format!(
                "{{\"user\":\"{:08x}\",\"event\":\"{verb}\",\"item\":{},\"price\":{}.{:02},\"at\":{}}}\n",
                word >> 32,
                word >> 8 & 0xffff,
                word >> 24 & 0xff,
                word % 100,
                1_790_000_000_000 + (word >> 40)
            ));
        }
        text.truncate(BATCH_BYTES);
        text.into_bytes()
    };
    (0..BATCHES).map(|_| batch()).collect()
}

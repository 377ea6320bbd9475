//! What a record costs inside our producer, without a network: `cargo bench -p ringlog-harness --bench client`.
//!
//! A payload's bytes from Java's generator; a record's way into its batch, the sealing of full batches included.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringlog_harness::micro::{Appends, Fill};

const SIZES: [usize; 2] = [100, 1024];

fn payloads(c: &mut Criterion) {
    let mut group = c.benchmark_group("payload");
    for size in SIZES {
        let mut fill = Fill::new();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} B"), |b| b.iter(|| black_box(fill.next(size)).len()));
    }
    group.finish();
}

fn appends(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for size in SIZES {
        let (mut appends, value) = (Appends::new(16384), vec![b'x'; size]);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{size} B, 16 KiB batches"), |b| b.iter(|| appends.record(black_box(&value))));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(700));
    targets = payloads, appends
}
criterion_main!(benches);

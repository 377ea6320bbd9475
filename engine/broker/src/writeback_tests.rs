use ringlog_wire::Uuid;

use super::*;

const MS: u64 = 1_000_000;
const MIB: u64 = 1 << 20;

fn key(partition: i32) -> PartitionKey {
    PartitionKey { topic_id: Uuid([1; 16]), partition }
}

/// A piece of `len` bytes of this log that took `ns` of the disk's time.
fn serve(all: &mut Writebacks, (partition, left): (i32, u64), len: u64, (begun, now): (Nanos, Nanos)) {
    all.under_way += 1;
    all.ended(Piece { key: key(partition), len, begun }, now);
    all.saw(key(partition), left, now);
    all.served(key(partition), now);
}

#[test]
fn full_logs_go_round_and_an_old_one_goes_first() {
    let mut all = Writebacks::new(1 << 30);
    all.saw(key(0), 100, Nanos(0));
    (1..=3).for_each(|partition| all.saw(key(partition), 4 * MIB, Nanos(MS)));
    assert_eq!(all.next(Nanos(MS)), Some((key(1), false)), "the first that was full, without its tail");
    serve(&mut all, (1, 3 * MIB), MIB, (Nanos(MS), Nanos(2 * MS)));
    assert_eq!(all.next(Nanos(2 * MS)), Some((key(2), false)));
    assert_eq!(all.next(Nanos(2 * MS)), Some((key(3), false)));
    assert_eq!(all.next(Nanos(AGE_NS)), Some((key(0), true)), "old: all of it");
    assert_eq!(all.next(Nanos(AGE_NS)), Some((key(1), false)));
    assert_eq!(all.next(Nanos(AGE_NS)), None, "all are under way");
}

#[test]
fn little_waits_until_it_is_old_or_the_budget_is_half_used() {
    let mut all = Writebacks::new(2000);
    all.saw(key(0), 900, Nanos(5));
    assert_eq!((all.next(Nanos(6)), all.next_deadline(Nanos(6))), (None, Some(Nanos(5 + AGE_NS))));
    all.saw(key(1), 200, Nanos(7));
    assert_eq!(all.next(Nanos(8)), Some((key(0), true)));
}

#[test]
fn no_more_pieces_than_two_are_under_way() {
    let mut all = Writebacks::new(1 << 30);
    (0..5).for_each(|partition| all.saw(key(partition), 2 * MIB, Nanos(0)));
    all.under_way = PIECES;
    assert_eq!((all.next(Nanos(AGE_NS)), all.next_deadline(Nanos(0))), (None, None), "the end of one comes first");
}

#[test]
fn shards_share_one_budget_and_what_goes_gives_it_back() {
    let dirty = Arc::<Dirty>::default();
    let (mut one, mut other) = (Writebacks::new(1000), Writebacks::new(1000));
    one.share(Arc::clone(&dirty));
    other.share(Arc::clone(&dirty));
    one.saw(key(0), 600, Nanos(0));
    assert!(other.has_room() && other.is_pressed());
    other.saw(key(1), 400, Nanos(0));
    assert!(!one.has_room() && !other.has_room());
    assert_eq!(one.next_deadline(Nanos(0)), Some(Nanos(LOOK_NS)), "others may make room");
    one.saw(key(0), 500, Nanos(1));
    assert!(one.has_room());
    one.forget(key(0));
    drop(other);
    assert_eq!((dirty.bytes(), one.facts().unwritten), (0, 0));
}

#[test]
fn a_log_that_is_gone_is_in_no_queue() {
    let mut all = Writebacks::new(1000);
    all.saw(key(0), 2 * MIB, Nanos(0));
    all.saw(key(1), 100, Nanos(0));
    all.forget_all();
    assert_eq!((all.next(Nanos(AGE_NS)), all.dirty.bytes()), (None, 0));
    assert!(all.full.is_empty() && all.aging.is_empty());
}

/// 100 MB a second, and three quarters of the budget used: what is let in is what the disk takes.
#[test]
fn throttle_time_lets_in_what_the_disk_takes() {
    let mut all = Writebacks::new(100 * MIB);
    assert_eq!(all.charge(1 << 20, Nanos(0)), 0);
    all.saw(key(0), 75 * MIB, Nanos(0));
    assert_eq!(all.charge(1 << 20, Nanos(0)), 0, "nothing is known of the disk yet");
    for piece in 0..100 {
        serve(&mut all, (0, 75 * MIB), MIB, (Nanos(piece * 10 * MS), Nanos((piece + 1) * 10 * MS)));
    }
    let now = Nanos(1_000 * MS);
    assert!((all.facts().speed / (100.0 * MIB as f64) - 1.0).abs() < 0.01, "{:?}", all.facts());
    let waits: Vec<u32> = (0..5).map(|_| all.charge(1 << 20, now)).collect();
    let stands_behind = |(at, ms): (usize, &u32)| ms.abs_diff(10 * (at as u32 + 1)) <= 1;
    assert!(waits.iter().enumerate().all(stands_behind), "each stands behind the ones before: {waits:?}");
    assert_eq!(all.charge(1 << 30, now), 1000, "no answer holds its connection for longer");
    all.saw(key(0), 50 * MIB, now);
    assert_eq!(all.charge(1 << 30, now), 0);
}

#[test]
fn pieces_are_as_long_as_the_disk_takes_twenty_milliseconds_for() {
    let mut all = Writebacks::new(1 << 30);
    assert_eq!(all.piece_bytes(), PIECE_BYTES_MIN);
    all.saw(key(0), MIB, Nanos(0));
    serve(&mut all, (0, MIB), 4 * MIB, (Nanos(0), Nanos(20 * MS)));
    assert!(all.piece_bytes().abs_diff(4 * MIB) <= 1);
    serve(&mut all, (0, MIB), 900 * MIB, (Nanos(20 * MS), Nanos(40 * MS)));
    assert_eq!(all.piece_bytes(), PIECE_BYTES_MAX);
}

//! The order in which a Java `HashMap` gives what is in it: by bucket, and in a bucket as it was put there.

use ringlog_wire::Uuid;
use ringlog_wire::hash::java_string_hash;

/// Buckets of a table before it grows, and where `HashSet(Collection)` begins.
const BUCKETS_MIN: usize = 16;

/// Buckets of a table into which `len` things were put one by one: it doubles when it is over three quarters full.
pub(super) fn grown(len: usize) -> usize {
    let mut buckets = BUCKETS_MIN;
    while len * 4 > buckets * 3 {
        buckets *= 2;
    }
    buckets
}

/// Buckets of a set that was made of a collection with `len` things.
pub(super) fn copied(len: usize) -> usize {
    (len * 4 / 3 + 1).max(BUCKETS_MIN).next_power_of_two()
}

/// The things in the order of a table with so many buckets.
pub(super) fn order<T>(mut things: Vec<T>, buckets: usize, hash: impl Fn(&T) -> i32) -> Vec<T> {
    let mask = buckets - 1;
    things.sort_by_key(|thing| {
        let hash = hash(thing).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & mask
    });
    things
}

/// Texts in the order of a table into which they were put one by one.
pub(in super::super) fn by_hash_of_texts<T>(things: Vec<T>, text: impl Fn(&T) -> &str) -> Vec<T> {
    let buckets = grown(things.len());
    order(things, buckets, |thing| java_string_hash(text(thing)))
}

/// `Uuid.hashCode`.
pub(super) fn uuid_hash(id: &Uuid) -> i32 {
    let (high, low) = halves(id);
    let both = high ^ low;
    ((both >> 32) ^ both) as i32
}

/// The two halves, as `Uuid.compareTo` compares them: signed.
pub(super) fn halves(id: &Uuid) -> (i64, i64) {
    let number = u128::from_be_bytes(id.0);
    (((number >> 64) as u64).cast_signed(), (number as u64).cast_signed())
}

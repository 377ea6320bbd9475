//! Which partition a record without one goes to: Kafka's built-in partitioner, and the sticky one of 3.9 and before.
//!
//! Keyed records: `toPositive(murmur2(key)) % partitions`. The others stay on one partition until `batch.size` bytes
//! (estimated, after compression) went there, then move on (KIP-794):
//!
//! ```text
//!   appended >= batch.size  and the partition's last batch is closed   -> switch
//!   appended >= 2 batch.size                                           -> switch in any case (KAFKA-14156)
//!   next = uniform, or weighted by (longest queue + 1 - its queue) once every partition had a batch
//! ```
//!
//! A partition without a leader is left out, unless no partition has one: then any will do, and its batch waits for a
//! leader or for the end of `delivery.timeout.ms`.

use ringlog_wire::hash::partition_for_key;

use super::random::SplittableRandom;

/// `toPositive(murmur2(key)) % partitions`; there must be a partition.
pub(crate) fn keyed_partition(key: &[u8], partitions: usize) -> usize {
    partition_for_key(key, u32::try_from(partitions).unwrap_or(u32::MAX)) as usize
}

/// The partition that unkeyed records go to now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sticky {
    current: Option<usize>,
    appended: usize,
}

/// What the choice knows of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) partition: usize,
    /// Batches that wait. `None` where none was ever queued.
    pub(crate) queued: Option<usize>,
    pub(crate) has_leader: bool,
    /// Its leader takes what is ready within `partitioner.availability.timeout.ms`.
    pub(crate) in_time: bool,
}

impl Sticky {
    /// The current partition; chosen where there is none. One that loses its leader stays the current one.
    pub(crate) fn partition(&mut self, loads: &mut dyn FnMut() -> Vec<Load>, random: &mut Choice) -> Option<usize> {
        if self.current.is_none() {
            self.current = random.pick(&loads());
            self.appended = 0;
        }
        self.current
    }

    /// Forgets the current partition (the topic's layout changed).
    pub(crate) fn reset(&mut self) {
        self.current = None;
    }

    /// The current partition, where there is one.
    pub(crate) fn current(&self) -> Option<usize> {
        self.current
    }

    /// Counts what was appended, as its batch is estimated to grow. True where the next record goes elsewhere
    /// (BuiltInPartitioner.updatePartitionInfo).
    pub(crate) fn appended(&mut self, bytes: usize, batch_size: usize, all_batches_closed: bool) -> bool {
        self.appended += bytes;
        let is_over = self.appended >= batch_size && all_batches_closed || self.appended >= 2 * batch_size;
        if is_over {
            self.reset();
        }
        is_over
    }
}

/// The partition of StickyPartitionCache (until 3.9), which the sticky partitioner classes share.
#[derive(Clone, Debug, Default)]
pub(crate) struct StickyCache {
    current: Option<usize>,
}

impl StickyCache {
    /// The current partition, chosen among `places` where there is none yet. There must be a place.
    pub(crate) fn partition(&mut self, places: &[usize], random: &mut Choice) -> usize {
        *self.current.get_or_insert_with(|| places[random.below(places.len())])
    }

    /// A new batch begins for `from`: where that is the current partition, another one is taken.
    pub(crate) fn turn(&mut self, from: usize, places: &[usize], random: &mut Choice) {
        if self.current.is_some_and(|current| current != from) {
            return;
        }
        let others: Vec<usize> = places.iter().copied().filter(|place| Some(*place) != self.current).collect();
        if !others.is_empty() {
            self.current = Some(others[random.below(others.len())]);
        }
    }
}

/// The random choice of the next partition.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    random: SplittableRandom,
    adaptive: bool,
}

impl Choice {
    pub(crate) fn new(seed: u64, adaptive: bool) -> Self {
        Self { random: SplittableRandom::new(seed.cast_signed()), adaptive }
    }

    /// A number below `bound`, which must be above 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = i32::try_from(bound).unwrap_or(i32::MAX);
        usize::try_from(self.random.next_int_below(bound)).unwrap_or(0)
    }

    /// A number from 0 to 1, for jitter.
    pub(crate) fn fraction(&mut self) -> f64 {
        f64::from(self.random.next_int().cast_unsigned()) / f64::from(u32::MAX)
    }

    /// BuiltInPartitioner.nextPartition: by load where every partition had a batch, among those that take what is ready
    /// in time; otherwise each of those with a leader alike; each of all where none has a leader.
    fn pick(&mut self, loads: &[Load]) -> Option<usize> {
        let weights = self.weights(loads).unwrap_or_else(|| {
            let none_led = loads.iter().all(|load| !load.has_leader);
            loads.iter().map(|load| i64::from(load.has_leader || none_led)).collect()
        });
        let total: i64 = weights.iter().sum();
        let bound = i32::try_from(total).unwrap_or(i32::MAX).max(1);
        let mut left = i64::from(self.random.next_int_below(bound));
        let chosen = weights.iter().position(|weight| {
            left -= weight;
            left < 0
        })?;
        loads.get(chosen).map(|load| load.partition)
    }

    /// Kafka's cumulative table, as single weights (BuiltInPartitioner.updatePartitionLoadStats); `None` where the
    /// choice does not go by load.
    fn weights(&self, loads: &[Load]) -> Option<Vec<i64>> {
        let queued: Option<Vec<usize>> = loads.iter().map(|load| load.queued).collect();
        let queued = queued.filter(|queued| self.adaptive && queued.len() > 1)?;
        let counts = |load: &Load| load.has_leader && load.in_time;
        let longest = loads.iter().zip(&queued).filter(|(load, _)| counts(load)).map(|(_, len)| *len).max()?;
        let weight = |(load, len): (&Load, &usize)| {
            if counts(load) { i64::try_from(longest + 1 - len).unwrap_or(1) } else { 0 }
        };
        Some(loads.iter().zip(&queued).map(weight).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_go_where_kafka_s_murmur2_sends_them() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2 gives the hashes.
        assert_eq!(ringlog_wire::hash::murmur2(b"21"), -973_932_308);
        assert_eq!(keyed_partition(b"21", 10), ((-973_932_308i32 & 0x7fff_ffff) % 10) as usize);
    }

    #[test]
    fn keys_of_every_length_go_where_kafka_s_own_class_sends_them() {
        // BuiltInPartitioner.partitionForKey of Kafka 4.3.1, for each of these counts of partitions.
        const COUNTS: [usize; 8] = [1, 2, 3, 7, 12, 100, 1000, 4096];
        for line in include_str!("partitioner_vectors.txt").lines() {
            let (hex, partitions) = line.split_once(' ').unwrap();
            let key: Vec<u8> =
                (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
            let wanted: Vec<usize> = partitions.split(' ').map(|number| number.parse().unwrap()).collect();
            assert_eq!(COUNTS.map(|count| keyed_partition(&key, count)).to_vec(), wanted, "key {hex}");
        }
    }

    fn picked(choice: &mut Choice, loads: &[Load]) -> Vec<usize> {
        (0..500).filter_map(|_| choice.pick(loads)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    #[test]
    fn a_partition_whose_node_does_not_answer_is_left_out_unless_all_are() {
        let mut slow = loads(&[Some(0), Some(0), Some(0)]);
        slow[1].in_time = false;
        let mut choice = Choice::new(5, true);
        assert_eq!(picked(&mut choice, &slow), [0, 2]);
        assert_eq!(picked(&mut Choice::new(5, false), &slow), [0, 1, 2], "only the adaptive choice looks at it");
        slow.iter_mut().for_each(|load| load.in_time = false);
        assert_eq!(picked(&mut choice, &slow), [0, 1, 2]);
    }

    #[test]
    fn a_partition_without_a_leader_is_left_out_unless_none_has_one() {
        for queued in [None, Some(0), Some(3)] {
            let mut some = loads(&[queued, Some(1), Some(0)]);
            some[0].has_leader = false;
            let mut choice = Choice::new(5, true);
            assert_eq!(picked(&mut choice, &some), [1, 2], "{queued:?}");
            some[2].in_time = false;
            let wanted = if queued.is_some() { vec![1] } else { vec![1, 2] };
            assert_eq!(
                picked(&mut choice, &some),
                wanted,
                "{queued:?}: late ones count until every partition had a batch"
            );
            some.iter_mut().for_each(|load| load.has_leader = false);
            assert_eq!(picked(&mut choice, &some), [0, 1, 2], "{queued:?}");
        }
    }

    #[test]
    fn the_old_sticky_partition_changes_only_with_a_new_batch_of_its_own() {
        let (mut cache, mut random) = (StickyCache::default(), Choice::new(1, true));
        let places = [0, 2, 5];
        let first = cache.partition(&places, &mut random);
        let other = places.into_iter().find(|place| *place != first).unwrap();
        cache.turn(other, &places, &mut random);
        assert_eq!(cache.partition(&places, &mut random), first, "a keyed record began that batch");
        cache.turn(first, &places, &mut random);
        assert_ne!(cache.partition(&places, &mut random), first);
        let mut alone = StickyCache::default();
        alone.turn(7, &[7], &mut random);
        alone.turn(7, &[7], &mut random);
        assert_eq!(alone.partition(&[7], &mut random), 7);
    }

    fn loads(queued: &[Option<usize>]) -> Vec<Load> {
        queued
            .iter()
            .enumerate()
            .map(|(partition, queued)| Load { partition, queued: *queued, has_leader: true, in_time: true })
            .collect()
    }

    fn shares(queued: &[Option<usize>]) -> Vec<usize> {
        let (mut choice, loads) = (Choice::new(1, true), loads(queued));
        let mut counts = vec![0; queued.len()];
        (0..9000).for_each(|_| counts[choice.pick(&loads).unwrap()] += 1);
        counts
    }

    #[test]
    fn a_longer_queue_gets_less_once_every_partition_had_a_batch() {
        let counts = shares(&[Some(0), Some(2), Some(1)]);
        let near = |count: usize, wanted: usize| count.abs_diff(wanted) < 300;
        assert!(near(counts[0], 4500) && near(counts[1], 1500) && near(counts[2], 3000), "{counts:?}");
        let uniform = shares(&[Some(0), Some(2), None]);
        assert!(uniform.iter().all(|count| near(*count, 3000)), "{uniform:?}");
    }

    #[test]
    fn the_partition_changes_after_batch_size_bytes_when_its_batch_is_closed_and_at_twice_that_anyhow() {
        let mut random = Choice::new(3, true);
        let mut many = || loads(&[None; 64]);
        let mut sticky = Sticky::default();
        let first = sticky.partition(&mut many, &mut random).unwrap();
        sticky.appended(999, 1000, true);
        assert_eq!(sticky.current, Some(first));
        sticky.appended(1, 1000, false);
        assert_eq!(sticky.current, Some(first), "put off while a batch is open");
        sticky.appended(1000, 1000, false);
        assert_eq!(sticky.current, None, "but not beyond twice the size");
        sticky.partition(&mut many, &mut random).unwrap();
        sticky.appended(1000, 1000, true);
        assert_eq!(sticky.current, None);
    }

    #[test]
    fn without_a_partition_there_is_no_choice() {
        assert_eq!(Sticky::default().partition(&mut Vec::new, &mut Choice::new(0, true)), None);
    }
}

//! Which segments become one (`Cleaner.groupSegmentsBySize`): neighbours that fit into one together as they are.

use std::ops::Range;

use crate::index::TIME_ENTRY_LEN;

/// A segment that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) base_offset: i64,
    pub(crate) size: u64,
    /// Where the next segment begins.
    pub(crate) end_offset: i64,
}

/// What a segment may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) segment_bytes: u64,
    pub(crate) segment_index_bytes: u64,
    pub(crate) index_interval_bytes: u64,
}

impl Limits {
    /// The indexes of so much log take no more than this.
    fn index_bytes(&self, size: u64) -> u64 {
        (size / self.index_interval_bytes.max(1) + 1).saturating_mul(TIME_ENTRY_LEN as u64)
    }
}

/// Cuts the segments into groups.
pub(crate) fn group(sources: &[Source], limits: &Limits) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (i, source) in sources.iter().enumerate() {
        let joined = bytes + source.size;
        let fits = groups.last().is_some_and(|group| {
            joined <= limits.segment_bytes
                && limits.index_bytes(joined) <= limits.segment_index_bytes
                && source.end_offset - sources[group.start].base_offset <= i64::from(i32::MAX)
        });
        match groups.last_mut() {
            Some(group) if fits => {
                group.end = i + 1;
                bytes = joined;
            }
            _ => {
                groups.push(i..i + 1);
                bytes = source.size;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(sizes: &[u64]) -> Vec<Source> {
        let of = |(i, size): (usize, &u64)| Source {
            base_offset: 10 * i as i64,
            size: *size,
            end_offset: 10 * i as i64 + 10,
        };
        sizes.iter().enumerate().map(of).collect()
    }

    fn limits(segment_bytes: u64) -> Limits {
        Limits { segment_bytes, segment_index_bytes: 1 << 20, index_interval_bytes: 4096 }
    }

    #[test]
    fn neighbours_become_one_while_they_fit() {
        assert!(group(&[], &limits(100)).is_empty());
        assert_eq!(group(&sources(&[40, 60, 1, 99, 100, 200, 0, 3]), &limits(100)), [0..2, 2..4, 4..5, 5..6, 6..8]);
    }

    #[test]
    fn a_group_is_no_longer_than_offsets_and_its_indexes_reach() {
        let mut far = sources(&[1, 1, 1]);
        far[1].end_offset = i64::from(i32::MAX);
        far[2] = Source { base_offset: far[1].end_offset, end_offset: far[1].end_offset + 1, size: 1 };
        assert_eq!(group(&far, &limits(100)), [0..2, 2..3]);
        let tight = Limits { segment_index_bytes: 24, ..limits(1 << 30) };
        assert_eq!(group(&sources(&[4_000, 4_000, 4_000]), &tight), [0..2, 2..3]);
    }
}

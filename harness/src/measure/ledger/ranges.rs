//! A set of numbers that mostly come in order.

use std::collections::BTreeMap;

/// A set of numbers, kept as ranges: a run in order is one range, whatever its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The range that grew last, `start..end`; empty at first. Not in `others`.
    last: (u64, u64),
    /// Start to end (exclusive) of the others; disjoint, none touching another.
    others: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds a number. False where it was there already.
    pub fn insert(&mut self, number: u64) -> bool {
        let touches_next = self.others.contains_key(&(number + 1));
        if number == self.last.1 && self.last.0 != self.last.1 && !touches_next {
            self.last.1 += 1;
            return true;
        }
        self.insert_slow(number)
    }

    fn insert_slow(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        self.park_last();
        let (mut start, mut end) = (number, number + 1);
        if let Some((&before, _)) = self.others.range(..number).next_back().filter(|(_, end)| **end == number) {
            self.others.remove(&before);
            start = before;
        }
        if let Some(after) = self.others.remove(&end) {
            end = after;
        }
        self.last = (start, end);
        true
    }

    fn park_last(&mut self) {
        if self.last.0 != self.last.1 {
            self.others.insert(self.last.0, self.last.1);
        }
    }

    /// Adds the numbers from `start` to before `end`, none of which is in the set.
    pub fn insert_all(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        self.insert(start);
        // The range that grew last ends behind `start`, or behind the range that stood there.
        if self.last.1 == start + 1 {
            let after = self.others.remove(&end);
            self.last.1 = after.unwrap_or(end);
        }
    }

    /// The set of these ranges, `(start, end)` with the end exclusive, in order. `None` where they are not in order, are
    /// empty or touch.
    #[must_use]
    pub fn from_ordered(ranges: &[(u64, u64)]) -> Option<Self> {
        let mut before = None;
        for &(start, end) in ranges {
            if start >= end || before.is_some_and(|before| start <= before) {
                return None;
            }
            before = Some(end);
        }
        Some(Self { last: (0, 0), others: ranges.iter().copied().collect() })
    }

    /// Whether a number is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        (self.last.0..self.last.1).contains(&number)
            || self.others.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.iter().map(|(start, end)| end - start).sum()
    }

    /// The ranges in order, `(start, end)` with the end exclusive.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (start, end) = self.last;
        let before = self.others.range(..start).map(|(start, end)| (*start, *end));
        let after = self.others.range(start..).map(|(start, end)| (*start, *end));
        before.chain((start != end).then_some((start, end))).chain(after)
    }

    /// How many numbers of `other` are not in this set.
    #[must_use]
    pub fn missing_of(&self, other: &Self) -> u64 {
        let mine: Vec<(u64, u64)> = self.iter().collect();
        let mut at = 0;
        let mut missing = 0;
        for (start, end) in other.iter() {
            let mut from = start;
            while let Some(&(mine_start, mine_end)) = mine.get(at).filter(|range| range.0 < end) {
                missing += mine_start.saturating_sub(from);
                from = from.max(mine_end.min(end));
                if mine_end > end {
                    break;
                }
                at += 1;
            }
            missing += end - from;
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_that_overlap_touch_or_are_empty_are_refused() {
        assert!(Ranges::from_ordered(&[(0, 5), (6, 7)]).is_some());
        for bad in [[(0, 5), (5, 7)], [(0, 5), (3, 7)], [(5, 5), (6, 7)], [(6, 7), (0, 5)]] {
            assert!(Ranges::from_ordered(&bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn ranges_are_a_set(numbers in prop::collection::vec(0u64..60, 0..80), others in prop::collection::vec(0u64..60, 0..80)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(ranges.insert(number), set.insert(number));
            }
            let (mut other_ranges, mut other_set) = (Ranges::default(), BTreeSet::new());
            for number in others {
                prop_assert_eq!(other_ranges.insert(number), other_set.insert(number));
            }
            prop_assert_eq!(ranges.count(), set.len() as u64);
            prop_assert!((0..60).all(|number| ranges.contains(number) == set.contains(&number)));
            prop_assert_eq!(ranges.missing_of(&other_ranges), other_set.difference(&set).count() as u64);
            let kept: Vec<(u64, u64)> = ranges.iter().collect();
            prop_assert!(Ranges::from_ordered(&kept).is_some(), "{kept:?}");
            let flat: Vec<u64> = ranges.iter().flat_map(|(start, end)| start..end).collect();
            prop_assert_eq!(flat, set.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_span_is_its_numbers(numbers in prop::collection::vec(0u64..60, 0..30), start in 0u64..60, len in 0u64..20) {
            let (mut by_one, mut at_once) = (Ranges::default(), Ranges::default());
            let end = start + len;
            for number in numbers.into_iter().filter(|number| !(start..end).contains(number)) {
                by_one.insert(number);
                at_once.insert(number);
            }
            (start..end).for_each(|number| _ = by_one.insert(number));
            at_once.insert_all(start, end);
            prop_assert_eq!(by_one.iter().collect::<Vec<_>>(), at_once.iter().collect::<Vec<_>>());
            prop_assert!(by_one.insert(100) && at_once.insert(100), "it grows on");
            prop_assert_eq!(by_one.count(), at_once.count());
        }
    }
}

//! Records out of batches: cut, compressed, limited, aborted.

use proptest::prelude::*;
use ringlog_wire::batch::{BatchBuilder, ControlType};

use super::*;

const RULES: ReadRules = ReadRules { check_crcs: true, read_committed: false };
const COMMITTED: ReadRules = ReadRules { check_crcs: true, read_committed: true };

/// A batch of records whose values are their offsets.
fn batch(base_offset: i64, count: i64, codec: Codec, transaction_of: Option<i64>) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_codec(codec, None);
    builder.set_position(base_offset, 0);
    if let Some(producer) = transaction_of {
        builder.set_producer(producer, 0, 0).set_transactional(true);
    }
    for offset in base_offset..base_offset + count {
        builder.append(offset * 10, None, Some(&offset.to_be_bytes()), &[]);
    }
    builder.finish(&mut Scratch::new()).unwrap().to_vec()
}

fn marker(offset: i64, producer: i64, kind: ControlType) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_position(offset, 0).set_producer(producer, 0, -1).set_transactional(true);
    builder.append_control(0, kind, &[0; 6]);
    builder.finish(&mut Scratch::new()).unwrap().to_vec()
}

/// Gives out everything, so many records at a time; offsets in order.
fn offsets(mut fetched: Fetched, records_max: usize, rules: ReadRules) -> Vec<i64> {
    let (mut offsets, mut opened) = (Vec::new(), Opened::default());
    loop {
        let mut sink = |record: &ConsumedRecord<'_>| {
            assert_eq!(record.value, Some(&record.offset.to_be_bytes()[..]));
            assert_eq!(record.timestamp_ms, record.offset * 10);
            offsets.push(record.offset);
        };
        let (given, more) = fetched.give(("t", 0), records_max, rules, &mut opened, &mut sink).unwrap();
        assert!(given.records <= records_max);
        if !more {
            return offsets;
        }
    }
}

proptest! {
    #[test]
    fn every_record_from_the_position_on_comes_once_whatever_the_limit_and_the_cut(
        counts in prop::collection::vec((1i64..20, 0u8..5), 1..6),
        from in 0i64..30,
        records_max in 1usize..25,
        cut in 0usize..100,
    ) {
        let (mut bytes, mut next) = (Vec::new(), 0);
        for (count, codec) in &counts {
            bytes.extend(batch(next, *count, Codec::from_id(*codec).unwrap(), None));
            next += count;
        }
        bytes.extend(&batch(next, 3, Codec::None, None)[..cut.min(80)]);
        let fetched = Fetched::new(Slice::from(bytes), from, Vec::new());
        if let Some((end, _)) = fetched.end_within(1000) {
            prop_assert_eq!(end.offset, next.max(from.min(next)));
        }
        prop_assert_eq!(offsets(fetched, records_max, RULES), (from..next).collect::<Vec<_>>());
    }
}

proptest! {
    #[test]
    fn hostile_bytes_end_in_an_error_or_in_fewer_records_and_never_in_a_panic(
        codec in 0u8..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        records_max in 1usize..30,
    ) {
        let mut bytes = [batch(0, 9, Codec::from_id(codec).unwrap(), Some(1)), marker(9, 1, ControlType::Abort)].concat();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let rules = ReadRules { check_crcs: false, read_committed: true };
        let mut fetched = Fetched::new(Slice::from(bytes), 3, vec![Aborted { first_offset: 0, producer_id: 7 }]);
        let mut opened = Opened::default();
        fetched.end_within(records_max);
        for _ in 0..40 {
            let given = fetched.give(("t", 0), records_max, rules, &mut opened, &mut |_: &ConsumedRecord<'_>| ());
            if !matches!(given, Ok((_, true))) {
                break;
            }
        }
    }
}

#[test]
fn what_is_left_is_known_before_it_is_read() {
    let bytes = [batch(5, 10, Codec::None, None), batch(15, 10, Codec::Lz4, None)].concat();
    let mut fetched = Fetched::new(Slice::from(bytes), 5, Vec::new());
    assert_eq!(fetched.end_within(20).map(|(end, count)| (end.offset, count)), Some((25, 20)));
    assert_eq!(fetched.end_within(19), None);
    fetched.give(("t", 0), 13, RULES, &mut Opened::default(), &mut |_: &ConsumedRecord<'_>| ()).unwrap();
    assert_eq!(fetched.next_offset(), 18);
    assert_eq!(fetched.end_within(7).map(|(end, count)| (end.offset, count)), Some((25, 7)));
}

#[test]
fn a_changed_byte_is_found_only_where_crcs_are_checked() {
    let mut bytes = batch(0, 1, Codec::None, None);
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    let give = |rules| {
        let mut fetched = Fetched::new(Slice::from(bytes.clone()), 0, Vec::new());
        fetched.give(("t", 0), 10, rules, &mut Opened::default(), &mut |_: &ConsumedRecord<'_>| ()).map(|_| ())
    };
    assert!(matches!(give(RULES), Err(BatchError::Crc { .. })));
    assert!(give(ReadRules { check_crcs: false, ..RULES }).is_ok());
}

#[test]
fn an_aborted_transaction_is_passed_over_up_to_its_marker_and_not_beyond() {
    let bytes = [
        batch(0, 2, Codec::None, Some(1)),
        batch(2, 2, Codec::None, Some(2)),
        marker(4, 1, ControlType::Abort),
        batch(5, 2, Codec::None, Some(1)),
        marker(7, 2, ControlType::Commit),
        marker(8, 1, ControlType::Commit),
        batch(9, 1, Codec::None, None),
    ]
    .concat();
    let aborted = || vec![Aborted { first_offset: 0, producer_id: 1 }];
    let fetched = || Fetched::new(Slice::from(bytes.clone()), 0, aborted());
    assert_eq!(offsets(fetched(), 100, COMMITTED), [2, 3, 5, 6, 9]);
    assert_eq!(offsets(fetched(), 100, RULES), [0, 1, 2, 3, 5, 6, 9], "markers are never given out");
}

#[test]
fn a_fetch_that_begins_at_the_marker_does_not_take_the_next_transaction_for_aborted() {
    let bytes =
        [marker(4, 1, ControlType::Abort), batch(5, 2, Codec::None, Some(1)), marker(7, 1, ControlType::Commit)];
    let aborted = vec![Aborted { first_offset: 0, producer_id: 1 }];
    assert_eq!(offsets(Fetched::new(Slice::from(bytes.concat()), 4, aborted), 100, COMMITTED), [5, 6]);
}

//! The primitive types: boundaries, refusals, round trips.

use super::*;

#[test]
fn unsigned_varints_have_protobufs_form() {
    for (value, bytes) in [
        (0u32, vec![0x00]),
        (127, vec![0x7f]),
        (128, vec![0x80, 0x01]),
        (300, vec![0xac, 0x02]),
        (u32::MAX, vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let mut w = Writer::new();
        w.uvarint(value);
        assert_eq!(w.bytes, bytes);
        assert_eq!(Reader::new(&bytes).uvarint(), Ok(value));
    }
}

#[test]
fn a_varint_that_does_not_end_is_refused() {
    assert_eq!(Reader::new(&[0xff; 6]).uvarint(), Err(DecodeError::Varint { position: 0 }));
    assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).uvarint(), Err(DecodeError::Varint { position: 0 }));
    assert!(matches!(Reader::new(&[0x80]).uvarint(), Err(DecodeError::Short { .. })));
}

#[test]
fn a_count_beyond_the_bytes_that_are_there_allocates_nothing() {
    let input = [0x7f, 0xff, 0xff, 0xff, 0, 0];
    let mut r = Reader::new(&input);
    assert_eq!(r.count(false, 1, 100), Err(DecodeError::Count { count: 0x7fff_ffff, left: 2, position: 0 }));
}

#[test]
fn the_memory_budget_is_a_multiple_of_the_input() {
    let mut input = vec![0, 0, 0x27, 0x10];
    input.resize(10_004, 0);
    let mut r = Reader::new(&input);
    let granted = input.len() * MEMORY_PER_BYTE + MEMORY_FLOOR;
    assert_eq!(r.count(false, 1, 100), Err(DecodeError::Memory { granted, position: 4 }));
    assert_eq!(Reader::new(&input).count(false, 1, 10), Ok(Some(10_000)));
}

#[test]
fn a_reader_takes_no_more_memory_than_it_is_granted() {
    let mut input = vec![0, 0, 0x27, 0x10];
    input.resize(10_004, 0);
    let granted = 10_000 + ALLOCATION_BYTES;
    assert_eq!(Reader::within(&input, granted).count(false, 1, 1), Ok(Some(10_000)));
    let refused = Reader::within(&input, granted - 1).count(false, 1, 1);
    assert_eq!(refused, Err(DecodeError::Memory { granted: granted - 1, position: 4 }));
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("10031 bytes of memory"), "{words}");
}

#[test]
fn strings_and_unknown_tags_are_paid_for_too() {
    let mut w = Writer::new();
    (0..3).for_each(|_| w.string(Some("topic"), false).unwrap());
    let mut r = Reader::within(&w.bytes, 2 * (5 + ALLOCATION_BYTES));
    assert_eq!(r.string(false).unwrap().as_deref(), Some("topic"));
    assert_eq!(r.string(false).unwrap().as_deref(), Some("topic"));
    assert!(matches!(r.string(false), Err(DecodeError::Memory { .. })));
    let tags = [2, 7, 2, 0xaa, 0xbb, 9, 1, 0];
    let two = 3 + 2 * (2 * size_of::<(u32, Vec<u8>)>() + ALLOCATION_BYTES);
    for (granted, is_enough) in [(two, true), (two - 1, false)] {
        let read = Reader::within(&tags, granted).tagged_fields(&mut Vec::new(), |_, _| Ok(false));
        assert_eq!(read.is_ok(), is_enough, "{granted}");
    }
}

#[test]
fn strings_round_trip_in_both_forms() {
    for flexible in [false, true] {
        for text in [None, Some(""), Some("topic"), Some("größe")] {
            let mut w = Writer::new();
            w.string(text, flexible).unwrap();
            let mut r = Reader::new(&w.bytes);
            assert_eq!(r.string(flexible).unwrap().as_deref(), text);
            r.finish().unwrap();
        }
    }
}

#[test]
fn strings_that_are_too_long_or_no_utf8_are_refused() {
    let mut w = Writer::new();
    let long = "x".repeat(STRING_MAX + 1);
    assert!(matches!(w.string(Some(&long), true), Err(EncodeError::TooLong { .. })));
    assert_eq!(Reader::new(&[3, 0xff, 0xfe]).string(true), Err(DecodeError::Utf8 { position: 3 }));
    let mut w = Writer::new();
    w.uvarint(40_001);
    w.raw(&[b'x'; 40_000]);
    assert!(matches!(Reader::new(&w.bytes).string(true), Err(DecodeError::StringLength { len: 40_000, .. })));
}

#[test]
fn any_negative_length_is_null_as_in_kafka() {
    assert_eq!(Reader::new(&(-2i32).to_be_bytes()).length(false), Ok(None));
    assert_eq!(Reader::new(&(-7i16).to_be_bytes()).string(false), Ok(None));
}

#[test]
fn an_unknown_tagged_field_is_kept_and_a_known_one_must_fill_its_length() {
    let input = [2, 7, 2, 0xaa, 0xbb, 9, 3, 0, 5, 0];
    let mut unknown = Vec::new();
    let seen = Reader::new(&input).tagged_fields(&mut unknown, |tag, r| {
        if tag == 9 {
            r.i16()?;
        }
        Ok(tag == 9)
    });
    assert_eq!(seen, Err(DecodeError::Trailing { left: 1, position: 9 }));
    assert_eq!(unknown, vec![(7, vec![0xaa, 0xbb])]);
}

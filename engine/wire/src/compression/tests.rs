//! Codecs: round trips, Java's and librdkafka's forms, and data that does not open.

use super::*;

fn sample() -> Vec<u8> {
    (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 29) as u8 + b'A').collect()
}

fn packed(codec: Codec, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(codec, None, input, &mut out, &mut Scratch::new()).unwrap();
    out
}

fn opened(codec: Codec, input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    decompress(codec, input, 1 << 20, &mut out, &mut Scratch::new())?;
    Ok(out)
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    for codec in Codec::ALL {
        for input in [vec![], vec![7], sample()] {
            assert_eq!(opened(codec, &packed(codec, &input)).as_ref(), Ok(&input), "{}", codec.name());
        }
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
}

#[test]
fn contexts_survive_a_body_that_fails() {
    let mut scratch = Scratch::new();
    let good = packed(Codec::Zstd, &sample());
    for _ in 0..3 {
        let mut out = Vec::new();
        assert!(decompress(Codec::Zstd, &good[..good.len() / 2], 1 << 20, &mut out, &mut scratch).is_err());
        out.clear();
        decompress(Codec::Zstd, &good, 1 << 20, &mut out, &mut scratch).unwrap();
        assert_eq!(out, sample());
    }
}

#[test]
fn truncated_bodies_do_not_open() {
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd, Codec::Snappy] {
        let good = packed(codec, &sample());
        let whole = sample().len();
        for len in (1..good.len()).step_by(997) {
            // Snappy has no end mark: a cut between two of its blocks shows only in the records.
            let outcome = opened(codec, &good[..len]);
            let shorter = codec == Codec::Snappy && outcome.as_ref().is_ok_and(|out| out.len() < whole);
            assert!(outcome.is_err() || shorter, "{} at {len}", codec.name());
        }
    }
}

#[test]
fn the_limit_holds_for_every_codec() {
    for codec in Codec::ALL {
        let input = packed(codec, &vec![0; 3 << 20]);
        let expected = CompressionError::TooLarge { codec, max: 1 << 20 };
        assert_eq!(opened(codec, &input), Err(expected), "{}", codec.name());
    }
}

#[test]
fn snappy_opens_raw_blocks_and_streams_in_a_row() {
    let raw = snap::raw::Encoder::new().compress_vec(b"librdkafka writes this").unwrap();
    assert_eq!(opened(Codec::Snappy, &raw).unwrap(), b"librdkafka writes this");
    let twice = [packed(Codec::Snappy, b"one "), packed(Codec::Snappy, b"two")].concat();
    assert_eq!(opened(Codec::Snappy, &twice).unwrap(), b"one two");
}

#[test]
fn a_snappy_block_that_claims_four_gigabytes_allocates_nothing() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    assert!(matches!(opened(Codec::Snappy, &claim), Err(CompressionError::Broken { .. })));
}

#[test]
fn gzip_members_may_follow_each_other() {
    let twice = [packed(Codec::Gzip, b"one "), packed(Codec::Gzip, b"two")].concat();
    assert_eq!(opened(Codec::Gzip, &twice).unwrap(), b"one two");
}

#[test]
fn linked_lz4_blocks_are_refused_as_java_refuses_them() {
    let info = lz4_flex::frame::FrameInfo::new().block_mode(lz4_flex::frame::BlockMode::Linked);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&sample()).unwrap();
    let error = opened(Codec::Lz4, &encoder.finish().unwrap()).unwrap_err();
    assert!(error.to_string().contains("depend on each other"), "{error}");
}

#[test]
fn lz4_takes_checksums_and_content_size_and_ends_at_its_end_mark() {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Independent)
        .block_checksums(true)
        .content_checksum(true)
        .content_size(Some(sample().len() as u64));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&sample()).unwrap();
    let mut frame = encoder.finish().unwrap();
    assert_eq!(opened(Codec::Lz4, &frame).unwrap(), sample());
    frame.extend_from_slice(b"not a frame");
    assert_eq!(opened(Codec::Lz4, &frame).unwrap(), sample());
}

#[test]
fn levels_outside_a_codecs_range_are_refused() {
    let mut out = Vec::new();
    for level in [0, 10, -2] {
        assert!(compress(Codec::Gzip, Some(level), b"x", &mut out, &mut Scratch::new()).is_err(), "{level}");
    }
    for level in [-131_072, 1, 22] {
        compress(Codec::Zstd, Some(level), b"x", &mut out, &mut Scratch::new()).unwrap();
    }
}

#[test]
fn every_level_opens_and_a_higher_one_does_not_take_more() {
    // Words, so that a longer search finds longer matches.
    let words: Vec<u8> = (0..60_000u32)
        .flat_map(|n| {
            ["ring ", "logical ", "logs ", "segment ", "sea "][(n.wrapping_mul(2_654_435_761) >> 29) as usize % 5]
                .bytes()
        })
        .collect();
    for (codec, levels) in [(Codec::Gzip, 1..=9), (Codec::Lz4, 1..=17), (Codec::Zstd, 1..=19)] {
        let mut sizes = Vec::new();
        for level in levels {
            let mut out = Vec::new();
            compress(codec, Some(level), &words, &mut out, &mut Scratch::new()).unwrap();
            assert_eq!(opened(codec, &out).as_ref(), Ok(&words), "{} {level}", codec.name());
            sizes.push(out.len());
        }
        let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
        assert!(last < first, "{} {sizes:?}", codec.name());
    }
}

#[test]
fn high_lz4_blocks_are_framed_as_the_fast_ones_and_what_does_not_shrink_is_stored() {
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) ^ (n >> 3)).to_le_bytes()[1]).collect();
    let frame = |level| {
        let mut out = Vec::new();
        compress(Codec::Lz4, Some(level), &noise, &mut out, &mut Scratch::new()).unwrap();
        out
    };
    let (fast, high) = (frame(9), frame(12));
    assert_eq!(fast[..7], high[..7], "the header with its checksum");
    assert_eq!(opened(Codec::Lz4, &high).as_ref(), Ok(&noise));
    assert!(high.len() <= noise.len() + 7 + 3 * 4);
}

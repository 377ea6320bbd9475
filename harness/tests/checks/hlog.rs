//! Reads HdrHistogram interval logs (V2, deflated): counts by value, tags apart. Written from the format's description, so
//! that it checks the histograms of our tools and not their library.
//!
//! ```text
//!   line     [Tag=<tag>,]<start s>,<length s>,<max>,<base64>
//!   base64   cookie 0x1c849304 u32 | length u32 | zlib( header of 40 bytes | counts as zig-zag LEB128, of at most 9 bytes )
//!   header   cookie 0x1c849303 u32 | payload length | normalizing offset | digits i32 | lowest i64 | highest i64 | ratio f64
//!   counts   a negative number stands for so many zeros
//! ```

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::Engine as _;

/// value -> count.
pub(crate) type Counts = BTreeMap<u64, u64>;

const COOKIE_DEFLATED: u32 = 0x1c84_9304;
const COOKIE: u32 = 0x1c84_9303;
/// The bits of a cookie that say how wide a word is.
const WORD_SIZE: u32 = 0xf0;
const HEADER_LEN: usize = 40;

/// The counts of all lines with this tag.
pub(crate) fn read(text: &str, tag: &str) -> Result<Counts, String> {
    let (mut total, begin) = (Counts::new(), format!("Tag={tag},"));
    for line in text.lines().filter(|line| line.starts_with(&begin)) {
        let data = line.rsplit(',').next().unwrap_or_default();
        let data = base64::engine::general_purpose::STANDARD.decode(data).map_err(|error| error.to_string())?;
        for (value, count) in decode(&data)? {
            *total.entry(value).or_default() += count;
        }
    }
    Ok(total)
}

/// The value at floor(p n) of all in order, as Kafka's tool picks it.
pub(crate) fn quantile(counts: &Counts, p: f64) -> Option<u64> {
    let mut wanted = (p * counts.values().sum::<u64>() as f64) as u64;
    for (value, count) in counts {
        if wanted < *count {
            return Some(*value);
        }
        wanted -= count;
    }
    None
}

fn decode(data: &[u8]) -> Result<Counts, String> {
    if word(data, 0)? & !WORD_SIZE != COOKIE_DEFLATED {
        return Err("no deflated V2 histogram".to_owned());
    }
    let (mut plain, packed) = (Vec::new(), data.get(8..).unwrap_or_default());
    flate2::read::ZlibDecoder::new(packed).read_to_end(&mut plain).map_err(|error| error.to_string())?;
    if word(&plain, 0)? & !WORD_SIZE != COOKIE {
        return Err("no V2 histogram".to_owned());
    }
    let (length, digits) = (word(&plain, 4)? as usize, word(&plain, 12)?);
    let lowest = u64::from(word(&plain, 16)?) << 32 | u64::from(word(&plain, 20)?);
    // The order of magnitude of half a bucket's slots.
    let half = (2.0 * 10f64.powi(digits as i32)).log2().ceil() as u32 - 1;
    let unit = lowest.max(1).ilog2();
    let counts = plain.get(HEADER_LEN..HEADER_LEN + length).ok_or("a histogram that is cut off")?;
    let (mut out, mut rest, mut index) = (Counts::new(), counts, 0u64);
    while !rest.is_empty() {
        let count = zigzag(&mut rest)?;
        if count > 0 {
            out.insert(middle(index, half, unit), count.unsigned_abs());
        }
        index += if count >= 0 { 1 } else { count.unsigned_abs() };
    }
    Ok(out)
}

fn word(bytes: &[u8], at: usize) -> Result<u32, String> {
    let four = bytes.get(at..).and_then(|it| it.first_chunk::<4>());
    four.map(|it| u32::from_be_bytes(*it)).ok_or_else(|| "a histogram that is cut off".to_owned())
}

fn zigzag(rest: &mut &[u8]) -> Result<i64, String> {
    let mut value = 0u64;
    for place in 0..9 {
        let (byte, after) = rest.split_first().ok_or("a count that is cut off")?;
        *rest = after;
        if place == 8 {
            // The ninth byte carries eight bits.
            value |= u64::from(*byte) << 56;
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            break;
        }
    }
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// The middle of the values that a slot stands for.
fn middle(index: u64, half: u32, unit: u32) -> u64 {
    let (bucket, slot) = match index >> half {
        0 => (0, index),
        at => (at - 1, (index & ((1 << half) - 1)) + (1 << half)),
    };
    (slot << (bucket + u64::from(unit))) + ((1u64 << (bucket + u64::from(unit))) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_library_writes_is_read_value_by_value() {
        use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
        let mut histogram = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3).unwrap();
        let mut written = Vec::new();
        for (value, count) in [(0, 2), (7, 1), (2047, 3), (2048, 1), (1_000_000, 5), (9_999_999_999, 1)] {
            histogram.record_n(value, count).unwrap();
            written.push((value, count));
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
        let data = base64::engine::general_purpose::STANDARD.encode(bytes);
        let text =
            format!("#[comment]\nTag=a,0.0,1.0,9.9,{data}\nTag=b,0.0,1.0,9.9,{data}\nTag=a,1.0,1.0,9.9,{data}\n");
        let read = read(&text, "a").unwrap();
        assert_eq!(read.values().copied().collect::<Vec<_>>(), [4, 2, 6, 2, 10, 2]);
        for ((value, _), wanted) in read.iter().zip(&written) {
            assert!(value.abs_diff(wanted.0) as f64 <= 0.001 * wanted.0 as f64, "{value} of {}", wanted.0);
        }
        let near = |p, wanted: f64| (quantile(&read, p).unwrap() as f64 - wanted).abs() <= 0.001 * wanted;
        assert!(near(0.5, 2048.0) && near(0.6, 1e6) && near(0.99, 9_999_999_999.0));
        assert_eq!(quantile(&read, 0.0), Some(0));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(decode(b"abcdefgh").is_err() && decode(b"").is_err());
    }
}

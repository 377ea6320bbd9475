//! What kafka-e2e-latency sends, and the comparison with what came back.
//!
//! Each piece (key, value, header key, header value) is one letter of `java.util.Random(0)`, repeated: the same letters
//! in the same order as the original draws them.

use super::options::Sizes;
use crate::cli::compat::Compat;
use crate::client::{ConsumedRecord, RecordHeader};

/// `java.util.Random`: a linear congruential generator of 48 bits.
#[derive(Debug)]
struct JavaRandom(u64);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

impl JavaRandom {
    fn new(seed: u64) -> Self {
        Self((seed ^ MULTIPLIER) & MASK)
    }

    /// 31 bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        (self.0 >> 17) as u32
    }

    /// `nextInt(bound)`, for a bound that is no power of two: values of an incomplete last range are drawn again.
    fn below(&mut self, bound: u32) -> u32 {
        loop {
            let bits = self.next();
            let value = bits % bound;
            if bits - value + (bound - 1) <= i32::MAX.unsigned_abs() {
                return value;
            }
        }
    }
}

/// One record, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Makes records, one after the other.
#[derive(Debug)]
pub(super) struct Contents {
    random: JavaRandom,
    sizes: Sizes,
}

impl Contents {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { random: JavaRandom::new(0), sizes }
    }

    pub(super) fn next(&mut self) -> Content {
        let sizes = self.sizes;
        let key = sizes.key.map(|len| self.letters(len));
        let value = self.letters(sizes.value);
        let header = |contents: &mut Self| {
            let key = contents.letters(sizes.header_key);
            let key = key.into_iter().map(char::from).collect();
            (key, sizes.header_value.map(|len| contents.letters(len)))
        };
        let headers = (0..sizes.headers).map(|_| header(self)).collect();
        Content { key, value, headers }
    }

    /// One letter so many times; a letter is drawn though it is wanted no times.
    fn letters(&mut self, len: usize) -> Vec<u8> {
        let letter = b'A' + self.random.below(26) as u8;
        vec![letter; len]
    }
}

impl Content {
    /// The headers as the producer takes them.
    pub(super) fn headers(&self) -> Vec<RecordHeader<'_>> {
        self.headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect()
    }

    /// What is read, copied.
    pub(super) fn read(record: &ConsumedRecord<'_>) -> Self {
        let header = |(key, value): (&[u8], Option<&[u8]>)| {
            (String::from_utf8_lossy(key).into_owned(), value.map(<[u8]>::to_vec))
        };
        Self {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.unwrap_or_default().to_vec(),
            headers: record.headers.map(|it| header((it.key, it.value))).collect(),
        }
    }

    /// Nothing if this, which was read, is what was sent; or the original's words for the first difference.
    pub(super) fn difference(&self, sent: &Self, compat: Compat) -> Option<String> {
        if self.value != sent.value {
            let what = if compat.is_3_9() { "message" } else { "message value" };
            return Some(format!(
                "The {what} read [{}] did not match the {what} sent [{}]",
                text(&self.value),
                text(&sent.value)
            ));
        }
        if compat.is_3_9() {
            return None;
        }
        self.key_difference(sent).or_else(|| self.header_difference(sent))
    }

    fn key_difference(&self, sent: &Self) -> Option<String> {
        match (&self.key, &sent.key) {
            (None, Some(_)) => Some("Expected message key but received null".into()),
            (Some(read), None) => Some(format!("Expected null message key but received [{}]", text(read))),
            (Some(read), Some(sent)) if read != sent => {
                let (read, sent) = (text(read), text(sent));
                Some(format!("The message key read [{read}] did not match the message key sent [{sent}]"))
            }
            _ => None,
        }
    }

    fn header_difference(&self, sent: &Self) -> Option<String> {
        if self.headers.is_empty() && !sent.headers.is_empty() {
            return Some("Expected message headers but received none".into());
        }
        let differ = self.headers.iter().zip(&sent.headers).find(|(read, sent)| read != sent);
        if let Some(((key, value), (sent_key, sent_value))) = differ {
            return Some(format!(
                "The message header read [{key}:{}] did not match the message header sent [{sent_key}:{}]",
                java_bytes(value.as_deref()),
                java_bytes(sent_value.as_deref())
            ));
        }
        let counts_differ = self.headers.len() != sent.headers.len();
        counts_differ.then(|| "Header count mismatch between sent and received messages".into())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `Arrays.toString(byte[])`, or `null`.
fn java_bytes(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".into() };
    let numbers: Vec<String> = bytes.iter().map(|byte| byte.cast_signed().to_string()).collect();
    format!("[{}]", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { value: 3, key: Some(2), headers: 2, header_key: 1, header_value: Some(2) };

    #[test]
    fn the_letters_are_java_s() {
        let mut random = JavaRandom::new(0);
        // new Random(0).nextInt(26), ten times, under JDK 17.
        let drawn: Vec<u32> = (0..10).map(|_| random.below(26)).collect();
        assert_eq!(drawn, [18, 18, 23, 21, 13, 9, 7, 15, 3, 16]);
    }

    #[test]
    fn key_value_and_headers_are_drawn_in_kafka_s_order() {
        let content = Contents::new(SIZES).next();
        assert_eq!((content.key.as_deref(), content.value.as_slice()), (Some(&b"SS"[..]), &b"SSS"[..]));
        assert_eq!(content.headers, [("X".into(), Some(b"VV".to_vec())), ("N".into(), Some(b"JJ".to_vec()))]);
        let none = Contents::new(Sizes { key: None, header_value: None, ..SIZES }).next();
        assert_eq!((none.key, none.value), (None, b"SSS".to_vec()));
    }

    #[test]
    fn every_difference_is_told_in_kafka_s_words() {
        let sent = Contents::new(SIZES).next();
        let change = |change: fn(&mut Content)| {
            let mut read = sent.clone();
            change(&mut read);
            read.difference(&sent, Compat::V4_3)
        };
        type Change = fn(&mut Content);
        let cases: [(Change, &str); 6] = [
            (|it| it.value = b"x".to_vec(), "The message value read [x] did not match the message value sent [SSS]"),
            (|it| it.key = None, "Expected message key but received null"),
            (|it| it.key = Some(b"k".to_vec()), "The message key read [k] did not match the message key sent [SS]"),
            (|it| it.headers.clear(), "Expected message headers but received none"),
            (|it| _ = it.headers.pop(), "Header count mismatch between sent and received messages"),
            (
                |it| it.headers[1].1 = None,
                "The message header read [N:null] did not match the message header sent [N:[74, 74]]",
            ),
        ];
        for (what, wanted) in cases {
            assert_eq!(change(what).as_deref(), Some(wanted));
        }
        assert_eq!(change(|_| ()), None);
    }

    #[test]
    fn version_3_9_looks_at_the_value_alone() {
        let sent = Contents::new(Sizes { key: None, headers: 0, ..SIZES }).next();
        let read = Content { value: b"x".to_vec(), ..sent.clone() };
        let wanted = "The message read [x] did not match the message sent [SSS]";
        assert_eq!(read.difference(&sent, Compat::V3_9).as_deref(), Some(wanted));
        let keyed = Content { key: Some(b"k".to_vec()), ..sent.clone() };
        assert_eq!(keyed.difference(&sent, Compat::V3_9), None);
    }
}

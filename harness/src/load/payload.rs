//! Values and keys as kafka-producer-perf-test makes them, byte for byte.

use regex::Regex;

use super::letters::Letters;
use crate::cli::compat::Compat;
use crate::client::{SplittableRandom, pattern};
use crate::spec::{Keys, PayloadSource};

/// Makes the payload and the key of one record after the other.
#[derive(Clone, Debug)]
pub(crate) struct Payloads {
    random: SplittableRandom,
    source: Source,
    keys: Keys,
    value: Vec<u8>,
    key: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Source {
    Letters {
        len: usize,
        letters: Letters,
    },
    Pieces(Vec<String>),
    Number,
    /// Made beforehand; they take turns.
    Prepared(Vec<Vec<u8>>),
}

impl Payloads {
    /// `report` takes the lines that the original prints while it reads a payload file.
    pub(crate) fn new(
        source: &PayloadSource,
        keys: Keys,
        seed: i64,
        report: &mut dyn FnMut(String),
    ) -> Result<Self, String> {
        let mut random = SplittableRandom::new(seed);
        let source = match source {
            PayloadSource::Prepared { bytes, values } => Source::Prepared(prepared(&mut random, *bytes, *values)),
            PayloadSource::Random(size) => Source::Letters { len: *size, letters: Letters::new() },
            PayloadSource::Monotonic => Source::Number,
            PayloadSource::File { path, delimiter, compat } => {
                Source::Pieces(read_pieces(path, delimiter, *compat, report)?)
            }
        };
        Ok(Self { random, source, keys, value: Vec::new(), key: Vec::new() })
    }

    /// The key and the value of record `index`, in this order made: the value first, as the original does.
    pub(crate) fn next(&mut self, index: u64) -> (Option<&[u8]>, &[u8]) {
        self.next_value(index);
        let has_key = self.next_key(index);
        let value = match &self.source {
            Source::Prepared(values) => &values[(index % values.len() as u64) as usize],
            _ => &self.value,
        };
        (has_key.then_some(self.key.as_slice()), value)
    }

    fn next_value(&mut self, index: u64) {
        let random = &mut self.random;
        match &self.source {
            Source::Letters { len, letters } => letters.fill(random, *len, &mut self.value),
            Source::Pieces(pieces) => {
                let chosen = random.next_int_below(i32::try_from(pieces.len()).unwrap_or(i32::MAX));
                self.value.clear();
                self.value.extend_from_slice(pieces[usize::try_from(chosen).unwrap_or(0)].as_bytes());
            }
            Source::Number => put_decimal(&mut self.value, index),
            Source::Prepared(_) => {}
        }
    }

    fn next_key(&mut self, index: u64) -> bool {
        let number = match self.keys {
            Keys::None => return false,
            Keys::Range(range) => index % u64::try_from(range).unwrap_or(1),
            Keys::Random(range) => u64::try_from(self.random.next_int_below(range)).unwrap_or(0),
        };
        put_decimal(&mut self.key, number);
        true
    }
}

/// At least one value of so many random letters.
pub(crate) fn prepared(random: &mut SplittableRandom, bytes: usize, values: usize) -> Vec<Vec<u8>> {
    let letters = Letters::new();
    let mut value = |_| {
        let mut value = Vec::new();
        letters.fill(random, bytes, &mut value);
        value
    };
    (0..values.max(1)).map(&mut value).collect()
}

fn put_decimal(out: &mut Vec<u8>, number: u64) {
    use std::io::Write as _;
    out.clear();
    // Writing to memory does not fail.
    let _ = write!(out, "{number}");
}

// A file that the user names, read before anything is measured.
#[allow(clippy::disallowed_methods)]
fn read_pieces(
    path: &str,
    delimiter: &str,
    compat: Compat,
    report: &mut dyn FnMut(String),
) -> Result<Vec<String>, String> {
    let absolute = std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string());
    report(format!("Reading payloads from: {absolute}"));
    let bytes = std::fs::read(path).unwrap_or_default();
    if bytes.is_empty() {
        return Err("File does not exist or empty file provided.".into());
    }
    let text = String::from_utf8_lossy(&bytes);
    let delimiter = pattern::find(delimiter).map_err(|reason| format!("--payload-delimiter {delimiter}: {reason}"))?;
    let (pieces, what) = if compat.is_3_9() {
        (split_whole(&text, &delimiter), "messages")
    } else {
        (split(&text, &delimiter), "records")
    };
    report(format!("Number of {what} read: {}", pieces.len()));
    if pieces.is_empty() { Err("File does not exist or empty file provided.".into()) } else { Ok(pieces) }
}

/// String.split, which is how 3.9 reads: empty pieces at the end are dropped, one at the front stays unless the
/// delimiter matched nothing there.
fn split_whole(text: &str, delimiter: &Regex) -> Vec<String> {
    let mut pieces: Vec<String> = delimiter.split(text).map(str::to_owned).collect();
    if delimiter.find(text).is_some_and(|found| found.is_empty() && found.start() == 0) {
        pieces.remove(0);
    }
    while pieces.last().is_some_and(String::is_empty) {
        pieces.pop();
    }
    pieces
}

/// java.util.Scanner with this delimiter: one delimiter is passed over before a token, which may be empty.
fn split(text: &str, delimiter: &Regex) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut at = 0;
    loop {
        if let Some(found) = delimiter.find_at(text, at).filter(|found| found.start() == at) {
            at = found.end();
        }
        if at >= text.len() {
            return pieces;
        }
        let next_char = at + text[at..].chars().next().map_or(1, char::len_utf8);
        let first = delimiter.find_at(text, at);
        // A match of nothing right here does not end the token.
        let found = first.filter(|found| found.end() > at).or_else(|| delimiter.find_at(text, next_char));
        let end = found.map_or(text.len(), |found| found.start());
        pieces.push(text[at..end].to_owned());
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(source: &PayloadSource, keys: Keys) -> Payloads {
        Payloads::new(source, keys, 0, &mut |_| ()).unwrap()
    }

    #[test]
    fn the_letters_of_seed_0_are_java_s() {
        let mut payloads = payloads(&PayloadSource::Random(64), Keys::None);
        let (key, value) = payloads.next(0);
        assert_eq!(key, None);
        assert_eq!(value, b"YQHHNEBSEPDNSEIFGAMSUJXKOLTXSPLGHDIOYZJFNIDSPWHZMKVJAXDBZFCOXYKY");
        let second = payloads.next(1).1.to_vec();
        assert_ne!(second, payloads.next(2).1, "every record has its own");
    }

    #[test]
    fn monotonic_payloads_and_range_keys_are_decimal_numbers() {
        let mut payloads = payloads(&PayloadSource::Monotonic, Keys::Range(3));
        let made: Vec<(String, String)> = (0..5)
            .map(|index| {
                let (key, value) = payloads.next(index);
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(key.unwrap()), text(value))
            })
            .collect();
        let wanted = [("0", "0"), ("1", "1"), ("2", "2"), ("0", "3"), ("1", "4")];
        assert!(made.iter().zip(wanted).all(|(made, wanted)| (made.0.as_str(), made.1.as_str()) == wanted), "{made:?}");
    }

    #[test]
    fn random_keys_are_drawn_after_the_payload() {
        let mut payloads = payloads(&PayloadSource::Random(4), Keys::Random(1000));
        let mut random = SplittableRandom::new(0);
        (0..4).for_each(|_| _ = random.next_int_below(26));
        let wanted = random.next_int_below(1000).to_string();
        assert_eq!(payloads.next(0).0.unwrap(), wanted.as_bytes());
    }

    #[test]
    fn a_payload_file_is_split_as_java_s_scanner_does() {
        let split = |text: &str, delimiter: &str| split(text, &Regex::new(delimiter).unwrap());
        assert_eq!(split("a\n\nb\n", "\n"), ["a", "", "b"]);
        assert_eq!(split("\na\n", "\n"), ["a"]);
        assert_eq!(split("\n\n", "\n"), [""]);
        assert_eq!(split("a\r\nb", "\n"), ["a\r", "b"]);
        assert_eq!(split("abc", "|"), ["a", "b", "c"]);
        assert_eq!(split("a|b", "\\|"), ["a", "b"]);
    }

    #[test]
    fn in_3_9_a_payload_file_is_split_as_string_split_does() {
        let split = |text: &str, delimiter: &str| split_whole(text, &Regex::new(delimiter).unwrap());
        assert_eq!(split("a\n\nb\n", "\n"), ["a", "", "b"]);
        assert_eq!(split("\na\n", "\n"), ["", "a"]);
        assert_eq!(split("\n\n", "\n"), Vec::<String>::new());
        assert_eq!(split("abc", "|"), ["a", "b", "c"]);
        assert_eq!(split("abc", ","), ["abc"]);
    }

    #[test]
    fn a_missing_or_empty_file_is_named_as_kafka_does() {
        let source = PayloadSource::File {
            path: "/nonexistent/payloads".into(),
            delimiter: "\n".into(),
            compat: Compat::default(),
        };
        let mut lines = Vec::new();
        let error = Payloads::new(&source, Keys::None, 0, &mut |line| lines.push(line)).unwrap_err();
        assert_eq!(error, "File does not exist or empty file provided.");
        assert_eq!(lines, ["Reading payloads from: /nonexistent/payloads"]);
    }
}

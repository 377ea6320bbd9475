//! The syntax of `server.properties`: java.util.Properties as its `load` method describes it.
//!
//! ```text
//!   # comment          ! comment
//!   key = value        key: value        key value        (blanks before the value are dropped, after it they stay)
//!   long = one,\
//!          two         (a line that ends in an odd number of backslashes goes on; the next one's indent is dropped)
//!   path = C\:\\x \u00e9
//! ```
//!
//! Where it differs: the bytes are UTF-8 if they can be read so, ISO 8859-1 (what Java reads) if not.

use std::iter::Peekable;
use std::str::Chars;

/// A `\uXXXX` that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: malformed \\uXXXX: four hexadecimal digits must follow \\u")]
pub(crate) struct PropertiesError {
    /// The line on which the entry starts, counted from 1.
    pub(crate) line: usize,
}

/// The entries in the order of the text. A key that stands twice stands twice here: the last one counts.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, PropertiesError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    logical_lines(&text).into_iter().map(|(line, text)| entry(&text).ok_or(PropertiesError { line })).collect()
}

/// Joins the lines that a backslash carries over; drops blank lines and comments.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, natural) in split_lines(text).enumerate() {
        let natural = natural.trim_start_matches(is_blank);
        // A line that so far is nothing but its backslash has not begun.
        open = open.filter(|(_, line)| !line.is_empty());
        if open.is_none() && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let (number, mut line) = open.take().unwrap_or((index + 1, String::new()));
        let goes_on = natural.chars().rev().take_while(|&c| c == '\\').count() % 2 == 1;
        line.push_str(if goes_on { &natural[..natural.len() - 1] } else { natural });
        if goes_on {
            open = Some((number, line));
        } else {
            lines.push((number, line));
        }
    }
    lines.extend(open);
    lines.retain(|(_, line)| !line.is_empty());
    lines
}

/// Lines end at `\n`, `\r` or `\r\n`.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Splits one logical line; `None` where a `\u` is malformed.
fn entry(line: &str) -> Option<(String, String)> {
    let mut rest = line.chars().peekable();
    let key = take_text(&mut rest, |c| is_blank(c) || c == '=' || c == ':')?;
    skip_blanks(&mut rest);
    if rest.next_if(|&c| c == '=' || c == ':').is_some() {
        skip_blanks(&mut rest);
    }
    let value = take_text(&mut rest, |_| false)?;
    Some((key, value))
}

fn skip_blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|&c| is_blank(c)).is_some() {}
}

/// Takes characters, escapes resolved, up to the first unescaped one that `ends` it.
fn take_text(rest: &mut Peekable<Chars<'_>>, ends: impl Fn(char) -> bool) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    while let Some(c) = rest.next_if(|&c| !ends(c)) {
        let c = if c == '\\' { escaped(rest)? } else { Unit::Char(c) };
        match c {
            Unit::Char(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            Unit::Half(unit) => units.push(unit),
            Unit::Nothing => {}
        }
    }
    Some(String::from_utf16_lossy(&units))
}

/// What an escape stands for. `\u` names UTF-16 units, so a pair of them may make one character.
enum Unit {
    Char(char),
    Half(u16),
    Nothing,
}

fn escaped(rest: &mut Peekable<Chars<'_>>) -> Option<Unit> {
    Some(match rest.next() {
        None => Unit::Nothing,
        Some('t') => Unit::Char('\t'),
        Some('n') => Unit::Char('\n'),
        Some('r') => Unit::Char('\r'),
        Some('f') => Unit::Char('\x0c'),
        Some('u') => Unit::Half(hex_unit(rest)?),
        Some(other) => Unit::Char(other),
    })
}

fn hex_unit(rest: &mut Peekable<Chars<'_>>) -> Option<u16> {
    let mut unit = 0_u16;
    for _ in 0..4 {
        let digit = u16::try_from(rest.next()?.to_digit(16)?).ok()?;
        unit = unit << 4 | digit;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap()
    }

    fn pair(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.into(), value.into())]
    }

    #[test]
    fn the_three_separators_mean_the_same() {
        for text in ["Truth = Beauty", "Truth:Beauty", "Truth\t\t:Beauty", "  Truth Beauty", "Truth=Beauty"] {
            assert_eq!(pairs(text), pair("Truth", "Beauty"), "{text}");
        }
    }

    #[test]
    fn a_line_that_ends_in_a_backslash_goes_on() {
        let text = "fruits    apple, banana, pear, \\\n          cantaloupe, \\\r\n  kiwi";
        assert_eq!(pairs(text), pair("fruits", "apple, banana, pear, cantaloupe, kiwi"));
        assert_eq!(pairs("a=b\\\\\nc=d").len(), 2, "an even number of backslashes ends the line");
        assert_eq!(pairs("a=b\\"), pair("a", "b"));
        assert_eq!(pairs("a=b\\\n# not a comment"), pair("a", "b# not a comment"));
        assert_eq!(pairs("\\\n# a comment\nc=d"), pair("c", "d"), "nothing has begun");
    }

    #[test]
    fn escapes_are_resolved_in_keys_and_values() {
        assert_eq!(pairs(r"a\ b\=c = \u0041\t\\x\:"), pair("a b=c", "A\t\\x:"));
        assert_eq!(pairs(r"smile=\uD83D\uDE00"), pair("smile", "\u{1F600}"));
        assert_eq!(pairs("a= b "), pair("a", "b "));
    }

    #[test]
    fn comments_and_blank_lines_are_nothing() {
        assert_eq!(pairs("# a=b\n  ! c=d\n\n \t \nkey"), pair("key", ""));
        assert_eq!(pairs("a==b"), pair("a", "=b"));
        assert_eq!(pairs("=x"), pair("", "x"));
    }

    #[test]
    fn a_malformed_escape_names_its_line() {
        assert_eq!(parse(b"a=b\nc=\\u12g4"), Err(PropertiesError { line: 2 }));
        assert_eq!(parse(b"c=\\u12"), Err(PropertiesError { line: 1 }));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin_1() {
        assert_eq!(parse(b"rack=\xe9").unwrap(), pair("rack", "\u{e9}"));
        assert_eq!(parse("rack=\u{e9}".as_bytes()).unwrap(), pair("rack", "\u{e9}"));
    }
}

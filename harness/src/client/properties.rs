//! Java's `.properties` files and `key=value` arguments.
//!
//! ```text
//!   # comment            ! comment
//!   key=value   key: value   key value        the first =, : or white space ends the key
//!   long = a\            a line that ends in an odd number of backslashes goes on
//!          b             (leading white space of the next line is dropped)
//!   \t \n \r \f \uXXXX \=                     escapes, in keys and values
//! ```
//!
//! Source: java.util.Properties.load(Reader).

/// Keys and values in the order in which they were first set. A later value replaces an earlier one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

/// What stands in place of a secret, as Kafka's Password has it.
pub(crate) const HIDDEN: &str = "[hidden]";

/// What a property's name holds whose value nobody else is to see.
const SECRET: [&str; 5] = ["password", "jaas", "secret", ".key", "token"];

/// Whether a property's value is not to be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|word| name.contains(word))
}

impl std::fmt::Debug for Properties {
    /// Without the values of secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |(name, value)| (name, if is_secret(name) { HIDDEN } else { value });
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}

/// Why a file is not a properties file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Malformed \\uxxxx encoding in line {line} of the properties")]
pub struct PropertiesError {
    /// The line, from 1.
    pub line: usize,
}

impl Properties {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the text of a `.properties` file.
    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        let mut properties = Self::new();
        for (line, logical) in logical_lines(text) {
            let (key, value) = split_pair(&logical);
            let unescaped = |text| unescape(text).ok_or(PropertiesError { line });
            properties.set(&unescaped(key)?, &unescaped(value)?);
        }
        Ok(properties)
    }

    /// Sets a value; an earlier one of the same key is replaced.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    /// Sets a value only where there is none.
    pub fn set_default(&mut self, key: &str, value: &str) {
        if self.get(key).is_none() {
            self.set(key, value);
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Sets every pair of another.
    pub fn extend(&mut self, other: &Self) {
        other.iter().for_each(|(key, value)| self.set(key, value));
    }
}

/// Lines joined over trailing backslashes, without comments, blank lines and leading white space; with line numbers.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(natural_lines(text)) {
        let trimmed = line.trim_start_matches(is_space);
        let fresh = !goes_on;
        if fresh && (trimmed.is_empty() || trimmed.starts_with(['#', '!'])) {
            continue;
        }
        goes_on = trailing_backslashes(trimmed) % 2 == 1;
        let kept = if goes_on { &trimmed[..trimmed.len() - 1] } else { trimmed };
        match lines.last_mut().filter(|_| !fresh) {
            Some((_, logical)) => logical.push_str(kept),
            None => lines.push((number, kept.to_owned())),
        }
    }
    lines
}

fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn trailing_backslashes(line: &str) -> usize {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count()
}

/// Splits at the first unescaped `=`, `:` or white space; white space around one separator belongs to neither side.
fn split_pair(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (matches!(c, '=' | ':') || is_space(c));
        escaped = !escaped && c == '\\';
        ends
    });
    let Some(end) = end else { return (line, "") };
    let after = line[end..].trim_start_matches(is_space);
    let after = after.strip_prefix(['=', ':']).unwrap_or(after);
    (&line[..end], after.trim_start_matches(is_space))
}

/// `None` where `\u` is not followed by four hexadecimal digits. Surrogate pairs are joined.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' { chars.next() } else { push(&mut units, c) };
        match c {
            None => {}
            Some('u') => units.push(hex_unit(&mut chars)?),
            Some('t') => units.push(0x09),
            Some('n') => units.push(0x0a),
            Some('r') => units.push(0x0d),
            Some('f') => units.push(0x0c),
            Some(other) => _ = push(&mut units, other),
        }
    }
    Some(String::from_utf16_lossy(&units))
}

fn push(units: &mut Vec<u16>, c: char) -> Option<char> {
    units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    None
}

fn hex_unit(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    let digits = chars.as_str().get(..4)?;
    let unit = digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())??;
    chars.nth(3);
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        Properties::parse(text).unwrap().0
    }

    fn pair(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.to_owned(), value.to_owned())]
    }

    #[test]
    fn the_first_separator_ends_the_key() {
        for text in ["k=v=w", "k:v=w", "k v=w", "  k \t=  v=w", "k = v=w"] {
            assert_eq!(pairs(text), pair("k", "v=w"), "{text}");
        }
        assert_eq!(pairs("k==v"), pair("k", "=v"));
        assert_eq!(pairs("k"), pair("k", ""));
        assert_eq!(pairs("a\\=b\\:c=d"), pair("a=b:c", "d"));
    }

    #[test]
    fn trailing_white_space_belongs_to_the_value() {
        assert_eq!(pairs("k = v  "), pair("k", "v  "));
    }

    #[test]
    fn comments_and_blank_lines_are_nothing() {
        assert_eq!(pairs("# a=b\n ! c=d\r\n\r\n   \nk=v # not a comment"), pair("k", "v # not a comment"));
    }

    #[test]
    fn an_odd_number_of_backslashes_continues_the_line() {
        assert_eq!(pairs("k=a\\\n   b\\\n#c"), pair("k", "ab#c"));
        assert_eq!(pairs("k=a\\\\\nl=b").len(), 2);
        assert_eq!(pairs("k=a\\\\")[0].1, "a\\");
    }

    #[test]
    fn escapes_are_java_s() {
        assert_eq!(pairs("k=\\t\\n\\u0041\\ud83d\\ude00\\q"), pair("k", "\t\nA\u{1f600}q"));
        assert_eq!(Properties::parse("a=1\nk=\\u00g1"), Err(PropertiesError { line: 2 }));
    }

    #[test]
    fn the_last_value_of_a_key_wins() {
        assert_eq!(pairs("k=1\nk=2"), pair("k", "2"));
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let shown = format!("{:?}", Properties::parse("acks=1\nssl.key.password=p\nsasl.jaas.config=x").unwrap());
        assert_eq!(shown, r#"{"acks": "1", "ssl.key.password": "[hidden]", "sasl.jaas.config": "[hidden]"}"#);
    }
}

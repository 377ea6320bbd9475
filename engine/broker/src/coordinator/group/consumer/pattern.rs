//! Patterns that a broker resolves: the syntax of RE2, matched against a topic's whole name. Both engines take time that is
//! linear in the name, whatever the pattern; how large a pattern may become is bounded here.
//!
//! Where the two dialects differ: `\Q...\E` is RE2's alone and is written out; `\d`, `\w` and `\s` are ASCII in RE2, as topic
//! names are; a class of Unicode (`\pL`) is tried where nothing else compiles.

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of a pattern; Kafka has no limit of its own.
const PATTERN_LEN_MAX: usize = 4 << 10;
/// Bytes that a compiled pattern may take.
const COMPILED_LEN_MAX: usize = 1 << 20;

/// The pattern, ready to be matched; or what is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_LEN_MAX {
        return Err(format!("it has {} bytes, the limit is {PATTERN_LEN_MAX}", pattern.len()));
    }
    let plain = without_quotes(pattern);
    // By itself first: a bracket that is missing must not be found in what is put around it.
    build(&plain)?;
    build(&format!(r"\A(?:{plain})\z"))
}

fn build(pattern: &str) -> Result<Regex, String> {
    let with = |unicode: bool| {
        RegexBuilder::new(pattern)
            .unicode(unicode)
            .size_limit(COMPILED_LEN_MAX)
            .dfa_size_limit(COMPILED_LEN_MAX)
            .build()
    };
    with(false).or_else(|error| with(true).map_err(|_| error)).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("compiled it takes more than {limit} bytes"),
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

/// `\Q...\E` is text as it stands; without `\E` up to the end.
fn without_quotes(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        if let Some(quoted) = after.strip_prefix(r"\Q") {
            let (text, behind) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(text));
            rest = behind;
        } else {
            let len = 1 + after[1..].chars().next().map_or(0, char::len_utf8);
            plain.push_str(&after[..len]);
            rest = &after[len..];
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_for_the_whole_name() {
        let is_match = |pattern: &str, name: &str| compile(pattern).unwrap().is_match(name.as_bytes());
        assert!(is_match("orders.*", "orders-eu"));
        assert!(!is_match("orders", "orders-eu"));
        assert!(!is_match("a|b", "ab"), "an alternative is one of the whole");
        assert!(is_match(r"\Qa.b\E[0-9]+", "a.b17"));
        assert!(!is_match(r"\Qa.b\E[0-9]+", "axb17"));
        assert!(is_match(r"(?i)ORDERS", "orders"));
        assert!(is_match(r"^x$", "x"));
        assert!(is_match(r"\d\w", "7_"));
    }

    #[test]
    fn what_does_not_compile_or_grows_too_large_is_refused_with_the_reason() {
        for (pattern, why) in [
            ("a(", "unclosed group"),
            ("a)(b", "unopened group"),
            ("*", "repetition operator missing expression"),
            (r"(a)\1", "backreferences are not supported"),
            ("(((a{100}){100}){100})", "compiled it takes more than 1048576 bytes"),
        ] {
            let said = compile(pattern).unwrap_err();
            assert!(said.contains(why), "{pattern}: {said}");
        }
        assert!(compile(&"a".repeat(5_000)).unwrap_err().contains("the limit is 4096"));
    }
}

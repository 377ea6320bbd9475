//! java.util.regex patterns as the `regex` crate's: what both have, with Java's meaning; what only Java has is refused by name.
//!
//! ```text
//!   \d \w \s \b       ASCII alone, as Java's             \p{Lower} ..   ASCII, as Java's POSIX classes
//!   \R \h \v \Q..\E   written out                        [a-z&&[^b]]    the same in both
//!   .                 stops at Java's five line ends     \< \> [~~]     no words of Java's: literals
//! ```
//!
//! Look-around, back references, possessive quantifiers, `\G`, `\Z` and the flags d, u, U, x are not there.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

const SPACE: &str = r"[ \t\n\x0B\x0C\r]";
const BLANK: &str = r"[ \t\x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]";
const LINE: &str = r"[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}]";
const LINE_BREAK: &str = r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])";
/// What `.` does not match.
const NOT_LINE_END: &str = r"[^\n\r\x{85}\x{2028}\x{2029}]";
/// Java's POSIX classes, which are ASCII; `regex` calls them the same.
const POSIX: [&str; 13] = [
    "Lower", "Upper", "ASCII", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl", "XDigit",
    "Space",
];

/// Compiles a pattern of Java's that may match anywhere.
pub(crate) fn find(pattern: &str) -> Result<Regex, String> {
    compile(&translate(pattern)?)
}

/// Compiles a pattern of Java's that must match the whole (Matcher.matches).
pub(crate) fn matches(pattern: &str) -> Result<Regex, String> {
    compile(&format!(r"\A(?:{})\z", translate(pattern)?))
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| error.to_string())
}

/// The same pattern in the words of the `regex` crate.
fn translate(pattern: &str) -> Result<String, String> {
    let mut translation =
        Translation { rest: pattern.chars().peekable(), out: String::new(), classes: 0, dot_all: false };
    translation.run()?;
    Ok(translation.out)
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Brackets that are open.
    classes: usize,
    /// `(?s)` was seen.
    dot_all: bool,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.open_class(),
                ']' if self.classes > 0 => {
                    self.classes -= 1;
                    self.out.push(']');
                }
                // Words of the crate's between brackets, letters of Java's.
                '-' | '~' if self.classes > 0 && self.rest.peek() == Some(&c) => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                '.' if self.classes == 0 => self.out.push_str(if self.dot_all { "(?s:.)" } else { NOT_LINE_END }),
                '(' if self.classes == 0 => self.open_group()?,
                '*' | '+' | '?' | '}' if self.classes == 0 => self.quantifier(c)?,
                c => self.out.push(c),
            }
        }
        Ok(())
    }

    /// `[`, `[^`, and a `]` right behind, which is a letter there; `[:` begins a name in the crate alone.
    fn open_class(&mut self) {
        self.classes += 1;
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if let Some(c) = self.rest.next_if(|c| matches!(c, ']' | ':')) {
            self.out.push('\\');
            self.out.push(c);
        }
    }

    fn open_group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        let mut flags = self.rest.clone();
        let on: String = flags.by_ref().take_while(|c| c.is_ascii_alphabetic()).collect();
        if let Some(flag) = on.chars().find(|flag| "duUx".contains(*flag)) {
            return Err(format!("the flag {flag} of (?{on}..) is not there"));
        }
        self.dot_all |= on.contains('s');
        Ok(())
    }

    fn quantifier(&mut self, c: char) -> Result<(), String> {
        self.out.push(c);
        if self.rest.peek() == Some(&'+') && c != '}' || c == '}' && self.closes_counts() {
            return Err(format!("the possessive quantifier {c}+ is not there"));
        }
        Ok(())
    }

    /// Whether this brace ends `{n,m}` and a `+` follows.
    fn closes_counts(&self) -> bool {
        let counts = self.out.rsplit_once('{').map(|(_, counts)| counts.trim_end_matches('}'));
        self.rest.clone().next() == Some('+')
            && counts.is_some_and(|counts| counts.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.rest.next() else { return Err("a backslash at the end escapes nothing".into()) };
        let written = match c {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[a-zA-Z0-9_]",
            'W' => "[^a-zA-Z0-9_]",
            's' => SPACE,
            'S' => r"[^ \t\n\x0B\x0C\r]",
            'h' => BLANK,
            'H' => r"[^ \t\x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]",
            'v' => LINE,
            'V' => r"[^\n\x0B\x0C\r\x{85}\x{2028}\x{2029}]",
            'R' if self.classes == 0 => LINE_BREAK,
            'b' if self.classes == 0 => r"(?-u:\b)",
            'B' if self.classes == 0 => r"(?-u:\B)",
            'A' if self.classes == 0 => r"\A",
            'z' if self.classes == 0 => r"\z",
            'e' => r"\x1B",
            't' => r"\t",
            'n' => r"\n",
            'r' => r"\r",
            'f' => r"\x0C",
            'a' => r"\x07",
            'Q' => return self.quote(),
            'E' => "",
            'p' | 'P' => return self.property(c == 'P'),
            'x' | 'u' => return self.number(c),
            '0' => return self.octal(),
            'c' => return self.control(),
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} is not there")),
            c => {
                return {
                    self.literal(c);
                    Ok(())
                };
            }
        };
        self.out.push_str(written);
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// `\Q`: letters up to `\E`, or to the end.
    fn quote(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                break;
            }
            self.literal(c);
        }
        Ok(())
    }

    /// `\p{Name}`, `\pL`; Java writes scripts, categories and binary properties as `IsName` too.
    fn property(&mut self, is_negated: bool) -> Result<(), String> {
        let name: String = match self.rest.next() {
            Some('{') => self.rest.by_ref().take_while(|c| *c != '}').collect(),
            Some(c) => c.into(),
            None => return Err("\\p names no property".into()),
        };
        let not = if is_negated { "^" } else { "" };
        if POSIX.contains(&name.as_str()) {
            self.out.push_str(&format!("[{not}[:{}:]]", name.to_ascii_lowercase()));
            return Ok(());
        }
        if name.starts_with("java") || name.starts_with("In") {
            return Err(format!("\\p{{{name}}} is not there"));
        }
        let bare = name.strip_prefix("Is").unwrap_or(&name);
        self.out.push_str(&format!("\\{}{{{bare}}}", if is_negated { 'P' } else { 'p' }));
        Ok(())
    }

    /// `\xhh`, `\x{h..}`, `\uhhhh`.
    fn number(&mut self, kind: char) -> Result<(), String> {
        let digits: String = if kind == 'x' && self.rest.next_if_eq(&'{').is_some() {
            self.rest.by_ref().take_while(|c| *c != '}').collect()
        } else {
            self.rest.by_ref().take(if kind == 'x' { 2 } else { 4 }).collect()
        };
        self.code(u32::from_str_radix(&digits, 16).ok(), &format!("\\{kind}{digits}"))
    }

    /// `\0`, one to three octal digits, up to 377.
    fn octal(&mut self) -> Result<(), String> {
        let (mut value, mut count) = (0, 0);
        while let Some(digit) =
            self.rest.peek().and_then(|c| c.to_digit(8)).filter(|it| count < 3 && value * 8 + it < 256)
        {
            (value, count) = (value * 8 + digit, count + 1);
            self.rest.next();
        }
        self.code((count > 0).then_some(value), "\\0")
    }

    /// `\cX`: the control character of that key.
    fn control(&mut self) -> Result<(), String> {
        let key = self.rest.next().map(|c| u32::from(c) ^ 64);
        self.code(key, "\\c")
    }

    fn code(&mut self, code: Option<u32>, written: &str) -> Result<(), String> {
        let c = code.and_then(char::from_u32).ok_or_else(|| format!("{written} is no character"))?;
        self.literal(c);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What java.util.regex finds (`\b` as from JDK 19 on): `pattern` TAB `text` TAB where the first match is, `from..to`, or `-`.
    const VECTORS: &str = include_str!("pattern_vectors.txt");

    fn unescaped(text: &str) -> String {
        text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
    }

    #[test]
    fn patterns_find_what_java_s_own_class_finds() {
        let (mut count, mut wrong) = (0, Vec::new());
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split('\t');
            let (pattern, text, wanted) =
                (parts.next().unwrap(), unescaped(parts.next().unwrap()), parts.next().unwrap());
            let found = find(pattern).map(|regex| {
                let in_chars = |at: usize| text[..at].encode_utf16().count();
                regex
                    .find(&text)
                    .map_or("-".to_owned(), |it| format!("{}..{}", in_chars(it.start()), in_chars(it.end())))
            });
            count += 1;
            if found.as_deref() != Ok(wanted) {
                wrong.push(format!("{pattern} in {text:?}: {found:?}, Java {wanted}"));
            }
        }
        assert!(count > 100 && wrong.is_empty(), "{count} vectors, wrong:\n{}", wrong.join("\n"));
    }

    #[test]
    fn what_only_java_has_is_refused_by_name() {
        for (pattern, words) in [
            ("a++b", "possessive quantifier ++"),
            ("a{2}+", "possessive quantifier }+"),
            ("(?x) a", "the flag x of (?x..)"),
            ("(?iU)a", "the flag U of (?iU..)"),
            ("\\Ga", "\\G is not there"),
            ("a\\Z", "\\Z is not there"),
            ("(a)\\1", "\\1 is not there"),
            ("\\p{InGreek}", "\\p{InGreek} is not there"),
            ("(?=a)", "look-around"),
            ("a\\", "escapes nothing"),
        ] {
            let error = find(pattern).unwrap_err();
            assert!(error.contains(words), "{pattern}: {error}");
        }
    }

    #[test]
    fn a_whole_match_is_of_the_whole() {
        let is = |pattern, text| matches(pattern).unwrap().is_match(text);
        assert!(is("a|ab", "ab") && !is("a", "ab") && !is("a", "a\n") && is("t\\w*", "t_1") && !is("t\\w*", "té"));
    }
}

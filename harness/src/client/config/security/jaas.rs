//! The line in `sasl.jaas.config`: one login module with its options.
//!
//! ```text
//!   org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="a \"secret\"" ;
//!   module class                                            flag     key = value ...                       end
//! ```
//!
//! Words are letters, digits, `.`, `_`, `-`, `$` and what lies beyond ASCII; everything else is quoted, with Java's
//! escapes. `//` and `/* */` are comments. Source: JaasConfig and java.io.StreamTokenizer.

/// One login module.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginModule {
    /// The class.
    pub class: String,
    /// Its options in their order; a key that comes twice counts once, with the last value.
    pub options: Vec<(String, String)>,
}

impl LoginModule {
    /// An option's value.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The class without its package.
    #[must_use]
    pub fn short_class(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A word or a quoted string.
    Text(String),
    Equals,
    Semicolon,
}

/// Reads a line. The errors, for a reader of the config, never repeat a value: it may be a password.
pub(super) fn parse(line: &str) -> Result<LoginModule, String> {
    let mut tokens = tokens(line)?.into_iter().peekable();
    if tokens.peek().is_none() {
        return Err("JAAS config property does not contain any login modules".into());
    }
    let Some(Token::Text(class)) = tokens.next() else {
        return Err("Login module not specified in JAAS config".into());
    };
    let flag = match tokens.next() {
        Some(Token::Text(flag)) => flag,
        _ => return Err("Login module control flag not specified in JAAS config".into()),
    };
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_ascii_lowercase().as_str()) {
        return Err(format!("Invalid login module control flag '{flag}' in JAAS config"));
    }
    let mut options = Vec::new();
    loop {
        match tokens.next() {
            Some(Token::Semicolon) => break,
            Some(Token::Text(key)) => match (tokens.next(), tokens.next()) {
                (Some(Token::Equals), Some(Token::Text(value))) => options.push((key, value)),
                _ => return Err(format!("Value not specified for key '{key}' in JAAS config")),
            },
            _ => return Err("JAAS config entry not terminated by semi-colon".into()),
        }
    }
    match tokens.filter(|token| matches!(token, Token::Semicolon)).count() {
        0 => Ok(LoginModule { class, options }),
        more => Err(format!("JAAS config property contains {} login modules, should be 1 module", more + 1)),
    }
}

fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let (mut tokens, mut rest) = (Vec::new(), line);
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match first {
            c if c <= ' ' => after,
            '=' => push(&mut tokens, Token::Equals, after),
            ';' => push(&mut tokens, Token::Semicolon, after),
            '/' => after_comment(after)?,
            '"' | '\'' => {
                let (text, after) = quoted(after, first)?;
                push(&mut tokens, Token::Text(text), after)
            }
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                push(&mut tokens, Token::Text(rest[..end].to_owned()), &rest[end..])
            }
            c => return Err(format!("'{c}' stands in a JAAS config without quotes: write key=\"value\"")),
        };
    }
    Ok(tokens)
}

fn push<'a>(tokens: &mut Vec<Token>, token: Token, after: &'a str) -> &'a str {
    tokens.push(token);
    after
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$') || c >= '\u{a0}'
}

fn after_comment(after_slash: &str) -> Result<&str, String> {
    match after_slash.chars().next() {
        Some('/') => Ok(after_slash.find('\n').map_or("", |end| &after_slash[end..])),
        Some('*') => after_slash[1..].split_once("*/").map(|(_, rest)| rest).ok_or_else(|| "a /* has no */".into()),
        _ => Err("'/' stands in a JAAS config without quotes: write key=\"value\"".into()),
    }
}

/// The text up to the closing quote, and what follows it. Escapes as StreamTokenizer has them.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let (mut value, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok((value, chars.as_str())),
            '\n' | '\r' => break,
            '\\' => value.extend(escaped(&mut chars)),
            c => value.push(c),
        }
    }
    Err(format!("a {quote} in the JAAS config is not closed"))
}

fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        first @ '0'..='7' => octal(first, chars),
        other => other,
    })
}

/// Up to three octal digits, the third only while the number stays a byte.
fn octal(first: char, chars: &mut std::str::Chars<'_>) -> char {
    let mut value = first.to_digit(8).unwrap_or(0);
    let digits_max = if first <= '3' { 2 } else { 1 };
    for _ in 0..digits_max {
        let Some(digit) = chars.as_str().chars().next().and_then(|c| c.to_digit(8)) else { break };
        value = value * 8 + digit;
        chars.next();
    }
    char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
}

//! Names of topics: which are allowed, and which two are too alike (Topic.validate, Topic.hasCollision).

/// The longest name.
const LEN_MAX: usize = 249;

/// Why a name is refused (INVALID_TOPIC_EXCEPTION), in Kafka's words.
pub(crate) fn check(name: &str) -> Result<(), String> {
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." => "'.' is not allowed".to_owned(),
        ".." => "'..' is not allowed".to_owned(),
        // Kafka counts UTF-16 units here; any character beyond ASCII is refused below anyway.
        _ if name.encode_utf16().count() > LEN_MAX => {
            format!("the length of '{name}' is longer than the max allowed length {LEN_MAX}")
        }
        _ if !name.bytes().all(is_legal) => {
            format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return Ok(()),
    };
    Err(format!("Topic name is invalid: {reason}"))
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Metrics write `.` as `_`, so two names that differ only there are one to them.
#[must_use]
pub(crate) fn collide(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().map(underscored).eq(b.bytes().map(underscored))
}

/// Whether a name can collide with another at all.
#[must_use]
pub(crate) fn can_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn underscored(byte: u8) -> u8 {
    if byte == b'.' { b'_' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those that Kafka 4.3.1's Topic.validate throws.
    #[test]
    fn refusals_have_kafkas_words() {
        let refused = |name: &str| check(name).unwrap_err();
        assert_eq!(refused(""), "Topic name is invalid: the empty string is not allowed");
        assert_eq!(refused("."), "Topic name is invalid: '.' is not allowed");
        assert_eq!(refused(".."), "Topic name is invalid: '..' is not allowed");
        assert_eq!(
            refused("a b"),
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        );
        let long = "x".repeat(250);
        assert_eq!(
            refused(&long),
            format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249")
        );
        assert!(refused("\u{e9}").contains("other than ASCII"));
        assert_eq!(check("ok.-_1"), Ok(()));
        assert_eq!(check(&"x".repeat(249)), Ok(()));
    }

    #[test]
    fn names_collide_where_a_dot_stands_for_an_underscore() {
        assert!(collide("a.b", "a_b"));
        assert!(collide("a.b", "a.b"));
        assert!(!collide("a.b", "a-b"));
        assert!(!collide("a.b", "a.bc"));
    }
}

//! Numbers as people read them.

/// A whole number with its thousands apart; one digit more below ten.
pub(super) fn grouped(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things.
pub(super) fn count(value: usize) -> String {
    if value < 10 { value.to_string() } else { grouped(value as f64) }
}

/// Microseconds, as milliseconds with three digits that count.
pub(super) fn ms(us: f64) -> String {
    digits(us / 1000.0)
}

/// Three digits that count, thousands apart.
pub(super) fn digits(value: f64) -> String {
    match value.abs() {
        it if it >= 100.0 => grouped(value),
        it if it >= 10.0 => format!("{value:.1}"),
        it if it >= 0.1 || it == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A ratio: `4.7 times`, or with two digits near 1.
pub(super) fn times(ratio: f64) -> String {
    if ratio < 2.0 { format!("{ratio:.2} times") } else { format!("{ratio:.1} times") }
}

/// `1 round`, `3 rounds`.
pub(super) fn plural(value: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list<T: AsRef<str>>(words: &[T]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// Bytes in the unit that people write them in: `16 KiB`, `1 MB`, `1000`.
pub(super) fn bytes(value: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| value >= *unit && value.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{value} B"), |(unit, name)| format!("{} {name}", value / unit))
}

/// The value of a column of this unit as people read it.
pub(super) fn value(text: &str, unit: &str) -> String {
    let number: Option<f64> = text.parse().ok();
    match (text, number, unit) {
        ("", ..) => "-".to_owned(),
        (_, Some(number), "bytes") if number >= 0.0 => bytes(number as u64),
        (_, Some(number), "ms") => format!("{number} ms"),
        (_, Some(number), "1/s") => format!("{}/s", grouped(number)),
        (_, Some(number), _) => format!("{number}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(9.04), "9.0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(-1234.0), "-1,234");
    }

    #[test]
    fn values_have_the_unit_that_people_write() {
        let rows = [
            ("16384", "bytes", "16 KiB"),
            ("166384", "bytes", "166384 B"),
            ("1000000", "bytes", "1 MB"),
            ("5.0", "ms", "5 ms"),
            ("10000.0", "1/s", "10,000/s"),
            ("", "bytes", "-"),
            ("lz4", "", "lz4"),
        ];
        for (text, unit, wanted) in rows {
            assert_eq!(value(text, unit), wanted);
        }
    }

    #[test]
    fn lists_and_plurals_read_as_sentences() {
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!((plural(1, "round"), plural(12, "round")), ("1 round".to_owned(), "12 rounds".to_owned()));
        assert_eq!((ms(73.8), ms(5222.0), ms(303_562.0)), ("0.074".to_owned(), "5.22".to_owned(), "304".to_owned()));
    }
}

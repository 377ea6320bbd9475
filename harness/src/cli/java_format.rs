//! Numbers as Java's `String.format` prints them.
//!
//! `%.nf` in Java rounds the *shortest decimal text* of the double half up, not its exact binary value: 0.125 gives
//! 0.13 and 1.005 gives 1.01, where C and Rust give 0.12 and 1.00. The decimal point is always `.`.

/// `String.format("%.<places>f", value)`.
pub(crate) fn fixed(value: f64, places: usize) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let text = format!("{}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut digits: Vec<u8> =
        whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(places)).collect();
    if fraction.as_bytes().get(places).is_some_and(|next| *next >= b'5') {
        round_up(&mut digits);
    }
    let split = digits.len() - places;
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let text = |digits: &[u8]| digits.iter().map(|digit| char::from(*digit)).collect::<String>();
    let point = if places > 0 { "." } else { "" };
    format!("{sign}{}{point}{}", text(&digits[..split]), text(&digits[split..]))
}

/// `Double.toString(value)`: at least one decimal, and computerized scientific notation below 0.001 and from 10^7 on.
pub(crate) fn double_text(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let text = if value.is_finite() { format!("{value:?}") } else { fixed(value, 0) };
        return text;
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

/// Adds one to the last digit.
fn round_up(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decimal_text_is_rounded_half_up() {
        let cases =
            [(0.125, "0.13"), (1.005, "1.01"), (2.675, "2.68"), (0.345, "0.35"), (1.115, "1.12"), (0.015, "0.02")];
        for (value, wanted) in cases {
            assert_eq!(fixed(value, 2), wanted, "{value}");
        }
    }

    #[test]
    fn rounding_carries_into_new_digits() {
        assert_eq!(fixed(9.995, 2), "10.00");
        assert_eq!(fixed(99.96, 1), "100.0");
        assert_eq!(fixed(0.5, 0), "1");
    }

    #[test]
    fn a_double_s_text_is_java_s() {
        let cases = [
            (0.001, "0.001"),
            (1.0E-4, "1.0E-4"),
            (123_456.789, "123456.789"),
            (1.234_567_8E7, "1.2345678E7"),
            (1.0, "1.0"),
            (1e7, "1.0E7"),
            (9_999_999.5, "9999999.5"),
            (0.05, "0.05"),
            (0.0, "0.0"),
            (f64::NAN, "NaN"),
        ];
        for (value, wanted) in cases {
            assert_eq!(double_text(value), wanted);
        }
    }

    #[test]
    fn short_large_and_special_values() {
        assert_eq!(fixed(1.0, 6), "1.000000");
        assert_eq!(fixed(1e18, 1), "1000000000000000000.0");
        assert_eq!(fixed(-2.5, 1), "-2.5");
        assert_eq!(fixed(1.5e-9, 4), "0.0000");
        assert_eq!(fixed(f64::NAN, 2), "NaN");
        assert_eq!(fixed(f64::INFINITY, 4), "Infinity");
        assert_eq!(fixed(f64::NEG_INFINITY, 4), "-Infinity");
    }
}

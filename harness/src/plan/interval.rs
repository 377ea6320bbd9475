//! A number that may not be known exactly: least, likeliest, greatest.
//!
//! In TOML `1000` or `{ low = 500, mid = 1000, high = 2000 }`; on the command line `1000` or `500..1000..2000`.
//! Between least and greatest it is taken as triangular: no more is claimed than the three numbers say.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Least, likeliest, greatest; all the same where it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Least.
    pub low: f64,
    /// Likeliest.
    pub mid: f64,
    /// Greatest.
    pub high: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Three {
    low: f64,
    mid: f64,
    high: f64,
}

impl Interval {
    /// Three numbers in their order.
    #[must_use]
    pub const fn new(low: f64, mid: f64, high: f64) -> Self {
        Self { low, mid, high }
    }

    /// One that is known.
    #[must_use]
    pub const fn known(it: f64) -> Self {
        Self { low: it, mid: it, high: it }
    }

    /// Whether it is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.low == self.high
    }

    /// Whether its numbers are in their order.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.low <= self.mid && self.mid <= self.high
    }

    /// Each number, changed.
    #[must_use]
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self { low: change(self.low), mid: change(self.mid), high: change(self.high) }
    }

    /// The value that a share (0 to 1) of all stay below: the triangular distribution's quantile.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let (low, mid, high) = (self.low, self.mid, self.high);
        let width = high - low;
        if width <= 0.0 {
            return mid;
        }
        if share * width < mid - low {
            low + (share * width * (mid - low)).sqrt()
        } else {
            high - ((1.0 - share) * width * (high - mid)).sqrt()
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            return f.write_str(&short(self.mid));
        }
        write!(f, "{}..{}..{}", short(self.low), short(self.mid), short(self.high))
    }
}

/// A number for people: four digits that say something, without zeros behind them.
#[must_use]
pub(crate) fn short(it: f64) -> String {
    if it.fract() == 0.0 && it.abs() < 1e15 {
        return format!("{it:.0}");
    }
    let digits = match it.abs() {
        it if it >= 1000.0 => 0,
        it if it >= 100.0 => 1,
        it if it >= 10.0 => 2,
        it if it >= 0.1 => 3,
        _ => 5,
    };
    let text = format!("{it:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |it: &str| it.trim().parse::<f64>().map_err(|_| format!("{it:?} is no number"));
        let parts: Vec<f64> = text.split("..").map(number).collect::<Result<_, _>>()?;
        match parts[..] {
            [one] => Ok(Self::known(one)),
            [low, mid, high] => Ok(Self { low, mid, high }),
            _ => Err(format!("{text:?} is neither a number nor LOW..MID..HIGH")),
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.is_known() {
            return to.serialize_f64(self.mid);
        }
        Three { low: self.low, mid: self.mid, high: self.high }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NumberOrThree)
    }
}

struct NumberOrThree;

impl<'de> Visitor<'de> for NumberOrThree {
    type Value = Interval;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or { low = .., mid = .., high = .. }")
    }

    fn visit_f64<E: de::Error>(self, it: f64) -> Result<Interval, E> {
        Ok(Interval::known(it))
    }

    #[allow(clippy::cast_precision_loss, reason = "people do not write counts above 2^53")]
    fn visit_i64<E: de::Error>(self, it: i64) -> Result<Interval, E> {
        Ok(Interval::known(it as f64))
    }

    #[allow(clippy::cast_precision_loss, reason = "people do not write counts above 2^53")]
    fn visit_u64<E: de::Error>(self, it: u64) -> Result<Interval, E> {
        Ok(Interval::known(it as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Interval, A::Error> {
        let it = Three::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Interval { low: it.low, mid: it.mid, high: it.high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_a_triangle() {
        let it = Interval::new(0.0, 1.0, 2.0);
        assert_eq!([it.at(0.0), it.at(0.5), it.at(1.0)], [0.0, 1.0, 2.0]);
        assert!((it.at(0.125) - 0.5).abs() < 1e-12, "an eighth of the area lies below a half");
        assert_eq!(Interval::known(7.0).at(0.3), 7.0);
        assert_eq!(Interval::new(1.0, 1.0, 2.0).at(0.0), 1.0);
    }

    #[test]
    fn one_number_or_three_are_read_and_nothing_else() {
        assert_eq!("500..1000..2000".parse(), Ok(Interval::new(500.0, 1000.0, 2000.0)));
        assert_eq!("1e6".parse(), Ok(Interval::known(1e6)));
        assert!("1..2".parse::<Interval>().unwrap_err().contains("LOW..MID..HIGH"));
        assert!("many".parse::<Interval>().is_err());
        assert_eq!([0.123_456, 1234.56, 12.5, 100.0].map(short), ["0.123", "1235", "12.5", "100"]);
    }
}

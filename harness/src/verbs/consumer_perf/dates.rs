//! Times as java.text.SimpleDateFormat prints them, in the local time zone.

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// A pattern, checked.
#[derive(Clone, Debug)]
pub(crate) struct DateFormat {
    parts: Vec<Part>,
    zone: TimeZone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A pattern letter and how often it stands.
    Field(char, usize),
}

/// The letters that are known. (SimpleDateFormat has more: week numbers, eras.)
const LETTERS: &str = "yMdHhmsSaEDkKzZX";

impl DateFormat {
    pub(crate) fn new(pattern: &str, zone: TimeZone) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, parts.last_mut()) {
                ('\'', _) => parts.push(Part::Text(quoted(&mut chars)?)),
                (c, Some(Part::Field(letter, count))) if *letter == c => *count += 1,
                (c, _) if LETTERS.contains(c) => parts.push(Part::Field(c, 1)),
                (c, _) if c.is_ascii_alphabetic() => return Err(format!("Illegal pattern character '{c}'")),
                (c, Some(Part::Text(text))) => text.push(c),
                (c, _) => parts.push(Part::Text(c.into())),
            }
        }
        Ok(Self { parts, zone })
    }

    /// The time, milliseconds since 1970.
    pub(crate) fn format(&self, wall_ms: i64) -> String {
        let time = Timestamp::from_millisecond(wall_ms).unwrap_or_default().to_zoned(self.zone.clone());
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(letter, count) => field(&time, *letter, *count),
        };
        self.parts.iter().map(part).collect()
    }
}

/// Text up to the closing quote; two quotes are one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    if chars.next_if_eq(&'\'').is_some() {
        return Ok("'".into());
    }
    let mut text = String::new();
    while let Some(c) = chars.next() {
        if c != '\'' {
            text.push(c);
        } else if chars.next_if_eq(&'\'').is_some() {
            text.push('\'');
        } else {
            return Ok(text);
        }
    }
    Err("Unterminated quote".into())
}

fn field(time: &Zoned, letter: char, count: usize) -> String {
    let number = |value: i64| format!("{value:0count$}");
    let hour = i64::from(time.hour());
    match letter {
        'y' if count == 2 => format!("{:02}", time.year().rem_euclid(100)),
        'y' => number(time.year().into()),
        'M' if count >= 4 => time.strftime("%B").to_string(),
        'M' if count == 3 => time.strftime("%b").to_string(),
        'M' => number(time.month().into()),
        'd' => number(time.day().into()),
        'D' => number(time.day_of_year().into()),
        'H' => number(hour),
        'k' => number(if hour == 0 { 24 } else { hour }),
        'K' => number(hour % 12),
        'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }),
        'm' => number(time.minute().into()),
        's' => number(time.second().into()),
        'S' => number(time.millisecond().into()),
        'a' => time.strftime("%p").to_string(),
        'E' if count >= 4 => time.strftime("%A").to_string(),
        'E' => time.strftime("%a").to_string(),
        'z' => time.strftime("%Z").to_string(),
        'Z' => time.strftime("%z").to_string(),
        _ => time.strftime("%:z").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(pattern: &str) -> String {
        // 2023-02-23 11:00:07.061 UTC.
        DateFormat::new(pattern, TimeZone::UTC).unwrap().format(1_677_150_007_061)
    }

    #[test]
    fn the_default_pattern_is_kafka_s() {
        assert_eq!(format("yyyy-MM-dd HH:mm:ss:SSS"), "2023-02-23 11:00:07:061");
    }

    #[test]
    fn other_patterns_are_java_s() {
        assert_eq!(format("d.M.yy h:mm a"), "23.2.23 11:00 AM");
        assert_eq!(format("EEE, d MMM yyyy"), "Thu, 23 Feb 2023");
        assert_eq!(format("'at' HH 'o''clock' ''"), "at 11 o'clock '");
        assert_eq!(format("S|SSSSS"), "61|00061");
    }

    #[test]
    fn what_is_no_pattern_is_refused_in_java_s_words() {
        let error = |pattern| DateFormat::new(pattern, TimeZone::UTC).unwrap_err();
        assert_eq!(error("yyyy-bb"), "Illegal pattern character 'b'");
        assert_eq!(error("'open"), "Unterminated quote");
    }
}

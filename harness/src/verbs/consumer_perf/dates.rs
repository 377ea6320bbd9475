//! Times as java.text.SimpleDateFormat prints them in English, in the local time zone.

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

/// The letters that SimpleDateFormat knows.
const LETTERS: &str = "GyYMLwWdDFEuaHkKhmsSzZX";

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
        let offset = |part: &Part| matches!(part, Part::Field('X', count) if *count > 3);
        if let Some(Part::Field(_, count)) = parts.iter().find(|part| offset(part)) {
            return Err(format!("invalid ISO 8601 format: length={count}"));
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
    let year = |year: i64| if count == 2 { format!("{:02}", year.rem_euclid(100)) } else { number(year) };
    let hour = i64::from(time.hour());
    match letter {
        'G' => "AD".to_owned(),
        'y' => year(time.year().into()),
        'Y' => year(week_of_year(time).0),
        'M' | 'L' if count >= 4 => time.strftime("%B").to_string(),
        'M' | 'L' if count == 3 => time.strftime("%b").to_string(),
        'M' | 'L' => number(time.month().into()),
        'w' => number(week_of_year(time).1),
        'W' => number((i64::from(time.day()) - 1 + first_weekday(time, time.day().into())) / 7 + 1),
        'd' => number(time.day().into()),
        'D' => number(time.day_of_year().into()),
        'F' => number((i64::from(time.day()) - 1) / 7 + 1),
        'u' => number(time.weekday().to_monday_one_offset().into()),
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
        'z' => zone_name(time, count >= 4),
        'Z' => time.strftime("%z").to_string(),
        _ => iso_offset(time, count),
    }
}

/// The weekday, Sunday 0, of the first day of a span of which this is the day `day`.
fn first_weekday(time: &Zoned, day: i64) -> i64 {
    (i64::from(time.weekday().to_sunday_zero_offset()) - (day - 1)).rem_euclid(7)
}

/// Java's week year and week: weeks begin on Sunday, and the one that holds the first of January is week 1.
fn week_of_year(time: &Zoned) -> (i64, i64) {
    let (day, days) = (i64::from(time.day_of_year()), i64::from(time.days_in_year()));
    let first = first_weekday(time, day);
    let next_first = (first + days) % 7;
    if day > days - next_first {
        (i64::from(time.year()) + 1, 1)
    } else {
        (time.year().into(), (day - 1 + first) / 7 + 1)
    }
}

/// What Java calls zones: their short and long name, then those in summer, then the zones that are called so.
const ZONE_NAMES: &str = include_str!("zone_names.txt");

/// A zone's name; one that Java has no name for is called by its offset.
fn zone_name(time: &Zoned, is_long: bool) -> String {
    let named = time.time_zone().iana_name().filter(|name| *name != "Etc/Unknown");
    // A machine that says nothing of its zone is in UTC to Java too.
    let zone = named.unwrap_or(if time.offset().seconds() == 0 { "UTC" } else { "" });
    let is_summer = time.time_zone().to_offset_info(time.timestamp()).dst().is_dst();
    let place = usize::from(is_long) + if is_summer { 2 } else { 0 };
    let line = ZONE_NAMES.lines().find(|line| line.split('\t').skip(4).any(|named| named == zone));
    let name = line.and_then(|line| line.split('\t').nth(place)).map(str::to_owned);
    name.unwrap_or_else(|| format!("GMT{}", time.strftime("%:z")))
}

/// `X`: the hours; `XX`, `XXX`: and the minutes; nothing to add to UTC is `Z`.
fn iso_offset(time: &Zoned, count: usize) -> String {
    if time.offset().seconds() == 0 {
        return "Z".into();
    }
    let text = time.strftime(if count == 3 { "%:z" } else { "%z" }).to_string();
    if count == 1 { text[..3].to_owned() } else { text }
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
    fn every_letter_prints_what_java_s_own_class_prints() {
        let mut count = 0;
        for line in include_str!("date_vectors.txt").lines().filter(|line| !line.starts_with('#')) {
            let parts: Vec<&str> = line.split('\t').collect();
            let zone = TimeZone::get(parts[0]).unwrap();
            let text = DateFormat::new(parts[2], zone).unwrap().format(parts[1].parse().unwrap());
            assert_eq!(text, parts[3], "{line}");
            count += 1;
        }
        assert!(count > 1000, "{count}");
    }

    #[test]
    fn what_is_no_pattern_is_refused_in_java_s_words() {
        let error = |pattern| DateFormat::new(pattern, TimeZone::UTC).unwrap_err();
        assert_eq!(error("yyyy-bb"), "Illegal pattern character 'b'");
        assert_eq!(error("'open"), "Unterminated quote");
        assert_eq!(error("HH XXXX"), "invalid ISO 8601 format: length=4");
    }
}

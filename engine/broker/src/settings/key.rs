//! What a setting is: its type, default and limits, in the words of Kafka's ConfigDef.

/// Type of a value. [`Kind::code`] is what DescribeConfigs answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Any text.
    Text,
    /// 32 bits, signed.
    Int,
    /// 16 bits, signed.
    Short,
    /// 64 bits, signed.
    Long,
    /// A floating point number.
    Double,
    /// Texts between commas.
    List,
    /// Name of a Java class.
    Class,
    /// A text that is not shown.
    Password,
}

impl Kind {
    /// The type's number in DescribeConfigsResponse (DescribeConfigsResponse.ConfigType).
    #[must_use]
    pub(crate) fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::Text => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    /// Its name in Kafka's documentation (ConfigDef.Type), in lower case.
    #[cfg(test)]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
            Kind::Class => "class",
            Kind::Password => "password",
        }
    }

    fn not_a_number(self) -> String {
        let name = match self {
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            _ => "DOUBLE",
        };
        format!("Not a number of type {name}")
    }
}

/// Which values of its type a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// All.
    Any,
    /// A number not below this one.
    AtLeast(i64),
    /// A number from the first to the second, both included.
    Between(i64, i64),
    /// As `Between`, or -1.
    BetweenOrMinusOne(i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these texts, in whatever case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of these words.
    ListOf(&'static [&'static str]),
    /// A number of bytes, with k, m or g behind it for their multiples (of 1024), as the JVM's -Xmx has it.
    Size,
    /// `*`, or a list of `partition:broker` (ThrottledReplicaListValidator).
    Throttled,
}

/// When a change of a broker's setting takes effect in Kafka (DynamicBrokerConfig's update modes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// At the next start.
    ReadOnly,
    /// At once, for one broker.
    PerBroker,
    /// At once, for all of them.
    ClusterWide,
}

/// Whether something here acts on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is honoured.
    Used,
    /// It is checked, kept and described, and nothing acts on it yet: setting it warns.
    NotYet,
    /// What it is about is not here: it is checked, kept and described, and setting it warns with the reason.
    Idle,
    /// To ignore it would do harm: anything but the default is refused with the reason.
    Refused,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Key {
    /// Kafka's name (or ours, where the documentation says so).
    pub(crate) name: &'static str,
    /// Type of its value.
    pub(crate) kind: Kind,
    /// The value where none is given; `None` is Kafka's null.
    pub(crate) default: Option<&'static str>,
    /// Which values are taken.
    pub(crate) rule: Rule,
    /// When a change takes effect.
    pub(crate) update: Update,
    /// Whether something acts on it.
    pub(crate) effect: Effect,
    /// One sentence, for DescribeConfigs and the manual: what it says, or why nothing listens to it.
    pub(crate) doc: &'static str,
}

/// Why a value is refused, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}: {reason}")]
pub(crate) struct InvalidValue {
    /// The setting.
    pub(crate) key: String,
    /// The text that was given.
    pub(crate) value: String,
    /// The limit that it breaks.
    pub(crate) reason: String,
}

impl Key {
    /// Checks a text and gives it in the form in which Kafka shows it (trimmed, lists without blanks).
    pub(crate) fn canonical(&self, text: &str) -> Result<String, InvalidValue> {
        let text = text.trim();
        self.check(text).map_err(|reason| InvalidValue {
            key: self.name.into(),
            value: self.offender(text).into(),
            reason,
        })
    }

    /// What an error names: the whole value, or the first word of a list that is none of its words.
    fn offender<'a>(&self, text: &'a str) -> &'a str {
        match self.rule {
            Rule::ListOf(words) => list_items(text).find(|item| !words.contains(item)).unwrap_or(text),
            _ => text,
        }
    }

    fn check(&self, text: &str) -> Result<String, String> {
        match self.kind {
            Kind::Boolean => boolean(text),
            Kind::Text | Kind::Class | Kind::Password => self.check_text(text),
            Kind::Int => self.check_integer(text, i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Short => self.check_integer(text, i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Long => self.check_integer(text, i64::MIN, i64::MAX),
            Kind::Double => self.check_double(text),
            Kind::List => self.check_list(text),
        }
    }

    fn check_text(&self, text: &str) -> Result<String, String> {
        match self.rule {
            Rule::OneOf(words) if !words.contains(&text) => Err(one_of(words)),
            Rule::OneOfAnyCase(words) if !words.iter().any(|word| word.eq_ignore_ascii_case(text)) => {
                Err(format!("String must be one of (case insensitive): {}", words.join(", ").to_uppercase()))
            }
            Rule::Size if size(text).is_none() => Err("Value must be a number of bytes, like 512m or 2g".to_owned()),
            _ => Ok(text.to_owned()),
        }
    }

    fn check_integer(&self, text: &str, type_min: i64, type_max: i64) -> Result<String, String> {
        let number: i64 = text.parse().map_err(|_| self.kind.not_a_number())?;
        if number < type_min || number > type_max {
            return Err(self.kind.not_a_number());
        }
        let refused = match self.rule {
            Rule::AtLeast(min) | Rule::Between(min, _) if number < min => Some(format!("Value must be at least {min}")),
            Rule::Between(_, max) if number > max => Some(format!("Value must be no more than {max}")),
            Rule::BetweenOrMinusOne(min, max) if number != -1 && !(min..=max).contains(&number) => {
                Some(format!("Value must be between {min} and {max} or equal to -1"))
            }
            _ => None,
        };
        refused.map_or_else(|| Ok(number.to_string()), Err)
    }

    fn check_double(&self, text: &str) -> Result<String, String> {
        let number: f64 = text.parse().map_err(|_| self.kind.not_a_number())?;
        match self.rule {
            Rule::Between(min, _) if number < min as f64 => Err(format!("Value must be at least {min}")),
            Rule::Between(_, max) if number > max as f64 => Err(format!("Value must be no more than {max}")),
            _ if number.is_nan() => Err(self.kind.not_a_number()),
            // Java's capital letter of the exponent.
            _ => Ok(format!("{number:?}").replace('e', "E")),
        }
    }

    fn check_list(&self, text: &str) -> Result<String, String> {
        let mut items: Vec<&str> = Vec::new();
        for item in list_items(text) {
            if item.is_empty() {
                return Err(format!("Configuration '{}' values must not be empty.", self.name));
            }
            match self.rule {
                Rule::ListOf(words) if !words.contains(&item) => return Err(one_of(words)),
                _ if items.contains(&item) => {}
                _ => items.push(item),
            }
        }
        if self.rule == Rule::Throttled && !is_throttle_list(&items) {
            return Err(format!(
                "{} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                self.name
            ));
        }
        Ok(items.join(","))
    }
}

/// The items of a list's text; none where it is empty.
pub(crate) fn list_items(text: &str) -> impl Iterator<Item = &str> {
    let empty = text.trim().is_empty();
    text.split(',').map(str::trim).filter(move |_| !empty)
}

/// The bytes that a [`Rule::Size`] means.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

fn boolean(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "true" | "false" => Ok(lower),
        _ => Err("Expected value to be either true or false".to_owned()),
    }
}

fn one_of(words: &[&str]) -> String {
    format!("String must be one of: {}", words.join(", "))
}

fn is_throttle_list(items: &[&str]) -> bool {
    let is_pair = |item: &&str| match item.split_once(':') {
        Some((partition, broker)) => partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok(),
        None => false,
    };
    items == ["*"] || items.iter().all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_jvm_reads_them() {
        let sizes = ["512m", "2G", "65536", "1k", "3GiB"].map(size);
        assert_eq!(sizes, [Some(512 << 20), Some(2 << 30), Some(65_536), Some(1024), Some(3 << 30)]);
        for wrong in ["", "m", "0", "0g", "-1", "1.5g", "2t", "99999999999g", "1 g"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}

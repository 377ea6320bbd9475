//! Options as jopt-simple 5.0.4 reads them, abbreviations off, which kafka-consumer-perf-test uses.
//!
//! - `--opt value` and `--opt=value`; a value may begin with `-` only behind `=`, or where it is a number.
//! - Unknown options end the parse; what is no option is left over and ignored.
//! - An option that was given twice, or a bad number, is found only when it is read, as in the original.

/// How many values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    Flag,
    Required,
    Optional,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opt {
    pub(crate) name: &'static str,
    pub(crate) arity: Arity,
    pub(crate) metavar: &'static str,
    pub(crate) help: &'static str,
}

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Given(Vec<(&'static str, Option<String>)>);

/// Reads the arguments.
pub(crate) fn parse(options: &'static [Opt], args: &[String]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut rest = args.iter().peekable();
    while let Some(token) = rest.next() {
        if token == "--" {
            break;
        }
        let Some(long) = token.strip_prefix("--").or_else(|| token.strip_prefix('-').filter(|name| !name.is_empty()))
        else {
            continue;
        };
        let (name, inline) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
        let option = options.iter().find(|option| option.name == name);
        let option = option.ok_or_else(|| format!("{name} is not a recognized option"))?;
        let value = match option.arity {
            Arity::Flag => None,
            _ => inline.or_else(|| rest.next_if(|next| is_value(next)).cloned()),
        };
        if option.arity == Arity::Required && value.is_none() {
            return Err(format!("Option {name} requires an argument"));
        }
        given.0.push((option.name, value));
    }
    Ok(given)
}

fn is_value(token: &str) -> bool {
    !token.starts_with('-') || token == "-" || token.parse::<f64>().is_ok()
}

impl Given {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(option, _)| *option == name)
    }

    /// Every value of a repeatable option.
    pub(crate) fn all<'a>(&'a self, name: &str) -> Vec<&'a str> {
        self.0.iter().filter(|(option, _)| *option == name).filter_map(|(_, value)| value.as_deref()).collect()
    }

    /// The value of an option that may be given once.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(format!("Found multiple arguments for option {name}, but you asked for only one")),
        }
    }

    /// A number; the message is jopt's.
    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("Cannot parse argument '{text}' of option {name}"))
    }
}

/// The option table that follows a message.
pub(crate) fn table(options: &[Opt]) -> String {
    let form = |option: &Opt| match option.arity {
        Arity::Flag => format!("--{}", option.name),
        Arity::Required => format!("--{} <{}>", option.name, option.metavar),
        Arity::Optional => format!("--{} [{}]", option.name, option.metavar),
    };
    let width = options.iter().map(|option| form(option).len()).max().unwrap_or(0);
    let mut table = format!("{:<width$}  Description\n{:<width$}  -----------\n", "Option", "------");
    for option in options {
        table.push_str(&format!("{:<width$}  {}\n", form(option), option.help));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        Opt { name: "topic", arity: Arity::Required, metavar: "topic", help: "" },
        Opt { name: "timeout", arity: Arity::Optional, metavar: "Long: ms", help: "" },
        Opt { name: "hide-header", arity: Arity::Flag, metavar: "", help: "" },
    ];

    fn parse_line(line: &str) -> Result<Given, String> {
        parse(OPTIONS, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn values_come_behind_a_space_or_an_equals_sign() {
        let given = parse_line("--topic a --timeout=-1 --hide-header stray").unwrap();
        assert_eq!(given.text("topic"), Ok(Some("a")));
        assert_eq!(given.number::<i64>("timeout"), Ok(Some(-1)));
        assert!(given.has("hide-header"));
    }

    #[test]
    fn the_messages_are_jopt_s() {
        assert_eq!(parse_line("--top a").unwrap_err(), "top is not a recognized option");
        assert_eq!(parse_line("--topic").unwrap_err(), "Option topic requires an argument");
        assert_eq!(parse_line("--topic --hide-header").unwrap_err(), "Option topic requires an argument");
        let twice = parse_line("--topic a --topic b").unwrap();
        let wanted = "Found multiple arguments for option topic, but you asked for only one";
        assert_eq!(twice.text("topic").unwrap_err(), wanted);
        let bad = parse_line("--timeout abc").unwrap();
        assert_eq!(bad.number::<i64>("timeout").unwrap_err(), "Cannot parse argument 'abc' of option timeout");
    }

    #[test]
    fn an_optional_value_may_be_missing() {
        let given = parse_line("--timeout --topic a").unwrap();
        assert!(given.has("timeout"));
        assert_eq!(given.text("timeout"), Ok(None));
    }
}

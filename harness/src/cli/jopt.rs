//! Options as jopt-simple 5.0.4 reads them, abbreviations off, which kafka-consumer-perf-test uses.
//!
//! - `--opt value` and `--opt=value`; a required value is the next token, whatever it looks like.
//! - An optional value is the next token if that is no option and, for a number, is one; a negative number too.
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
pub(crate) fn parse(options: &[Opt], args: &[String]) -> Result<Given, String> {
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
        let known = |name: &str| options.iter().any(|option| option.name == name);
        if !token.starts_with("--") && !known(long.split('=').next().unwrap_or(long)) {
            // One dash: a cluster of letters, none of which is an option.
            return Err(format!("{} is not a recognized option", long.chars().take(1).collect::<String>()));
        }
        let (name, inline) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
        let option = options.iter().find(|option| option.name == name);
        let option = option.ok_or_else(|| format!("{name} is not a recognized option"))?;
        let value = match option.arity {
            Arity::Flag => None,
            Arity::Required => inline.or_else(|| rest.next().cloned()),
            Arity::Optional => inline.or_else(|| rest.next_if(|next| option.may_take(next)).cloned()),
        };
        if option.arity == Arity::Required && value.is_none() {
            return Err(format!("Option {name} requires an argument"));
        }
        given.0.push((option.name, value));
    }
    Ok(given)
}

impl Opt {
    /// Whether a token can be this option's optional value.
    fn may_take(&self, token: &str) -> bool {
        match self.metavar.split(':').next() {
            Some("Integer") => token.parse::<i32>().is_ok(),
            Some("Long") => token.parse::<i64>().is_ok(),
            _ => !token.starts_with('-') || token == "-",
        }
    }
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
        assert_eq!(parse_line("-topic").unwrap_err(), "Option topic requires an argument");
        assert_eq!(parse_line("-top a").unwrap_err(), "t is not a recognized option");
        let twice = parse_line("--topic a --topic b").unwrap();
        let wanted = "Found multiple arguments for option topic, but you asked for only one";
        assert_eq!(twice.text("topic").unwrap_err(), wanted);
        let bad = parse_line("--timeout=abc").unwrap();
        assert_eq!(bad.number::<i64>("timeout").unwrap_err(), "Cannot parse argument 'abc' of option timeout");
    }

    #[test]
    fn an_optional_value_may_be_missing() {
        for line in ["--timeout --topic a", "--timeout", "--timeout abc"] {
            let given = parse_line(line).unwrap();
            assert!(given.has("timeout"));
            assert_eq!(given.text("timeout"), Ok(None), "{line}");
        }
        assert_eq!(parse_line("--timeout -1").unwrap().number::<i64>("timeout"), Ok(Some(-1)));
    }

    #[test]
    fn a_required_value_is_the_next_token_though_it_looks_like_an_option() {
        let given = parse_line("--topic --hide-header").unwrap();
        assert_eq!((given.text("topic"), given.has("hide-header")), (Ok(Some("--hide-header")), false));
    }
}

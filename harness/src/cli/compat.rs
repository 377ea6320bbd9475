//! `--compat`: whose options, texts and number formats a perf tool has. Our own option; Kafka's tools do not have it.

/// A line of Kafka's releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compat {
    /// 3.9: the tools as they were before Kafka 4.
    V3_9,
    /// 4.3, with the options that 4.4 adds.
    #[default]
    V4_3,
}

impl Compat {
    /// Takes `--compat VERSION` or `--compat=VERSION` out of the arguments.
    ///
    /// # Errors
    /// A version that is not there, in words that name those that are.
    pub(crate) fn take(args: &[String]) -> Result<(Self, Vec<String>), String> {
        let (mut compat, mut rest) = (Self::default(), Vec::with_capacity(args.len()));
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = match arg.strip_prefix("--compat=") {
                Some(value) => Some(value),
                None if arg == "--compat" => Some(args.next().map_or("", String::as_str)),
                None => None,
            };
            match value {
                Some(value) => compat = Self::named(value)?,
                None => rest.push(arg.clone()),
            }
        }
        Ok((compat, rest))
    }

    fn named(version: &str) -> Result<Self, String> {
        match version {
            "3.9" => Ok(Self::V3_9),
            "4.3" => Ok(Self::V4_3),
            _ => Err(format!("--compat '{version}': it is 3.9 or 4.3 (the default)")),
        }
    }

    pub(crate) fn is_3_9(self) -> bool {
        self == Self::V3_9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(line: &str) -> Result<(Compat, Vec<String>), String> {
        Compat::take(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn it_is_taken_out_of_the_arguments_wherever_it_stands() {
        assert_eq!(take("--topic t --compat 3.9 --x").unwrap(), (Compat::V3_9, take("--topic t --x").unwrap().1));
        assert_eq!(take("--compat=4.3").unwrap(), (Compat::V4_3, Vec::new()));
        assert_eq!(take("a b").unwrap().0, Compat::V4_3);
    }

    #[test]
    fn a_version_that_is_not_there_is_named_with_those_that_are() {
        assert_eq!(take("--compat 4.0").unwrap_err(), "--compat '4.0': it is 3.9 or 4.3 (the default)");
        assert!(take("--compat").unwrap_err().starts_with("--compat ''"));
    }
}

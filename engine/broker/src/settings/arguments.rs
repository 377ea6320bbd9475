//! The arguments of `ringlog broker`.

use super::SettingsError;
use super::values::Entry;

/// What `ringlog broker --help` prints.
pub(crate) const HELP: &str = "\
Usage: ringlog broker [--config FILE] [--override KEY=VALUE]... [--shards N] [--memory SIZE]
                      [--io uring|epoll|auto] [--metrics-listen ADDR] [--log-format FORMAT] [--check]

  --config FILE          settings under Apache Kafka's names (server.properties)
  --override KEY=VALUE   one setting; wins over the file; may be given again
  --shards N             the same as --override ringlog.shards=N: threads with a core, a port and a node id each
  --memory SIZE          the same as --override ringlog.memory=SIZE (512m, 2g): what the broker may take for itself;
                         half of what the cgroup or the machine has if it is not given
  --io uring|epoll|auto  the same as --override ringlog.io=...: how the kernel is asked
  --metrics-listen ADDR  the same as --override ringlog.metrics.listen=ADDR: /metrics for Prometheus, /healthz and /readyz
                         at a port of 127.0.0.1 (9404) or at an address (0.0.0.0:9404); see engine/docs/metrics.md
  --log-format FORMAT    the same as --override ringlog.log.format=FORMAT: text or json; with json every line is an object on
                         standard error, the one that says that the broker is ready too
  --check                say what these settings would do, and start nothing
  --help                 this text

Without arguments it listens on 127.0.0.1:9092 and keeps its log in ./ringlog-data.

Exit codes: 0 a signal stopped it, and everything is on the disk; 1 it could not start, or had to stop. With --check: 0 it
would start, and all that was given is honoured; 1 it would not start; 2 it would start, and something that was given has
no effect.
";

/// The arguments, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The settings file.
    pub(crate) config: Option<String>,
    /// Settings from the command line, in order.
    pub(crate) overrides: Vec<Entry>,
    /// The help was asked for.
    pub(crate) help: bool,
    /// What the settings would do is to be said.
    pub(crate) check: bool,
}

impl Arguments {
    /// Takes the arguments after `broker` apart. `--name value` and `--name=value` are the same.
    pub(crate) fn parse(args: &[String]) -> Result<Self, SettingsError> {
        let mut parsed = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let (name, attached) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            if matches!(name, "--help" | "-h") {
                parsed.help = true;
                continue;
            }
            if arg == "--check" {
                parsed.check = true;
                continue;
            }
            if !matches!(
                name,
                "--config" | "--override" | "--shards" | "--memory" | "--io" | "--metrics-listen" | "--log-format"
            ) {
                return Err(SettingsError::Argument { argument: arg.clone(), why: "it is not an option" });
            }
            let value = attached.or_else(|| rest.next().cloned());
            let value =
                value.ok_or_else(|| SettingsError::Argument { argument: arg.clone(), why: "it wants a value" })?;
            parsed.take(name, value)?;
        }
        Ok(parsed)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), SettingsError> {
        let (key, value) = match name {
            "--config" => {
                self.config = Some(value);
                return Ok(());
            }
            "--shards" => ("ringlog.shards".to_owned(), value),
            "--memory" => ("ringlog.memory".to_owned(), value),
            "--io" => ("ringlog.io".to_owned(), value),
            "--metrics-listen" => ("ringlog.metrics.listen".to_owned(), value),
            "--log-format" => ("ringlog.log.format".to_owned(), value),
            _ => match value.split_once('=') {
                Some((key, value)) => (key.trim().to_owned(), value.to_owned()),
                None => return Err(SettingsError::Argument { argument: value, why: "KEY=VALUE is expected" }),
            },
        };
        self.overrides.push(Entry { key, value, source: name.to_owned() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, SettingsError> {
        Arguments::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_take_their_value_after_a_blank_or_an_equals_sign() {
        let parsed = parse(
            "--config a.properties --shards=2 --override log.dirs=/x=y --override=node.id=3 --io epoll --memory 2g",
        )
        .unwrap();
        let given: Vec<_> = parsed.overrides.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
        assert_eq!(parsed.config.as_deref(), Some("a.properties"));
        assert_eq!(
            given,
            [
                ("ringlog.shards", "2"),
                ("log.dirs", "/x=y"),
                ("node.id", "3"),
                ("ringlog.io", "epoll"),
                ("ringlog.memory", "2g")
            ]
        );
    }

    #[test]
    fn what_is_no_option_is_named() {
        assert!(parse("--frobnicate").unwrap_err().to_string().contains("--frobnicate"));
        assert!(parse("server.properties").unwrap_err().to_string().contains("server.properties"));
        assert!(parse("--override a").unwrap_err().to_string().contains("KEY=VALUE"));
        assert!(parse("--config").unwrap_err().to_string().contains("wants a value"));
        assert!(parse("--help").unwrap().help);
        assert!(parse("--check=yes").unwrap_err().to_string().contains("--check=yes"));
        assert!(parse("--check --io epoll").unwrap().check);
    }
}

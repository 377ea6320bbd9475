//! From options to targets: what is measured, and the ceilings beside it.

use crate::client::properties::Properties;
use crate::host::facts::sanitized;
use crate::host::has_ended;
use crate::target::spec::{self, TargetError};
use crate::target::{Start, Target};
use crate::yardstick::Mode;

use super::error::{SessionError, io};
use super::options::TargetOptions;

/// Whether null brokers are measured too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ceilings {
    /// In the same rounds.
    Beside,
    /// Not at all.
    Without,
}

/// The targets of a run: ceilings in the order of the work that they do, then subjects.
pub(crate) fn of(options: &TargetOptions, ceilings: Ceilings) -> Result<Vec<Target>, SessionError> {
    let modes = [Mode::Receive, Mode::Append].into_iter().filter(|_| ceilings == Ceilings::Beside);
    let mut targets: Vec<Target> = modes.map(Target::null).collect();
    targets.extend(remote(options)?);
    let peers = spec::peers();
    let words: Result<Vec<Target>, TargetError> = options.target.iter().map(|it| spec::parse(it, &peers)).collect();
    targets.extend(words?);
    if options.bootstrap_server.is_none() && options.target.is_empty() {
        targets.push(Target::new("ringlog", Start::Ringlog { program: None }));
    }
    let targets: Vec<Target> = targets.into_iter().map(|it| asked(it, options)).collect();
    spec::distinct(&targets)?;
    Ok(targets)
}

/// The broker that runs already.
fn remote(options: &TargetOptions) -> Result<Option<Target>, SessionError> {
    let Some(bootstrap) = &options.bootstrap_server else { return Ok(None) };
    if let Some(pid) = options.broker_pid.iter().find(|pid| has_ended(**pid)) {
        return Err(SessionError::BrokerPid(*pid));
    }
    let mut client = match &options.command_config {
        None => Properties::new(),
        Some(path) => {
            let what = format!("--command-config {}", path.display());
            let text = std::fs::read_to_string(path).map_err(io(&what))?;
            Properties::parse(&text).map_err(|error| SessionError::CommandConfig { what, reason: error.to_string() })?
        }
    };
    client.set("bootstrap.servers", bootstrap);
    let start = Start::Remote { client, pids: options.broker_pid.clone() };
    let target = Target::new(sanitized(&options.name), start);
    Ok(Some(Target { metrics: options.metrics_from.clone(), ..target }))
}

/// With what was asked of all targets.
fn asked(mut target: Target, options: &TargetOptions) -> Target {
    if target.is_started() {
        target.settings.extend(options.r#override.iter().cloned());
    }
    if matches!(target.start, Start::Ringlog { .. }) {
        let given = [("ringlog.shards", options.shards.map(|it| it.to_string())), ("ringlog.io", options.io.clone())];
        for (key, value) in given {
            target.settings.extend(value.map(|it| (key.to_owned(), it)));
        }
    }
    if !matches!(target.start, Start::Null(_)) {
        target.topic_configs.clone_from(&options.topic_config);
        target.replication_factor = options.replication_factor.unwrap_or(target.replication_factor);
        target.warm_up_mb = options.warm_up_mb.unwrap_or(target.warm_up_mb);
    }
    target
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::results::tests::scratch;

    #[derive(clap::Parser)]
    struct Options {
        #[command(flatten)]
        targets: TargetOptions,
    }

    fn parsed_beside(line: &str, ceilings: Ceilings) -> Result<Vec<Target>, SessionError> {
        of(&Options::try_parse_from(std::iter::once("bench").chain(line.split_whitespace())).unwrap().targets, ceilings)
    }

    fn parsed(line: &str) -> Result<Vec<Target>, SessionError> {
        parsed_beside(line, Ceilings::Without)
    }

    fn names(targets: &[Target]) -> Vec<&str> {
        targets.iter().map(|it| it.name.as_str()).collect()
    }

    #[test]
    fn without_options_it_is_ours_below_both_ceilings() {
        let targets = parsed_beside("", Ceilings::Beside).unwrap();
        assert_eq!(names(&targets), ["null-receive", "null-append", "ringlog"]);
        assert_eq!(names(&parsed("").unwrap()), ["ringlog"]);
    }

    #[test]
    fn a_broker_that_runs_already_takes_no_settings_and_its_own_replication() {
        let own = std::process::id();
        let line = format!("--bootstrap-server h:1 --override a=b --topic-config c=d --broker-pid {own},1");
        let targets = parsed(&line).unwrap();
        let remote = targets.last().unwrap();
        assert_eq!((remote.name.as_str(), remote.replication_factor, remote.settings.len()), ("kafka", -1, 0));
        assert_eq!(remote.topic_configs, [("c".to_owned(), "d".to_owned())]);
        assert!(matches!(&remote.start, Start::Remote { pids, .. } if pids == &[own, 1]));
    }

    #[test]
    fn a_process_that_is_not_there_is_refused_before_anything_is_measured() {
        // Above what Linux gives out.
        let error = parsed("--bootstrap-server h:1 --broker-pid 1,4194305").unwrap_err();
        assert!(error.is_usage() && error.to_string().starts_with("--broker-pid 4194305: no such process"), "{error}");
    }

    #[test]
    fn a_clients_file_says_how_to_get_there() {
        let dir = scratch("command-config");
        let path = dir.join("tls.properties");
        std::fs::write(&path, "bootstrap.servers=elsewhere:1\nsecurity.protocol=SASL_SSL\n").unwrap();
        let targets = parsed(&format!("--bootstrap-server h:1 --command-config {}", path.display())).unwrap();
        let Start::Remote { client, .. } = &targets.last().unwrap().start else { panic!("a remote target") };
        assert_eq!(client.get("security.protocol"), Some("SASL_SSL"));
        assert_eq!(client.get("bootstrap.servers"), Some("h:1"), "the option is nearer than the file");
        let missing = parsed("--bootstrap-server h:1 --command-config /no/such").unwrap_err().to_string();
        assert!(missing.contains("/no/such"), "{missing}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn targets_of_one_name_are_refused() {
        assert!(parsed("--target ringlog --target ringlog").unwrap_err().to_string().contains("called ringlog"));
        let two = parsed("--target a=ringlog --target b=ringlog --shards 2").unwrap();
        assert_eq!(names(&two), ["a", "b"]);
        assert_eq!(two[0].settings["ringlog.shards"], "2");
    }
}

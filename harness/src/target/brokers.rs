//! The brokers of a run and the folder that they live in: made fresh, gone afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::machine::Seats;
use super::process::{Launch, Server, StartError, tail};
use crate::run::kafka::Place;
use crate::run::{Plan, RunError, Target};
use crate::verbs::bench::options::Options;
use crate::verbs::bench::verdict::{BenchError, io};
use crate::yardstick::{self, Mode};

/// What the broker's ready line begins with, and the words before its figures.
const BROKER_READY: &str = "ringlog broker ready: ";
const LISTENING: &str = "listening on ";
const IO: &str = ", io ";
const LOG: &str = ", log ";
/// Where the broker's standard error goes, in the data folder.
const BROKER_LOG: &str = "broker.log";

/// A folder that nobody else has, removed when the run is over.
pub(crate) struct DataFolder {
    /// Where it is, absolute.
    pub(crate) path: PathBuf,
    made_parent: bool,
}

impl DataFolder {
    /// Makes `<parent>/bench-<process id>`.
    pub(crate) fn create(parent: &Path) -> Result<Self, BenchError> {
        let path = parent.join(format!("bench-{}", std::process::id()));
        let what = format!("making {}", path.display());
        let made_parent = !parent.exists();
        std::fs::create_dir_all(&path).map_err(io(&what))?;
        Ok(Self { path: path.canonicalize().map_err(io(&what))?, made_parent })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            errln!("ringlog bench: could not remove {}: {error}", self.path.display());
        }
        // Its parent goes too where we made it; it stays where somebody else uses it by now.
        if let Some(parent) = self.path.parent().filter(|_| self.made_parent) {
            let _ = std::fs::remove_dir(parent);
        }
    }
}

/// The brokers of a run: ours where we start it, and the null brokers. Fields drop in order: processes first.
pub(crate) struct Brokers {
    _servers: Vec<Server>,
    /// Where each target is.
    pub(crate) places: BTreeMap<Target, Place>,
    ready: String,
    /// How ours asks the kernel, as its ready line says.
    pub(crate) io: Option<String>,
    /// Why a null broker does not run; the run goes on without it.
    pub(crate) missing: Vec<String>,
}

impl Brokers {
    /// Starts what the plan needs.
    pub(crate) fn start(options: &Options, plan: &Plan, seats: &Seats, dir: &Path) -> Result<Self, BenchError> {
        let mut brokers =
            Self { _servers: Vec::new(), places: BTreeMap::new(), ready: String::new(), io: None, missing: Vec::new() };
        match &options.bootstrap_server {
            Some(bootstrap) => {
                let place = Place { bootstrap: bootstrap.clone(), pid: options.broker_pid };
                brokers.places.insert(Target::Subject, place);
            }
            None => brokers.start_ours(options, seats, dir)?,
        }
        let partitions = plan.workloads.iter().map(|it| it.partitions).max().unwrap_or(1);
        for (target, mode) in [(Target::NullReceive, Mode::Receive), (Target::NullAppend, Mode::Append)] {
            if plan.targets.contains(&target) {
                let started = brokers.start_null(target, mode, partitions, seats, dir);
                brokers.missing.extend(started.err().map(|it| format!("no {}: {it}", mode.target())));
            }
        }
        Ok(brokers)
    }

    fn start_ours(&mut self, options: &Options, seats: &Seats, dir: &Path) -> Result<(), BenchError> {
        let mut arguments = vec!["broker".to_owned()];
        let settings = [
            ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("log.dirs", dir.join("log").display().to_string()),
            ("ringlog.shards", seats.shards.to_string()),
            ("ringlog.io", options.io.clone().unwrap_or_else(|| "auto".to_owned())),
        ];
        for (key, value) in settings {
            arguments.extend(["--override".to_owned(), format!("{key}={value}")]);
        }
        let log = dir.join(BROKER_LOG);
        let server = Server::start(&Launch { program: None, arguments, ready: BROKER_READY, core: seats.broker, log })?;
        let bootstrap = between(&server.ready, LISTENING, " ").unwrap_or_default().to_owned();
        self.io = between(&server.ready, IO, ",").map(str::to_owned);
        self.ready = server.ready.clone();
        self.places.insert(Target::Subject, Place { bootstrap, pid: Some(server.pid()) });
        self._servers.push(server);
        Ok(())
    }

    fn start_null(
        &mut self,
        target: Target,
        mode: Mode,
        partitions: u32,
        seats: &Seats,
        dir: &Path,
    ) -> Result<(), StartError> {
        let mut arguments: Vec<String> =
            ["null-broker", "--end-with-stdin", "--mode", mode.name()].map(str::to_owned).into();
        arguments.extend(["--dir".to_owned(), dir.display().to_string()]);
        arguments.extend(["--partitions".to_owned(), partitions.to_string()]);
        if let Some(core) = seats.null_broker {
            arguments.extend(["--core".to_owned(), core.to_string()]);
        }
        let log = dir.join(format!("{}.log", mode.target()));
        let server = Server::start(&Launch { program: None, arguments, ready: yardstick::READY, core: None, log })?;
        let bootstrap = format!("127.0.0.1:{}", server.ready.trim_start_matches(yardstick::READY));
        self.places.insert(target, Place { bootstrap, pid: Some(server.pid()) });
        self._servers.push(server);
        Ok(())
    }

    /// What the manifest says of them.
    pub(crate) fn facts(&self, seats: &Seats) -> BTreeMap<String, String> {
        let place = self.places.get(&Target::Subject);
        let mut facts = BTreeMap::new();
        facts.extend(place.map(|it| ("bootstrap_servers".to_owned(), it.bootstrap.clone())));
        if !self.ready.is_empty() {
            // Without the folder: it is gone when anybody reads this.
            let ready = self.ready.split(LOG).next().unwrap_or_default();
            facts.insert("ready".to_owned(), ready.to_owned());
            facts.insert("shards".to_owned(), seats.shards.to_string());
        }
        facts.extend(self.io.clone().map(|it| ("io".to_owned(), it)));
        facts.insert("client_core".to_owned(), seat(seats.client));
        facts.insert("null_broker_core".to_owned(), seat(seats.null_broker));
        facts
    }
}

/// A broker that ended said why in its log, which goes with the folder.
pub(crate) fn with_log(error: RunError, dir: &Path) -> RunError {
    match error {
        RunError::BrokerGone(what) => RunError::BrokerGone(format!("{what}\n{}", tail(&dir.join(BROKER_LOG)))),
        other => other,
    }
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let rest = text.split_once(from)?.1;
    Some(rest.split_once(to).map_or(rest, |it| it.0))
}

/// A core in words.
pub(crate) fn seat(core: Option<usize>) -> String {
    core.map_or_else(|| "not pinned".to_owned(), |it| it.to_string())
}

//! The targets of a run, running, in the folder of the run.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control::{Again, Control, ControlError, IsWhole};
use super::kafka::{self, Node};
use super::machine::Seats;
use super::process::{Launch, Server, StartError, tail};
use super::{Place, Start, Target};
use crate::client::properties::Properties;
use crate::client::{Admin, ClientError};
use crate::emulate::{Emulation, Within};
use crate::results::columns::Row;
use crate::yardstick::{self, Mode};

/// What our broker's ready line begins with, and the words before its figures.
const BROKER_READY: &str = "ringlog broker ready: ";
const LISTENING: &str = "listening on ";
const IO: &str = ", io ";
const LOG: &str = ", log ";
/// A broker that we start removes the files of a deleted topic soon, not after Kafka's minute: rounds would fill the disk.
const DELETE_SOON: (&str, &str) = ("log.segment.delete.delay.ms", "500");
/// A JVM loads some thousand classes first.
const KAFKA_READY_MAX: Duration = Duration::from_secs(90);

/// Lines of a log that a row tells of a broker that ended.
const LAST_LINES: usize = 3;
/// How long a broker that runs already may take to say which cluster it is of.
const CLUSTER_MAX: Duration = Duration::from_secs(5);
/// How long one look at whether a broker answers may take.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// What a target is started with besides its own data.
#[derive(Clone)]
pub struct Ground<'a> {
    /// Who sits where.
    pub seats: &'a Seats,
    /// Folder of the run.
    pub dir: &'a Path,
    /// Most partitions of a topic of the run.
    pub partitions: u32,
    /// The smaller machine that each broker has, where one is emulated.
    pub(crate) emulation: Option<&'a Emulation>,
}

impl Ground<'_> {
    /// What a broker of this name is limited by.
    fn within(&self, name: &str) -> Result<Option<Within>, StartError> {
        Ok(self.emulation.map(|it| it.within(name)).transpose()?)
    }

    /// A broker that runs is reached within its limits, and its rows say how far they go.
    fn limited(&self, target: &Target, mut running: Running) -> Result<Running, StartError> {
        let Some(emulation) = self.emulation else { return Ok(running) };
        emulation.listens(running.place.properties.get("bootstrap.servers").unwrap_or_default())?;
        running.said.fidelity = emulation.fidelity(&target.start, running.said.io.as_deref());
        Ok(running)
    }
}

/// A target that runs. Dropping the last of its copies ends what we started.
#[derive(Clone)]
pub struct Running {
    /// Where it is, and what we started of it.
    pub place: Place,
    /// What it said of itself, as a row has it: shards, kind of io, flush policy.
    pub said: Row,
    /// What the manifest says of it.
    pub facts: BTreeMap<String, String>,
}

/// Starts a target, or finds it.
pub fn start(target: &Target, ground: &Ground<'_>) -> Result<Running, StartError> {
    let running = match &target.start {
        Start::Ringlog { program } => start_ringlog(target, program.as_deref(), ground)?,
        Start::Kafka { libs, nodes } => start_kafka(target, libs, *nodes, ground)?,
        Start::Null(mode) => start_null(*mode, ground)?,
        Start::Remote { client, pids } => return Ok(remote(client, pids)),
    };
    ground.limited(target, running)
}

/// What the log of a target that ended says last. Its folder goes with the run.
#[must_use]
pub fn last_words(target: &Target, dir: &Path) -> String {
    let words = names_of(target).map(|name| tail(&log_of(&name, dir)));
    let lasts = words.map(|it| {
        let lines: Vec<&str> = it.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    });
    lasts.filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What the folders and the logs of its nodes are called.
fn names_of(target: &Target) -> impl Iterator<Item = String> {
    let nodes = target.start.nodes();
    (1..=nodes).map(
        move |id| if nodes == 1 { target.broker_name().to_owned() } else { format!("{}-{id}", target.broker_name()) },
    )
}

fn log_of(name: &str, dir: &Path) -> PathBuf {
    dir.join(format!("{name}.log"))
}

fn remote(client: &Properties, pids: &[u32]) -> Running {
    let bootstrap = client.get("bootstrap.servers").unwrap_or_default().to_owned();
    let protocol = client.get("security.protocol").unwrap_or("PLAINTEXT").to_owned();
    let place = Place { properties: client.clone(), pids: pids.to_vec(), control: None };
    // One that does not say it is told apart by its address.
    let cluster = super::admin(&place, CLUSTER_MAX).and_then(|mut admin| admin.cluster_id()).ok().flatten();
    let words = [
        ("bootstrap_servers", bootstrap),
        ("security_protocol", protocol),
        ("cluster_id", cluster.unwrap_or_default()),
    ];
    Running { place, said: Row::default(), facts: facts(words) }
}

fn start_ringlog(target: &Target, program: Option<&Path>, ground: &Ground<'_>) -> Result<Running, StartError> {
    let own = [
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs".to_owned(), ground.dir.join(&target.name).display().to_string()),
        ("ringlog.shards".to_owned(), ground.seats.shards.to_string()),
        (DELETE_SOON.0.to_owned(), DELETE_SOON.1.to_owned()),
    ];
    let settings: BTreeMap<String, String> = own.into_iter().chain(target.settings.clone()).collect();
    let log = log_of(&target.name, ground.dir);
    let (core, program, within) = (ground.seats.broker, program.map(Path::to_owned), ground.within(&target.name)?);
    let launch = move |settings: &BTreeMap<String, String>| {
        let mut arguments = vec!["broker".to_owned()];
        for (key, value) in settings {
            arguments.extend(["--override".to_owned(), format!("{key}={value}")]);
        }
        let launch = Launch::new(BROKER_READY, log.clone());
        Server::start(&Launch { program: program.as_deref(), arguments, core, within: within.clone(), ..launch })
    };
    let server = launch(&settings)?;
    let bootstrap = between(&server.ready, LISTENING, " ").unwrap_or_default().to_owned();
    let io = between(&server.ready, IO, ",").map(str::to_owned);
    // Without the folder: it is gone when anybody reads this.
    let ready = server.ready.split(LOG).next().unwrap_or_default().to_owned();
    let shards = settings.get("ringlog.shards").and_then(|it| it.parse().ok());
    let facts = facts([("bootstrap_servers", bootstrap.clone()), ("ready", ready), ("settings", in_words(target))]);
    let said = Row { shards, io, flush: flush_of(&settings, &target.topic_configs), ..Row::default() };
    let mut settings = settings;
    // Clients look for it where it was.
    settings.insert("listeners".to_owned(), format!("PLAINTEXT://{bootstrap}"));
    let brokers = (server, Box::new(move || launch(&settings)) as Again);
    Ok(running(alone(brokers), ground.dir, &bootstrap, said, facts))
}

fn start_kafka(target: &Target, libs: &Path, count: u32, ground: &Ground<'_>) -> Result<Running, StartError> {
    let spawn = |source| StartError::Spawn { program: target.name.clone(), source };
    let names: Vec<String> = names_of(target).collect();
    let folders = names.iter().map(|name| ground.dir.join(name)).collect();
    let nodes = Node::cluster(libs, folders).map_err(spawn)?;
    let soon = (DELETE_SOON.0.to_owned(), DELETE_SOON.1.to_owned());
    let settings: BTreeMap<String, String> = [soon].into_iter().chain(target.settings.clone()).collect();
    let pairs: Vec<(String, String)> = settings.clone().into_iter().collect();
    // A JVM that starts beside others takes as much longer.
    let ready_max = KAFKA_READY_MAX * count;
    let begin = |(node, name): (&Node, &String)| {
        node.prepare(&node.settings(&pairs))?;
        let (arguments, core, log) = (node.command(&kafka::jvm(count)), ground.seats.broker, log_of(name, ground.dir));
        let (own, within) = (bootstrap_of(std::slice::from_ref(node)), ground.within(name)?);
        let again: Again = Box::new(move || {
            let (program, arguments, within) = (Some(Path::new("java")), arguments.clone(), within.clone());
            let launch = Launch { program, arguments, core, within, ready_max, ..Launch::new("", log.clone()) };
            Server::start_until(&launch, || answers(&own))
        });
        Ok((again()?, again))
    };
    let brokers = at_once(nodes.iter().zip(&names), begin).map_err(|it| it.unwrap_or_else(|| spawn(panicked())))?;
    let bootstrap = bootstrap_of(&nodes);
    let jars = libs.parent().and_then(Path::file_name).map(|it| it.to_string_lossy().into_owned());
    let words = facts([
        ("jars", jars.unwrap_or_default()),
        ("bootstrap_servers", bootstrap.clone()),
        ("settings", in_words(target)),
        ("heap_mb", kafka::heap_mb(count).to_string()),
    ]);
    let said = Row { flush: flush_of(&settings, &target.topic_configs), ..Row::default() };
    let own = bootstrap.clone();
    let is_whole: IsWhole = Box::new(move || count == 1 || is_whole(&own, count as usize));
    let running = running((brokers, is_whole), ground.dir, &bootstrap, said, words);
    let together = running.place.control.as_ref().map_or(Ok(()), Control::wait_until_whole);
    together.map_err(|error| not_together(target, &error)).map(|()| running)
}

/// The work on each of these on a thread of its own: nodes of a cluster are ready when most of them are there.
fn at_once<T: Send, R: Send, E: Send>(
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, Option<E>> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().map(|it| it.join().map_err(|_| None)?.map_err(Some)).collect()
    })
}

fn panicked() -> std::io::Error {
    std::io::Error::other("the thread that starts it panicked")
}

fn not_together(target: &Target, error: &ControlError) -> StartError {
    let (program, reason) = (target.name.clone(), "its nodes do not become one cluster");
    StartError::NotReady { program, reason, log: error.to_string() }
}

fn bootstrap_of(nodes: &[Node]) -> String {
    nodes.iter().map(|it| format!("127.0.0.1:{}", it.port)).collect::<Vec<_>>().join(",")
}

/// Whether so many brokers take part, and every partition has all its replicas.
fn is_whole(bootstrap: &str, nodes: usize) -> bool {
    let looked = asked(bootstrap).and_then(|mut admin| Ok((admin.broker_count()?, admin.lagging_partitions()?)));
    looked.is_ok_and(|(brokers, lagging)| brokers == nodes && lagging == 0)
}

/// Whether a broker answers there. It says nothing of its own: its jars come without a logger.
#[must_use]
pub fn answers(bootstrap: &str) -> bool {
    asked(bootstrap).and_then(|mut admin| admin.describe_topic("ringlog-bench")).is_ok()
}

fn asked(bootstrap: &str) -> Result<Admin, ClientError> {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", bootstrap);
    super::admin(&Place { properties, ..Place::default() }, ANSWER_MAX)
}

/// Whether nobody listens at any of these servers.
pub(crate) fn is_refused(bootstrap: &str) -> bool {
    let connects = |address: &SocketAddr| TcpStream::connect_timeout(address, ANSWER_MAX);
    let refused = |found: std::io::Result<TcpStream>| found.is_err_and(|it| it.kind() == ErrorKind::ConnectionRefused);
    let addresses = |server: &str| {
        let server = server.rsplit_once("://").map_or(server, |it| it.1).trim();
        server.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default()
    };
    let all: Vec<SocketAddr> = bootstrap.split(',').flat_map(addresses).collect();
    !all.is_empty() && all.iter().all(|address| refused(connects(address)))
}

fn start_null(mode: Mode, ground: &Ground<'_>) -> Result<Running, StartError> {
    let mut arguments: Vec<String> = ["null-broker", "--mode", mode.name()].map(str::to_owned).into();
    arguments.extend(["--dir".to_owned(), ground.dir.display().to_string()]);
    arguments.extend(["--partitions".to_owned(), ground.partitions.to_string()]);
    if let Some(core) = ground.seats.null_broker {
        arguments.extend(["--core".to_owned(), core.to_string()]);
    }
    let (log, within) = (log_of(mode.target(), ground.dir), ground.within(mode.target())?);
    let again: Again = Box::new(move || {
        let (arguments, within) = (arguments.clone(), within.clone());
        Server::start(&Launch { arguments, within, ..Launch::new(yardstick::READY, log.clone()) })
    });
    let server = again()?;
    let bootstrap = format!("127.0.0.1:{}", server.ready.trim_start_matches(yardstick::READY));
    Ok(running(alone((server, again)), ground.dir, &bootstrap, Row::default(), BTreeMap::new()))
}

/// One broker is whole when it runs.
fn alone(broker: (Server, Again)) -> (Vec<(Server, Again)>, IsWhole) {
    (vec![broker], Box::new(|| true))
}

fn running(
    (brokers, is_whole): (Vec<(Server, Again)>, IsWhole),
    dir: &Path,
    bootstrap: &str,
    said: Row,
    facts: BTreeMap<String, String>,
) -> Running {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", bootstrap);
    let control = Some(Control::new(brokers, is_whole, dir));
    Running { place: Place { properties, control, ..Place::default() }, said, facts }
}

fn facts<const N: usize>(words: [(&str, String); N]) -> BTreeMap<String, String> {
    words.into_iter().filter(|it| !it.1.is_empty()).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The settings that were asked for, in one line.
fn in_words(target: &Target) -> String {
    target.settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// When a broker of these settings flushes the log of a topic of those.
fn flush_of(settings: &BTreeMap<String, String>, topic: &[(String, String)]) -> String {
    let of = |name: &str| {
        let own = topic.iter().find(|(key, _)| key.strip_prefix("flush.") == Some(name)).map(|it| it.1.clone());
        own.or_else(|| settings.get(&format!("log.flush.interval.{name}")).cloned())
    };
    let part = |name: &str| of(name).map(|it| format!("flush.{name}={it}"));
    let parts: Vec<String> = [part("messages"), part("ms")].into_iter().flatten().collect();
    if parts.is_empty() { "os".to_owned() } else { parts.join(" ") }
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let rest = text.split_once(from)?.1;
    Some(rest.split_once(to).map_or(rest, |it| it.0))
}

/// A core in words.
#[must_use]
pub fn seat(core: Option<usize>) -> String {
    core.map_or_else(|| "not pinned".to_owned(), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flush_policy_is_the_operating_systems_unless_it_is_asked_for() {
        let pairs = |of: &[(&str, &str)]| {
            of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        let of = |settings: &[(&str, &str)], topic: &[(&str, &str)]| {
            flush_of(&pairs(settings).into_iter().collect(), &pairs(topic))
        };
        assert_eq!(of(&[], &[]), "os");
        assert_eq!(of(&[("log.flush.interval.messages", "1")], &[]), "flush.messages=1");
        let both = of(&[("log.flush.interval.messages", "9"), ("log.flush.interval.ms", "50")], &[]);
        assert_eq!(both, "flush.messages=9 flush.ms=50");
        let topics = of(&[("log.flush.interval.messages", "9")], &[("flush.messages", "2"), ("retention.ms", "1")]);
        assert_eq!(topics, "flush.messages=2", "a topic's own setting counts before the broker's");
    }

    #[test]
    fn servers_refuse_where_nobody_listens_at_any_of_them() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let nobody = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        assert!(is_refused(&nobody.to_string()) && is_refused(&format!("PLAINTEXT://{nobody}")));
        assert!(!is_refused(&there.to_string()) && !is_refused(&format!("{nobody},{there}")));
        assert!(!is_refused("a.invalid:9092"), "a name that is not found says nothing of a broker");
    }

    #[test]
    fn a_ready_line_is_cut_at_its_marks() {
        let line = "ringlog broker ready: listening on 127.0.0.1:39671 (1 shard), io io_uring, log /data";
        assert_eq!(between(line, LISTENING, " "), Some("127.0.0.1:39671"));
        assert_eq!(between(line, IO, ","), Some("io_uring"));
    }
}

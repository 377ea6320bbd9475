//! Brokers that checks are made on, each a process in a folder of its own that it finds again after kill -9: ringlog, or a
//! real Apache Kafka in a small and quick JVM.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ringlog_harness::client::NewTopic;
use ringlog_harness::client::properties::Properties;
use ringlog_harness::target::kafka::Node;
use ringlog_harness::target::process::{Launch, Server};
use ringlog_harness::target::start::answers;
use ringlog_harness::target::{Place, Start, admin, spec};

use rustix::process::Signal;

use super::report::{Fault, failed};
use super::tools::send;

/// For brokers and tools that are not measured: start fast, stay small.
pub(crate) const LIGHT_JVM: [&str; 5] =
    ["-Xmx768M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.awt.headless=true"];
/// The Kafka that is the reference.
pub(crate) const KAFKA_DEFAULT: &str = "4.3.1";
/// What our broker's ready line begins with.
const READY: &str = "ringlog broker ready: ";
const READY_MAX: Duration = Duration::from_secs(60);
const ADMIN_MAX: Duration = Duration::from_secs(30);

/// Whose broker, and whose tools.
#[derive(Clone, Debug)]
pub(crate) enum Maker {
    /// Apache Kafka: the folder of its jars.
    Kafka { libs: PathBuf },
    /// Ours: the binary.
    Ringlog { binary: PathBuf },
}

impl Maker {
    /// Kafka of a version, fetched before.
    pub(crate) fn kafka(version: &str) -> Result<Self, String> {
        let target = spec::parse(&format!("kafka:{version}"), &spec::peers()).map_err(|error| error.to_string())?;
        let Start::Kafka { libs, .. } = target.start else { return Err(format!("kafka:{version} is no Kafka")) };
        Ok(Self::Kafka { libs })
    }

    /// The binary under test: given, or RINGLOG_BIN, or the release build of this tree.
    pub(crate) fn ringlog(given: Option<PathBuf>) -> Result<Self, String> {
        let built = || {
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
            target.join("release/ringlog")
        };
        let path = given.or_else(|| std::env::var_os("RINGLOG_BIN").map(PathBuf::from)).unwrap_or_else(built);
        let advice = "build it with `cargo build --release`, or name another with --bin or RINGLOG_BIN";
        let binary = path.canonicalize().map_err(|error| format!("{}: {error}; {advice}", path.display()))?;
        Ok(Self::Ringlog { binary })
    }

    pub(crate) fn is_kafka(&self) -> bool {
        matches!(self, Self::Kafka { .. })
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.is_kafka() { "kafka" } else { "ringlog" }
    }
}

/// A broker that can be killed and started again.
pub(crate) struct Broker {
    maker: Maker,
    node: Node,
    settings: Vec<(String, String)>,
    /// Options of a Kafka's JVM.
    jvm: Vec<String>,
    server: Option<Server>,
}

impl Broker {
    /// One that advertises `advertised` in place of its own port; not started.
    pub(crate) fn new(
        maker: &Maker,
        folder: &Path,
        advertised: Option<u16>,
        settings: &[(&str, &str)],
    ) -> Result<Self, Fault> {
        let libs = if let Maker::Kafka { libs } = maker { libs.as_path() } else { Path::new("") };
        let made = Node::alone(libs, folder.to_owned());
        let node = made.map_err(|error| failed("a folder and ports for a broker")(&error))?;
        let own = [
            ("auto.create.topics.enable", "true"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.replication.factor", "1"),
        ];
        let both = own.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let port = advertised.unwrap_or(node.port);
        let advertises = ("advertised.listeners".to_owned(), format!("PLAINTEXT://127.0.0.1:{port}"));
        let settings = both.chain([advertises]).collect();
        Ok(Self { maker: maker.clone(), node, settings, jvm: LIGHT_JVM.map(str::to_owned).to_vec(), server: None })
    }

    /// With one option more for its JVM.
    pub(crate) fn with_jvm_option(mut self, option: String) -> Self {
        self.jvm.push(option);
        self
    }

    /// Starts it and waits until it answers; a log that is there already is gone on with.
    pub(crate) fn start(&mut self) -> Result<(), Fault> {
        let log = self.node.dir.join("output.txt");
        let started = match &self.maker {
            Maker::Ringlog { binary } => {
                let arguments = self.ringlog_arguments();
                Server::start(&Launch { program: Some(binary), arguments, ..Launch::new(READY, log) })
            }
            Maker::Kafka { .. } => self.start_kafka(log),
        };
        self.server = Some(started.map_err(|error| failed("the broker does not start")(&error))?);
        Ok(())
    }

    fn start_kafka(&self, log: PathBuf) -> Result<Server, ringlog_harness::target::process::StartError> {
        if !self.node.dir.join("log/meta.properties").exists() {
            self.node.prepare(&self.node.settings(&self.settings))?;
        }
        let arguments = self.node.command(&self.jvm);
        let java = Some(Path::new("java"));
        let launch = Launch { program: java, arguments, ready_max: READY_MAX, ..Launch::new("", log) };
        Server::start_until(&launch, || answers(&self.bootstrap()))
    }

    fn ringlog_arguments(&self) -> Vec<String> {
        let own = [
            ("listeners".to_owned(), format!("PLAINTEXT://127.0.0.1:{}", self.port())),
            ("log.dirs".to_owned(), self.node.dir.join("log").display().to_string()),
            ("ringlog.shards".to_owned(), "1".to_owned()),
        ];
        let settings = own.into_iter().chain(self.settings.clone());
        let overrides = settings.flat_map(|(key, value)| ["--override".to_owned(), format!("{key}={value}")]);
        std::iter::once("broker".to_owned()).chain(overrides).collect()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.server = None;
    }

    /// Stops it where it stands, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Fault> {
        send(self.pid().ok_or_else(|| Fault::Failed("the broker does not run".to_owned()))?, signal)
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    pub(crate) fn port(&self) -> u16 {
        self.node.port
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }
}

/// Makes a topic and waits for its leaders.
pub(crate) fn make_topic(bootstrap: &str, name: &str, partitions: i32) -> Result<(), Fault> {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", bootstrap);
    let place = Place { properties, ..Place::default() };
    let topic = NewTopic { name, partitions, replication_factor: 1, configs: &[] };
    let made = admin(&place, ADMIN_MAX).and_then(|mut admin| {
        admin.create_topic(&topic)?;
        admin.wait_for_leaders(name, partitions)
    });
    made.map(drop).map_err(|error| failed(&format!("topic {name} cannot be made"))(&error))
}

//! Apache Kafka as a target: its jars, the JVM options of its own start script, nodes that are broker and controller each.
//!
//! ```text
//!   alone      node 1                      its own quorum
//!   cluster    node 1   node 2   node 3    each votes; a topic may have as many replicas as there are nodes
//!              '-- ports of 127.0.0.1, a folder each
//! ```
//!
//! Nodes of a cluster share the memory that one alone would have: they are on one machine, and the rows add up what they use.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{StartError, tail};

/// bin/kafka-run-class.sh, 4.3: what a user gets who sets nothing, but for the heap.
pub(super) const JVM: [&str; 6] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// The heap of kafka-server-start.sh, for all nodes together; none gets less than the least.
const HEAP_MB: u32 = 1024;
const HEAP_MB_MIN: u32 = 256;
/// Replicas of Kafka's own topics, where there are so many nodes: its default.
const OWN_REPLICAS: usize = 3;
/// A cluster id as Kafka writes them: 16 bytes in base64.
const CLUSTER_ID: &str = "ringlogRinglogRinglogA";

/// The JVM's options for each of so many nodes.
#[must_use]
pub fn jvm(nodes: u32) -> Vec<String> {
    let heap_mb = heap_mb(nodes);
    let heap = [format!("-Xmx{heap_mb}M"), format!("-Xms{heap_mb}M")];
    heap.into_iter().chain(JVM.map(str::to_owned)).collect()
}

/// Megabytes (2^20) of the heap of each of so many nodes.
#[must_use]
pub fn heap_mb(nodes: u32) -> u32 {
    (HEAP_MB / nodes.max(1)).max(HEAP_MB_MIN)
}

/// A node that is to be started.
pub struct Node {
    /// The folder of its jars.
    pub libs: PathBuf,
    /// Its own folder.
    pub dir: PathBuf,
    /// Its number, from 1.
    pub id: usize,
    /// Where clients find it, on 127.0.0.1.
    pub port: u16,
    /// Where the other nodes' controllers find its own.
    controller: u16,
    /// `controller.quorum.voters` of the cluster.
    voters: String,
    /// How many nodes the cluster has.
    nodes: usize,
}

impl Node {
    /// A node in a fresh folder that is a cluster of its own, on ports that nobody listens on.
    pub fn alone(libs: &Path, dir: PathBuf) -> std::io::Result<Self> {
        let made = Self::cluster(libs, vec![dir])?.pop();
        made.ok_or_else(|| std::io::Error::other("one folder is one node"))
    }

    /// A node in each of these fresh folders, one cluster together, on ports that nobody listens on.
    pub fn cluster(libs: &Path, dirs: Vec<PathBuf>) -> std::io::Result<Vec<Self>> {
        // All of them are held until the last is known, so that no two are the same.
        let bind = || TcpListener::bind("127.0.0.1:0");
        let held = dirs.iter().map(|_| Ok((bind()?, bind()?))).collect::<std::io::Result<Vec<_>>>()?;
        let port = |it: &TcpListener| it.local_addr().map(|it| it.port());
        let ports = held.iter().map(|it| Ok((port(&it.0)?, port(&it.1)?))).collect::<std::io::Result<Vec<_>>>()?;
        let voter = |(id, ports): (usize, &(u16, u16))| format!("{id}@127.0.0.1:{}", ports.1);
        let voters = (1..).zip(&ports).map(voter).collect::<Vec<_>>().join(",");
        let node = |(id, (dir, (port, controller))): (usize, (PathBuf, (u16, u16)))| {
            std::fs::create_dir_all(&dir)?;
            let (libs, voters, nodes) = (libs.to_owned(), voters.clone(), ports.len());
            Ok(Self { libs, dir, id, port, controller, voters, nodes })
        };
        (1..).zip(dirs.into_iter().zip(ports.iter().copied())).map(node).collect()
    }

    /// Its settings: what a node needs, with the caller's over it.
    #[must_use]
    pub fn settings(&self, over: &[(String, String)]) -> String {
        let (port, controller, replicas) = (self.port, self.controller, self.nodes.min(OWN_REPLICAS));
        let own = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", self.id.to_string()),
            ("controller.quorum.voters", self.voters.clone()),
            ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("log.dirs", self.dir.join("log").display().to_string()),
            ("offsets.topic.replication.factor", replicas.to_string()),
            ("transaction.state.log.replication.factor", replicas.to_string()),
            ("transaction.state.log.min.isr", replicas.saturating_sub(1).max(1).to_string()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        own.chain(over.iter().cloned()).map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    /// Writes the settings and formats the log folder, as a new Kafka wants it.
    pub fn prepare(&self, settings: &str) -> Result<(), StartError> {
        let (properties, log) = (self.dir.join("server.properties"), self.dir.join("format.log"));
        let spawn = |source| StartError::Spawn { program: "java (kafka-storage format)".to_owned(), source };
        std::fs::write(&properties, settings).map_err(spawn)?;
        let output = std::fs::File::create(&log).map_err(spawn)?;
        let mut format = Command::new("java");
        format.args(self.arguments("kafka.tools.StorageTool", &["-Xmx256M"]));
        format.args(["format", "-t", CLUSTER_ID, "-c"]).arg(&properties);
        let errors = output.try_clone().map_err(spawn)?;
        // This thread waits for its end.
        ringlog_io::process::end_with_this_thread(&mut format);
        let status = format.stdout(output).stderr(errors).status().map_err(spawn)?;
        if status.success() {
            return Ok(());
        }
        let program = "java (kafka-storage format)".to_owned();
        Err(StartError::NotReady { program, reason: "it ended with an error", log: tail(&log) })
    }

    /// The broker's command line after `java`.
    #[must_use]
    pub fn command<T: AsRef<str>>(&self, jvm: &[T]) -> Vec<String> {
        let mut arguments = self.arguments("kafka.Kafka", jvm);
        arguments.push(self.dir.join("server.properties").display().to_string());
        arguments
    }

    fn arguments<T: AsRef<str>>(&self, class: &str, jvm: &[T]) -> Vec<String> {
        let path = format!("{}/*", self.libs.display());
        jvm.iter().map(|it| it.as_ref().to_owned()).chain(["-cp".to_owned(), path, class.to_owned()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    #[test]
    fn a_node_has_two_ports_and_the_callers_settings_last() {
        let dir = scratch("kafka-node");
        let node = Node::alone(Path::new("/jars"), dir.join("kafka")).unwrap();
        assert_ne!(node.port, node.controller);
        let text = node.settings(&[("log.segment.delete.delay.ms".to_owned(), "500".to_owned())]);
        assert!(text.contains(&format!("listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER", node.port)), "{text}");
        assert!(text.contains("transaction.state.log.min.isr=1\n"), "{text}");
        assert!(text.ends_with("log.segment.delete.delay.ms=500\n"), "{text}");
        let command = node.command(&jvm(1)).join(" ");
        assert!(command.starts_with("-Xmx1024M -Xms1024M -server"), "{command}");
        assert!(command.contains("-cp /jars/* kafka.Kafka"), "{command}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn nodes_of_a_cluster_vote_together_on_ports_of_their_own_and_share_the_heap() {
        let dir = scratch("kafka-cluster");
        let folder = |id: u32| dir.join(format!("kafka-{id}"));
        let nodes = Node::cluster(Path::new("/jars"), (1..=3).map(folder).collect()).unwrap();
        let mut ports: Vec<u16> = nodes.iter().flat_map(|it| [it.port, it.controller]).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6);
        let told = nodes.iter().map(|it| format!("{}@127.0.0.1:{}", it.id, it.controller)).collect::<Vec<_>>();
        for (at, node) in nodes.iter().enumerate() {
            let text = node.settings(&[]);
            assert!(text.contains(&format!("controller.quorum.voters={}\n", told.join(","))), "{text}");
            assert!(text.contains(&format!("node.id={}\n", at + 1)), "{text}");
            assert!(text.contains(&format!("log.dirs={}\n", folder(node.id as u32).join("log").display())), "{text}");
            assert!(text.contains("offsets.topic.replication.factor=3\n"), "{text}");
            assert!(text.contains("transaction.state.log.min.isr=2\n"), "{text}");
        }
        assert_eq!((heap_mb(1), heap_mb(3), heap_mb(9)), (1024, 341, 256));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

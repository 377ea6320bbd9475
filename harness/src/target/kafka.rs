//! Apache Kafka as a target: its jars, the JVM options of its own start script, one node that is broker and controller.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{StartError, tail};

/// bin/kafka-run-class.sh and kafka-server-start.sh, 4.3: what a user gets who sets nothing.
pub const JVM: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// A cluster id as Kafka writes them: 16 bytes in base64.
const CLUSTER_ID: &str = "ringlogRinglogRinglogA";

/// A node that is to be started.
pub struct Node {
    /// The folder of its jars.
    pub libs: PathBuf,
    /// Its own folder.
    pub dir: PathBuf,
    /// Where clients find it, on 127.0.0.1.
    pub port: u16,
}

impl Node {
    /// A node in a fresh folder, on ports that nobody listens on: its own, and the controller's, which is given beside it.
    pub fn new(libs: &Path, dir: PathBuf) -> std::io::Result<(Self, u16)> {
        let (broker, controller) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let (port, controller) = (broker.local_addr()?.port(), controller.local_addr()?.port());
        std::fs::create_dir_all(&dir)?;
        Ok((Self { libs: libs.to_owned(), dir, port }, controller))
    }

    /// Its settings: what one node needs, with the caller's over it.
    #[must_use]
    pub fn settings(&self, controller: u16, over: &[(String, String)]) -> String {
        let port = self.port;
        let own = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", "1".to_owned()),
            ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
            ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("log.dirs", self.dir.join("log").display().to_string()),
            ("offsets.topic.replication.factor", "1".to_owned()),
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
    pub fn command(&self, jvm: &[&str]) -> Vec<String> {
        let mut arguments = self.arguments("kafka.Kafka", jvm);
        arguments.push(self.dir.join("server.properties").display().to_string());
        arguments
    }

    fn arguments(&self, class: &str, jvm: &[&str]) -> Vec<String> {
        let path = format!("{}/*", self.libs.display());
        jvm.iter().map(|it| (*it).to_owned()).chain(["-cp".to_owned(), path, class.to_owned()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    #[test]
    fn a_node_has_two_ports_and_the_callers_settings_last() {
        let dir = scratch("kafka-node");
        let (node, controller) = Node::new(Path::new("/jars"), dir.join("kafka")).unwrap();
        assert_ne!(node.port, controller);
        let text = node.settings(controller, &[("log.segment.delete.delay.ms".to_owned(), "500".to_owned())]);
        assert!(text.contains(&format!("listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER", node.port)), "{text}");
        assert!(text.ends_with("log.segment.delete.delay.ms=500\n"), "{text}");
        assert!(node.command(&JVM).join(" ").contains("-cp /jars/* kafka.Kafka"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

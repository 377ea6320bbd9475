//! What the checks stand on: a broker that can be stopped and killed, our tools, a folder that they run in, so that a file is
//! named by its name alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::checks::brokers::{Broker, Maker, make_topic};
use crate::checks::report::{Fault, Told, failed};
use crate::checks::tools::{Done, Running, Tool, send};
use crate::held_up::Watch;
use crate::raw::{Connection, Record};

/// A check: what it saw, or why it did not hold.
pub(crate) type Check = fn(&mut Ground) -> Told;

/// How many partitions a topic has that is made without a number.
pub(crate) const PARTITIONS: i32 = 3;
/// How long a run may take whose length is known.
const RUN_MAX: Duration = Duration::from_secs(120);

pub(crate) struct Ground {
    pub(crate) broker: Broker,
    tools: Maker,
    folder: PathBuf,
}

impl Ground {
    /// Starts a broker.
    pub(crate) fn new(broker: &Maker, tools: Maker, folder: &Path) -> Result<Self, Fault> {
        let partitions = PARTITIONS.to_string();
        let mut broker = Broker::new(broker, &folder.join("broker"), None, &[("num.partitions", &partitions)])?;
        broker.start()?;
        Ok(Self { broker, tools, folder: folder.to_owned() })
    }

    pub(crate) fn raw(&self) -> Result<Connection, Fault> {
        Connection::open(self.broker.port())
    }

    /// Makes a topic; the broker knows that it leads it.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> Result<(), Fault> {
        make_topic(&self.broker.bootstrap(), name, partitions)?;
        self.ends(name, partitions).map(drop)
    }

    /// The sum of the partitions' ends, as the broker says.
    pub(crate) fn ends(&self, topic: &str, partitions: i32) -> Result<u64, Fault> {
        let mut raw = self.raw()?;
        let ends = (0..partitions).map(|partition| raw.end_of(topic, partition));
        let sum = ends.sum::<Result<i64, Fault>>()?;
        u64::try_from(sum).map_err(|error| failed("offsets")(&error))
    }

    /// The records of a topic's only partition.
    pub(crate) fn records(&self, topic: &str) -> Result<Vec<Record>, Fault> {
        self.raw()?.records(topic, 0)
    }

    /// A tool at this broker, with the words of `arguments`.
    pub(crate) fn command(&self, tool: Tool, arguments: &str) -> Command {
        let mut command = tool.command(&self.tools);
        command.current_dir(&self.folder).args(["--bootstrap-server", &self.broker.bootstrap()]);
        command.args(arguments.split_whitespace());
        command
    }

    pub(crate) fn start(&self, tool: Tool, arguments: &str) -> Result<Running, Fault> {
        Running::start(self.command(tool, arguments))
    }

    /// Starts a producer, and lets it run.
    pub(crate) fn start_producing(&self, topic: &str, arguments: &str) -> Result<Running, Fault> {
        self.start(Tool::Producer, &format!("--topic {topic} {arguments}"))
    }

    /// A whole run whose output goes elsewhere.
    pub(crate) fn run_into(&self, tool: Tool, arguments: &str, out: Stdio) -> Result<Done, Fault> {
        Running::start_into(self.command(tool, arguments), out)?.finish(RUN_MAX)
    }

    /// What a run printed that ends with this code.
    pub(crate) fn run(&self, tool: Tool, arguments: &str, code: i32) -> Told {
        Ok(self.start(tool, arguments)?.finish(RUN_MAX)?.ended_with(code)?.out)
    }

    /// What a producer printed that ends well.
    pub(crate) fn produce(&self, topic: &str, arguments: &str) -> Told {
        self.run(Tool::Producer, &format!("--topic {topic} {arguments}"), 0)
    }

    /// The same, and for how long in seconds the machine had no core for it or for the broker.
    pub(crate) fn produce_watched(&self, topic: &str, arguments: &str) -> Result<(String, f64), Fault> {
        let tool = self.start_producing(topic, arguments)?;
        let watch = Watch::start(self.broker.pid().into_iter().chain([tool.pid()]).collect());
        let done = tool.finish(RUN_MAX);
        let held_up_s = watch.stop_s();
        Ok((done?.ended_with(0)?.out, held_up_s))
    }

    /// What a consumer printed that ends with this code.
    pub(crate) fn consume(&self, topic: &str, arguments: &str, code: i32) -> Told {
        self.run(Tool::Consumer, &format!("--topic {topic} {arguments}"), code)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> Told {
        std::fs::read_to_string(self.path(name)).map_err(|error| failed(name)(&error))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Fault> {
        std::fs::write(self.path(name), text).map_err(|error| failed(name)(&error))
    }
}

/// Ends a tool with a signal: within `limit`, with this code.
pub(crate) fn end(tool: Running, signal: Signal, code: i32, limit: Duration) -> Result<Done, Fault> {
    send(tool.pid(), signal)?;
    tool.finish(limit)?.ended_with(code)
}

pub(crate) fn wait_s(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

//! What is measured, as data: how it is started, reached and watched. To `run` all targets are the same.
//!
//! ```text
//!   Target { name, role, start, settings, .. }          from the command line or a TOML file (spec)
//!      |
//!      v
//!   start: ringlog | kafka | null | remote  -->  process, with a ready line or a port that answers
//!      |
//!      v
//!   Place { properties, pids, control }                 where the client goes, whose processor time is the target's, and
//!                                                       what can be done to it (control)
//! ```
//!
//! A target may have a `client` of its own, a program that is measured in place of ours. `machine` says who sits on which core; `faulty` is a broker that errs in a known way (test code).

#![allow(
    clippy::disallowed_methods,
    reason = "makes folders and processes, reads the clock: the instrument, not the broker"
)]

pub mod client;
pub mod control;
#[cfg(all(test, feature = "yardstick"))]
pub(crate) mod faulty;
pub mod folder;
pub mod kafka;
pub(crate) mod lost;
pub mod machine;
pub mod process;
pub mod spec;
pub mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use client::Client;
pub use control::Control;
use ringlog_io::driver::{self, DriverOptions};

use crate::client::config::ProducerConfig;
use crate::client::properties::Properties;
use crate::client::{Admin, ClientError};
use crate::yardstick::Mode;

/// What a target is to the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// What the run is about: all that it acknowledged is read back.
    #[default]
    Subject,
    /// What any broker could do here at most. It keeps nothing.
    Ceiling,
}

impl Role {
    /// Its name in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Ceiling => "ceiling",
        }
    }
}

/// How a target is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// `ringlog broker` of a binary; `None` is this one.
    Ringlog {
        /// The binary.
        program: Option<PathBuf>,
    },
    /// Apache Kafka from a folder of its jars: nodes that are broker and controller in one process each.
    Kafka {
        /// The folder.
        libs: PathBuf,
        /// How many: a cluster.
        nodes: u32,
    },
    /// A null broker of this binary.
    Null(Mode),
    /// It runs already.
    Remote {
        /// Servers, security, whatever a client needs to get there.
        client: Properties,
        /// Its processes, where they run here.
        pids: Vec<u32>,
    },
}

/// A cluster that we start keeps so many copies of a topic, or one on each node where it has fewer.
const REPLICAS: u32 = 3;

impl Start {
    /// How many nodes are started.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        if let Self::Kafka { nodes, .. } = self { *nodes } else { 1 }
    }

    /// Replicas of a topic that asks for none; -1 is the broker's default.
    fn replication_factor(&self) -> i16 {
        if matches!(self, Self::Remote { .. }) {
            return -1;
        }
        i16::try_from(self.nodes().min(REPLICAS)).unwrap_or(1)
    }
}

/// Something to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in rows; no two targets of a run have the same.
    pub name: String,
    /// What it is to the run.
    pub role: Role,
    /// How it is started.
    pub start: Start,
    /// Settings of the broker that is started, over those that a run needs.
    pub settings: BTreeMap<String, String>,
    /// Replicas of a topic that asks for none; -1 is the broker's default.
    pub replication_factor: i16,
    /// Settings of each topic: none unless asked for, for a broker may refuse what it does not know.
    pub topic_configs: Vec<(String, String)>,
    /// Megabytes (10^6) that are written before the first round, so that code is compiled and memory is the machine's.
    pub warm_up_mb: u64,
    /// Prometheus endpoints that tell of it.
    pub metrics: Vec<String>,
    /// The program that writes and reads, where that is another process than ours: then it is what is measured.
    pub client: Option<Client>,
}

impl Target {
    /// A target of this name, started in this way, with nothing asked for.
    #[must_use]
    pub fn new(name: impl Into<String>, start: Start) -> Self {
        let role = if matches!(start, Start::Null(_)) { Role::Ceiling } else { Role::Subject };
        let replication_factor = start.replication_factor();
        Self {
            name: name.into(),
            role,
            start,
            settings: BTreeMap::new(),
            replication_factor,
            topic_configs: Vec::new(),
            warm_up_mb: 0,
            metrics: Vec::new(),
            client: None,
        }
    }

    /// A null broker.
    #[must_use]
    pub fn null(mode: Mode) -> Self {
        Self::new(mode.target(), Start::Null(mode))
    }

    /// The same broker, met by a client of its own.
    #[must_use]
    pub fn with_client(self, client: Client) -> Self {
        let name = client::name_of(&client, self.broker_name());
        Self { name, client: Some(client), ..self }
    }

    /// What the broker is called: targets that differ by their client alone share it.
    #[must_use]
    pub fn broker_name(&self) -> &str {
        self.client.as_ref().map_or(&self.name, |client| client::broker_of(client, &self.name))
    }

    /// The broker alone.
    #[must_use]
    pub fn broker(&self) -> Self {
        Self { name: self.broker_name().to_owned(), client: None, ..self.clone() }
    }

    /// Whether what it gives to a reader says something: a null broker that appends reads nothing of it back.
    #[must_use]
    pub fn keeps_reading(&self) -> bool {
        self.start != Start::Null(Mode::Append)
    }

    /// Whether we start it, so that its folder and its processes are ours.
    #[must_use]
    pub fn is_started(&self) -> bool {
        !matches!(self.start, Start::Remote { .. })
    }
}

/// Where a running target is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// What a client needs to get there.
    pub properties: Properties,
    /// Its processes, where known and not started by us.
    pub pids: Vec<u32>,
    /// What we started.
    pub control: Option<Control>,
}

impl Place {
    /// Its processes as they are now, where known.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.control.as_ref().map_or_else(|| self.pids.clone(), Control::pids)
    }
}

/// An admin for a target, over whatever `security.protocol` says. Each of its calls takes so long at most.
pub fn admin(place: &Place, timeout: Duration) -> Result<Admin, ClientError> {
    let config = ProducerConfig::parse(&place.properties).map_err(ClientError::from)?.config;
    let driver = driver::open(DriverOptions::default())?;
    Admin::open(&config.common, driver, timeout)
}

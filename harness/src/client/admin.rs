//! Topics, made over the same connections that records go over: TLS and SASL as `security.protocol` says.
//!
//! ```text
//!   Metadata (any broker) --> the controller --> CreateTopics --> made, or why not
//!        ^                                          |
//!        '---- it is not the controller any more ---'
//! ```

use std::time::Duration;

use ringlog_io::Driver;
use ringlog_wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use ringlog_wire::messages::metadata::MetadataRequest;
use ringlog_wire::{ErrorCode, Request};

use super::accumulator::nanos;
use super::config::CommonConfig;
use super::network::{NetEvent, Network};
use super::producer::decode;
use super::{ClientError, NodeId};

/// How long one wait for the network is: a broker that rests after a refusal is tried again no later than that.
const TURN: Duration = Duration::from_millis(50);

/// Asks brokers for what changes the cluster.
pub struct Admin {
    network: Network,
    timeout: Duration,
    deadline_ns: u64,
    /// Why the last connection ended.
    last_down: Option<String>,
}

impl Admin {
    /// Nothing is connected yet. Each call takes `timeout` at most.
    pub fn open(config: &CommonConfig, driver: Box<dyn Driver>, timeout: Duration) -> Result<Self, ClientError> {
        Ok(Self { network: Network::new(driver, config)?, timeout, deadline_ns: 0, last_down: None })
    }

    /// Makes a topic of so many partitions and replicas. Its partitions may still be without leaders.
    pub fn create_topic(
        &mut self,
        name: &str,
        (num_partitions, replication_factor): (i32, i16),
    ) -> Result<(), ClientError> {
        self.deadline_ns = self.network.now_ns().saturating_add(nanos(self.timeout));
        let topic =
            CreatableTopic { name: name.to_owned(), num_partitions, replication_factor, ..CreatableTopic::default() };
        let timeout_ms = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms, ..CreateTopicsRequest::default() };
        loop {
            let controller = self.controller()?;
            let answer = self.ask(controller, &request)?;
            let Some(made) = answer.topics.into_iter().find(|made| made.error_code != 0) else { return Ok(()) };
            let error = ErrorCode(made.error_code);
            if error == ErrorCode::NOT_CONTROLLER {
                continue;
            }
            let message = made.error_message.map(|words| format!(": {words}")).unwrap_or_default();
            let what = format!("creating topic {name}");
            return Err(ClientError::Broker { what, code: error.0, name: error.name(), message });
        }
    }

    /// The controller's node, known to the network. A KRaft broker names any broker, which forwards what it is asked.
    fn controller(&mut self) -> Result<Option<NodeId>, ClientError> {
        let answer = self.ask(None, &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() })?;
        let named = answer.brokers.iter().find(|broker| broker.node_id == answer.controller_id);
        let Some(broker) = named.or(answer.brokers.first()) else { return Ok(None) };
        let port = u16::try_from(broker.port)
            .map_err(|_| ClientError::Corrupt(format!("{}: {} is no port", broker.host, broker.port)))?;
        self.network.set_node(broker.node_id, &broker.host, port);
        Ok(Some(broker.node_id))
    }

    /// Asks one node, or any; again where its connection ends before the answer.
    fn ask<R: Request>(&mut self, node: Option<NodeId>, request: &R) -> Result<R::Response, ClientError> {
        let mut is_asked = false;
        loop {
            if !is_asked
                && let Some(node) = node.or_else(|| self.network.any_node())
                && self.network.is_ready(node)
            {
                self.network.send(node, request, Vec::new(), 0)?;
                is_asked = true;
            }
            for event in self.turn(R::KEY.name())? {
                match event {
                    NetEvent::Answer { api, version, body, .. } if api == R::KEY => return decode(&body, version),
                    NetEvent::Lost { .. } => is_asked = false,
                    _ => {}
                }
            }
        }
    }

    fn turn(&mut self, what: &str) -> Result<Vec<NetEvent>, ClientError> {
        if let Some(refusal) = self.network.refusal() {
            return Err(ClientError::Authentication(refusal.clone()));
        }
        if self.network.driver().read().0 >= self.deadline_ns {
            let reason = self.last_down.as_deref().unwrap_or("no answer");
            let what = format!("{what} was answered ({reason})");
            return Err(ClientError::Timeout { what, waited_ms: self.timeout.as_millis() });
        }
        let events = self.network.turn(Some(TURN))?;
        for event in &events {
            if let NetEvent::Down { reason, .. } = event
                && !reason.is_empty()
            {
                self.last_down = Some(reason.clone());
            }
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use ringlog_io::driver::{self, DriverOptions};

    use super::*;
    use crate::client::config::ProducerConfig;
    use crate::client::properties::Properties;

    #[test]
    fn a_broker_that_is_not_there_is_named_when_the_time_is_over() {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "127.0.0.1:1");
        let config = ProducerConfig::parse(&properties).unwrap().config.common;
        let driver = driver::open(DriverOptions::default()).unwrap();
        let mut admin = Admin::open(&config, driver, Duration::from_millis(300)).unwrap();
        let error = admin.create_topic("t", (1, 1)).unwrap_err().to_string();
        assert!(error.starts_with("Timeout of 300 ms expired before Metadata was answered (127.0.0.1:1: "), "{error}");
    }
}

//! Topics, made, deleted and described over the same connections that records go over: TLS and SASL as `security.protocol` says.
//!
//! ```text
//!   Metadata (any broker) --> the controller --> CreateTopics, DeleteTopics --> done, or why not
//!        ^                                          |
//!        '---- it is not the controller any more ---'
//! ```
//!
//! A topic gets the settings that its maker names and no others: there are brokers that refuse one that they do not know.

use std::time::Duration;

use ringlog_io::Driver;
use ringlog_wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use ringlog_wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use ringlog_wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ringlog_wire::{ErrorCode, Request, Uuid};

use super::accumulator::nanos;
use super::config::CommonConfig;
use super::network::{NetEvent, Network};
use super::producer::decode;
use super::{ClientError, NodeId};

/// How long one wait for the network is: a broker that rests after a refusal is tried again no later than that.
const TURN: Duration = Duration::from_millis(50);

/// A topic to make.
#[derive(Clone, Copy, Debug)]
pub struct NewTopic<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its partitions.
    pub partitions: i32,
    /// Replicas of each; -1 leaves it to the broker's default.
    pub replication_factor: i16,
    /// Its settings, name and value.
    pub configs: &'a [(String, String)],
}

/// What the cluster knows of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its id; zero on a broker that has none. A topic that was deleted and made again has another.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: usize,
    /// Those that have a leader.
    pub led_partitions: usize,
    /// Replicas of the first one.
    pub replicas: usize,
}

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

    /// Makes a topic. Its partitions may still be without leaders.
    pub fn create_topic(&mut self, topic: &NewTopic<'_>) -> Result<(), ClientError> {
        self.begin();
        let config = |(name, value): &(String, String)| CreatableTopicConfig {
            name: name.clone(),
            value: Some(value.clone()),
            ..CreatableTopicConfig::default()
        };
        let creatable = CreatableTopic {
            name: topic.name.to_owned(),
            num_partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            configs: topic.configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let timeout_ms = self.timeout_ms();
        let request = CreateTopicsRequest { topics: vec![creatable], timeout_ms, ..CreateTopicsRequest::default() };
        let answer = |it: CreateTopicsResponse| {
            it.topics.into_iter().map(|made| (made.error_code, made.error_message)).collect()
        };
        self.change(&format!("creating topic {}", topic.name), &request, answer)
    }

    /// Deletes a topic. The broker may keep its files a little longer.
    pub fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        self.begin();
        let state = DeleteTopicState { name: Some(name.to_owned()), ..DeleteTopicState::default() };
        let request = DeleteTopicsRequest {
            topics: vec![state],
            topic_names: vec![name.to_owned()],
            timeout_ms: self.timeout_ms(),
            ..DeleteTopicsRequest::default()
        };
        let answer = |it: DeleteTopicsResponse| {
            it.responses.into_iter().map(|gone| (gone.error_code, gone.error_message)).collect()
        };
        self.change(&format!("deleting topic {name}"), &request, answer)
    }

    /// What the cluster knows of a topic; `None` where there is none of this name.
    pub fn describe_topic(&mut self, name: &str) -> Result<Option<TopicDescription>, ClientError> {
        self.begin();
        self.described(name)
    }

    /// How many brokers the cluster has.
    pub fn broker_count(&mut self) -> Result<usize, ClientError> {
        self.begin();
        let answer = self.ask(None, &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() })?;
        Ok(answer.brokers.len())
    }

    /// The cluster's id; `None` where the broker does not say one.
    pub fn cluster_id(&mut self) -> Result<Option<String>, ClientError> {
        self.begin();
        let answer = self.ask(None, &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() })?;
        Ok(answer.cluster_id)
    }

    /// How many partitions of all topics have no leader, or a replica that does not follow it closely.
    pub fn lagging_partitions(&mut self) -> Result<usize, ClientError> {
        self.begin();
        let answer = self.ask(None, &MetadataRequest { topics: None, ..MetadataRequest::default() })?;
        let partitions = answer.topics.iter().flat_map(|it| &it.partitions);
        Ok(partitions.filter(|it| it.leader_id < 0 || it.isr_nodes.len() < it.replica_nodes.len()).count())
    }

    /// Waits until each of a topic's partitions has a leader.
    pub fn wait_for_leaders(&mut self, name: &str, partitions: i32) -> Result<TopicDescription, ClientError> {
        self.begin();
        loop {
            let found = self.described(name)?;
            let led = found.map_or(0, |it| it.led_partitions);
            if let Some(found) = found.filter(|_| i32::try_from(led).is_ok_and(|led| led >= partitions)) {
                return Ok(found);
            }
            if self.is_over() {
                let what = format!("{partitions} partitions of topic {name} had leaders ({led} have)");
                return Err(ClientError::Timeout { what, waited_ms: self.timeout.as_millis() });
            }
            self.rest()?;
        }
    }

    /// Asks the controller to change something, again where it is not the controller any more. `answer` gives the error of
    /// each thing that was to be changed, with the broker's words.
    fn change<R: Request>(
        &mut self,
        what: &str,
        request: &R,
        answer: impl Fn(R::Response) -> Vec<(i16, Option<String>)>,
    ) -> Result<(), ClientError> {
        loop {
            let controller = self.controller()?;
            let answers = answer(self.ask(controller, request)?);
            let Some((code, message)) = answers.into_iter().find(|it| it.0 != 0) else { return Ok(()) };
            let error = ErrorCode(code);
            if error != ErrorCode::NOT_CONTROLLER || self.is_over() {
                let message = message.map(|words| format!(": {words}")).unwrap_or_default();
                return Err(ClientError::Broker { what: what.to_owned(), code, name: error.name(), message });
            }
            self.rest()?;
        }
    }

    fn described(&mut self, name: &str) -> Result<Option<TopicDescription>, ClientError> {
        let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
        let topics = Some(vec![topic]);
        let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let answer = self.ask(None, &request)?;
        let Some(topic) = answer.topics.into_iter().next() else { return Ok(None) };
        match ErrorCode(topic.error_code) {
            ErrorCode::NONE | ErrorCode::LEADER_NOT_AVAILABLE => {
                let led = topic.partitions.iter().filter(|it| it.error_code == 0 && it.leader_id >= 0).count();
                let replicas = topic.partitions.first().map_or(0, |it| it.replica_nodes.len());
                let (partitions, led_partitions) = (topic.partitions.len(), led);
                Ok(Some(TopicDescription { id: topic.topic_id, partitions, led_partitions, replicas }))
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Ok(None),
            error => {
                let (what, code) = (format!("describing topic {name}"), topic.error_code);
                Err(ClientError::Broker { what, code, name: error.name(), message: String::new() })
            }
        }
    }

    fn begin(&mut self) {
        self.deadline_ns = self.network.now_ns().saturating_add(nanos(self.timeout));
    }

    fn is_over(&mut self) -> bool {
        self.network.driver().read().0 >= self.deadline_ns
    }

    /// A pause before the same is asked again.
    fn rest(&mut self) -> Result<(), ClientError> {
        self.network.turn(Some(TURN))?;
        Ok(())
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
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
        if self.is_over() {
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
        let error = admin
            .create_topic(&NewTopic { name: "t", partitions: 1, replication_factor: 1, configs: &[] })
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("Timeout of 300 ms expired before Metadata was answered (127.0.0.1:1: "), "{error}");
    }
}

//! Topics, made and deleted over a plain socket: one request, one answer.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use ringlog_wire::codec::{Reader, Writer};
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::messages::api_versions::ApiVersionsRequest;
use ringlog_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use ringlog_wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ringlog_wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ringlog_wire::{ErrorCode, Message, Request};

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longest wait until every partition of a new topic has a leader.
const LEADERS_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks at the metadata.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A deleted topic's files go soon, not after Kafka's minute: rounds would fill the disk and the page cache.
const DELETE_DELAY_MS: &str = "500";
/// An answer above this is not one of these APIs'.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a topic could not be made or deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// No server of the list answers.
    #[error("no broker answers at {bootstrap}: {source}")]
    Connect {
        /// The list.
        bootstrap: String,
        /// The last server's refusal.
        source: io::Error,
    },
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An answer that is not Kafka's.
    #[error("{0}")]
    Protocol(String),
    /// Kafka's error.
    #[error("{code} {name}{message}")]
    Refused {
        /// Its number.
        code: i16,
        /// Its name.
        name: &'static str,
        /// `: ` and the broker's words, or nothing.
        message: String,
    },
    /// Leaders.
    #[error("after {seconds} s partitions of {topic} have no leader")]
    NoLeader {
        /// The topic.
        topic: String,
        /// How long was waited.
        seconds: u64,
    },
}

/// A connection to one broker.
pub(crate) struct Admin {
    socket: TcpStream,
    versions: BTreeMap<i16, (i16, i16)>,
    correlation_id: i32,
}

impl Admin {
    /// Connects to the first server of a list that answers.
    pub(crate) fn connect(bootstrap: &str) -> Result<Self, AdminError> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address");
        for server in bootstrap.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match Self::connect_one(server) {
                Ok(admin) => return Ok(admin),
                Err(AdminError::Io(error)) => last = error,
                Err(other) => return Err(other),
            }
        }
        Err(AdminError::Connect { bootstrap: bootstrap.to_owned(), source: last })
    }

    fn connect_one(server: &str) -> Result<Self, AdminError> {
        let address = server.to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        socket.set_nodelay(true)?;
        let mut admin = Self { socket, versions: BTreeMap::new(), correlation_id: 0 };
        let answer = admin.call_in(0, &ApiVersionsRequest::default())?;
        check(answer.error_code, None)?;
        admin.versions = answer.api_keys.iter().map(|it| (it.api_key, (it.min_version, it.max_version))).collect();
        Ok(admin)
    }

    /// Makes a topic whose files go soon after it is deleted, and waits until each of its partitions has a leader.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) -> Result<(), AdminError> {
        let config = CreatableTopicConfig {
            name: "file.delete.delay.ms".to_owned(),
            value: Some(DELETE_DELAY_MS.to_owned()),
            ..CreatableTopicConfig::default()
        };
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: vec![config],
            ..CreatableTopic::default()
        };
        let timeout_ms = 30_000;
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms, ..CreateTopicsRequest::default() };
        let answer = self.at_controller()?.call(&request)?;
        for topic in &answer.topics {
            check(topic.error_code, topic.error_message.as_deref())?;
        }
        self.wait_for_leaders(name, partitions)
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), AdminError> {
        let state = DeleteTopicState { name: Some(name.to_owned()), ..DeleteTopicState::default() };
        let request = DeleteTopicsRequest {
            topics: vec![state],
            topic_names: vec![name.to_owned()],
            timeout_ms: 30_000,
            ..DeleteTopicsRequest::default()
        };
        let answer = self.at_controller()?.call(&request)?;
        answer.responses.iter().try_for_each(|it| check(it.error_code, it.error_message.as_deref()))
    }

    /// A connection to the controller: changes of topics are its business (a KRaft broker forwards them by itself and
    /// names any broker here).
    fn at_controller(&mut self) -> Result<Self, AdminError> {
        let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
        let answer = self.call(&request)?;
        let controller = answer.brokers.iter().find(|it| it.node_id == answer.controller_id);
        let controller = controller.or(answer.brokers.first());
        let controller = controller.ok_or_else(|| AdminError::Protocol("metadata names no broker".to_owned()))?;
        Self::connect_one(&format!("{}:{}", controller.host, controller.port))
    }

    fn wait_for_leaders(&mut self, name: &str, partitions: i32) -> Result<(), AdminError> {
        let begin = Instant::now();
        while begin.elapsed() < LEADERS_MAX {
            let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
            let request = MetadataRequest {
                topics: Some(vec![topic]),
                allow_auto_topic_creation: false,
                ..MetadataRequest::default()
            };
            if led(&self.call(&request)?, partitions) {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Err(AdminError::NoLeader { topic: name.to_owned(), seconds: LEADERS_MAX.as_secs() })
    }

    /// Sends a request in the newest version that both sides have.
    fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, AdminError> {
        let (our_min, our_max) = R::KEY.versions();
        let theirs = self.versions.get(&R::KEY.key()).copied();
        let (their_min, their_max) =
            theirs.ok_or_else(|| AdminError::Protocol(format!("the broker has no {}", R::KEY.name())))?;
        let version = our_max.min(their_max);
        if version < our_min.max(their_min) {
            let name = R::KEY.name();
            return Err(AdminError::Protocol(format!(
                "{name}: we have {our_min} to {our_max}, the broker {their_min} to {their_max}"
            )));
        }
        self.call_in(version, request)
    }

    fn call_in<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, AdminError> {
        let protocol = |error: &dyn std::fmt::Display| AdminError::Protocol(format!("{}: {error}", R::KEY.name()));
        self.correlation_id += 1;
        let mut writer = Writer::new();
        RequestHeader::new(R::KEY, version, self.correlation_id, Some("ringlog-bench".to_owned()))
            .encode(&mut writer)
            .and_then(|()| request.encode(&mut writer, version))
            .map_err(|error| protocol(&error))?;
        let len = u32::try_from(writer.bytes.len()).map_err(|error| protocol(&error))?;
        self.socket.write_all(&[&len.to_be_bytes()[..], &writer.bytes].concat())?;
        let frame = self.answer()?;
        let mut reader = Reader::new(&frame);
        let header = ResponseHeader::decode(&mut reader, R::KEY, version).map_err(|error| protocol(&error))?;
        if header.correlation_id != self.correlation_id {
            return Err(protocol(&"an answer to another request"));
        }
        R::Response::decode(&mut reader, version).map_err(|error| protocol(&error))
    }

    fn answer(&mut self) -> Result<Vec<u8>, AdminError> {
        let mut len = [0; 4];
        self.socket.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len) as usize;
        if len > ANSWER_BYTES_MAX {
            return Err(AdminError::Protocol(format!("an answer of {len} bytes: not a Kafka broker?")));
        }
        let mut frame = vec![0; len];
        self.socket.read_exact(&mut frame)?;
        Ok(frame)
    }
}

fn led(metadata: &MetadataResponse, partitions: i32) -> bool {
    let Some(topic) = metadata.topics.first().filter(|it| it.error_code == 0) else { return false };
    let led = topic.partitions.iter().filter(|it| it.error_code == 0 && it.leader_id >= 0).count();
    i32::try_from(led).is_ok_and(|it| it >= partitions)
}

fn check(code: i16, message: Option<&str>) -> Result<(), AdminError> {
    if code == 0 {
        return Ok(());
    }
    let message = message.map(|it| format!(": {it}")).unwrap_or_default();
    Err(AdminError::Refused { code, name: ErrorCode(code).name(), message })
}

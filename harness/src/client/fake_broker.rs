//! A broker in a thread, for tests: it keeps logs in memory, speaks as old a protocol as it is told, and misbehaves as
//! it is told.
//!
//! | file | what it plays |
//! |---|---|
//! | `fake_broker.rs` | connections, versions, SASL, metadata; which API goes where |
//! | `logs.rs` | Produce, ListOffsets, Fetch |
//! | `groups.rs` | a classic group of one member, its offsets |
//! | `transactions.rs` | the coordinator of one transactional id |

#![allow(clippy::disallowed_methods)]

mod groups;
mod logs;
mod transactions;

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::messages::add_partitions_to_txn::AddPartitionsToTxnRequest;
use ringlog_wire::messages::api_versions::{ApiVersion, ApiVersionsResponse, FinalizedFeatureKey};
use ringlog_wire::messages::end_txn::EndTxnRequest;
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use ringlog_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ringlog_wire::messages::join_group::JoinGroupRequest;
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use ringlog_wire::messages::list_offsets::ListOffsetsRequest;
use ringlog_wire::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ringlog_wire::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use ringlog_wire::messages::offset_fetch::OffsetFetchRequest;
use ringlog_wire::messages::produce::ProduceRequest;
use ringlog_wire::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use ringlog_wire::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ringlog_wire::{ApiKey, ErrorCode, Message, Reader, Request, Uuid, Writer};

use super::versions::ours;
use groups::{committed, find, join};
use logs::{Log, fetch, list_offsets, produce};
use transactions::Coordinator;

pub(crate) const TOPIC: &str = "t";
const TOPIC_ID: Uuid = Uuid([7; 16]);

/// An answer that is not sent.
const SILENT: i32 = -1;

/// What goes wrong with a Produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// The connection ends before anything is written.
    Hangup,
    /// The records are written, and the connection ends without an answer.
    HangupAfterAppend,
    /// Nothing is written, and no answer ever comes.
    Silence,
    /// The error, and nothing is written.
    Error(ErrorCode),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) coordinator: Coordinator,
    pub(crate) logs: Vec<Log>,
    pub(crate) mishaps: VecDeque<Mishap>,
    pub(crate) committed: Vec<(i32, i64)>,
    /// APIs in the order in which they were asked, with versions.
    pub(crate) asked: Vec<(ApiKey, i16)>,
    /// How long a SASL session lasts in ms (KIP-368); 0 for ever.
    pub(crate) session_ms: i64,
    pub(crate) connections: usize,
    /// So many connections are closed as soon as they are there.
    pub(crate) turn_away: usize,
    /// How long clients are told to hold back after a Produce or a Fetch, in ms.
    pub(crate) throttle_ms: i32,
    /// Partitions without a leader.
    pub(crate) leaderless: Vec<usize>,
    fetched: Vec<(i32, i64)>,
}

impl State {
    /// Whether the connection that came is closed at once.
    fn turns_away(&mut self) -> bool {
        self.connections += 1;
        let turns_away = self.turn_away > 0;
        self.turn_away = self.turn_away.saturating_sub(1);
        turns_away
    }
}

pub(crate) struct FakeBroker {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

/// The highest version of each API that an Apache Kafka of that age has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Kafka43,
    /// As 4.3, before `transaction.version` was raised to 2.
    Kafka43TransactionsV1,
    Kafka24,
    /// As 2.4, but what it says of a version of ApiVersions that it does not have is no message in any version.
    RdkafkaMock,
    /// A broker that has no transactions.
    WithoutTransactions,
}

impl Age {
    fn max(self, api: ApiKey) -> i16 {
        let old = match api {
            ApiKey::Produce | ApiKey::Metadata => 8,
            ApiKey::Fetch => 11,
            ApiKey::ListOffsets | ApiKey::JoinGroup | ApiKey::OffsetFetch => 5,
            ApiKey::OffsetCommit => 7,
            ApiKey::FindCoordinator | ApiKey::ApiVersions => 2,
            ApiKey::Heartbeat | ApiKey::SyncGroup => 3,
            ApiKey::LeaveGroup => 2,
            _ => 1,
        };
        if matches!(self, Age::Kafka24 | Age::RdkafkaMock) { old } else { ours(api).1 }
    }
}

impl FakeBroker {
    pub(crate) fn start(partitions: usize, age: Age, mishaps: &[Mishap]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut state = State { mishaps: mishaps.iter().copied().collect(), ..State::default() };
        state.logs.resize_with(partitions, Log::default);
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                if shared.lock().unwrap().turns_away() {
                    continue;
                }
                std::thread::spawn(move || serve(stream, (age, port), &shared));
            }
        });
        Self { port, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn serve(mut stream: TcpStream, broker: (Age, u16), state: &Mutex<State>) -> Option<()> {
    loop {
        let mut len = [0; 4];
        stream.read_exact(&mut len).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        stream.read_exact(&mut frame).ok()?;
        let answer = answer(&frame, broker, &mut state.lock().unwrap())?;
        if !answer.is_empty() {
            let len = u32::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&len[..], &answer].concat()).ok()?;
        }
    }
}

/// The answer's bytes; none where no answer is due; `None` hangs up.
fn answer(frame: &[u8], (age, port): (Age, u16), state: &mut State) -> Option<Vec<u8>> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).unwrap();
    let api = header.api().unwrap();
    state.asked.push((api, header.api_version));
    let mut reply = Reply { header, records: Vec::new() };
    if api == ApiKey::ApiVersions && reply.header.api_version > age.max(api) {
        return Some(reply.refuse_version(age));
    }
    assert!(reply.header.api_version <= age.max(api), "{api:?} {}", reply.header.api_version);
    Some(match api {
        ApiKey::ApiVersions => reply.write(&api_versions(age)),
        ApiKey::SaslHandshake => reply.with::<SaslHandshakeRequest>(&mut reader, |request| SaslHandshakeResponse {
            error_code: if request.mechanism == "PLAIN" { 0 } else { ErrorCode::UNSUPPORTED_SASL_MECHANISM.0 },
            mechanisms: vec!["PLAIN".into()],
            ..Default::default()
        }),
        ApiKey::SaslAuthenticate => {
            reply.with::<SaslAuthenticateRequest>(&mut reader, |request| authenticate(&request, state))
        }
        ApiKey::Metadata => reply.with::<MetadataRequest>(&mut reader, |request| metadata(&request, port, state)),
        ApiKey::InitProducerId => reply.with::<InitProducerIdRequest>(&mut reader, |request| {
            let idempotent = InitProducerIdResponse { producer_id: 9, ..Default::default() };
            request.transactional_id.map_or(idempotent, |_| state.coordinator.init())
        }),
        ApiKey::AddPartitionsToTxn => {
            reply.with::<AddPartitionsToTxnRequest>(&mut reader, |request| state.coordinator.add(request))
        }
        ApiKey::EndTxn => {
            let version = reply.header.api_version;
            reply.with::<EndTxnRequest>(&mut reader, |request| state.coordinator.end(&request, version))
        }
        ApiKey::Produce => {
            let request = ProduceRequest::decode(&mut reader, reply.header.api_version).unwrap();
            let response = produce(&request, frame, state)?;
            if request.acks == 0 || response.throttle_time_ms == SILENT { Vec::new() } else { reply.write(&response) }
        }
        ApiKey::ListOffsets => reply.with::<ListOffsetsRequest>(&mut reader, |request| list_offsets(&request, state)),
        ApiKey::Fetch => {
            let request = FetchRequest::decode(&mut reader, reply.header.api_version).unwrap();
            let response = fetch(&request, state, &mut reply.records);
            if reply.records.is_empty() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            reply.write(&response)
        }
        ApiKey::FindCoordinator => reply.with::<FindCoordinatorRequest>(&mut reader, |request| find(&request, port)),
        ApiKey::JoinGroup => reply.with::<JoinGroupRequest>(&mut reader, join),
        ApiKey::SyncGroup => reply.with::<SyncGroupRequest>(&mut reader, |request| SyncGroupResponse {
            assignment: request.assignments.into_iter().next().map(|one| one.assignment).unwrap_or_default(),
            ..Default::default()
        }),
        ApiKey::OffsetFetch => reply.with::<OffsetFetchRequest>(&mut reader, |_| committed(state)),
        ApiKey::OffsetCommit => reply.with::<OffsetCommitRequest>(&mut reader, |request| {
            let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
            state.committed = partitions.map(|one| (one.partition_index, one.committed_offset)).collect();
            OffsetCommitResponse::default()
        }),
        ApiKey::Heartbeat => reply.with::<HeartbeatRequest>(&mut reader, |_| HeartbeatResponse::default()),
        ApiKey::LeaveGroup => reply.with::<LeaveGroupRequest>(&mut reader, |_| LeaveGroupResponse::default()),
        other => panic!("{other:?} is not played"),
    })
}

struct Reply {
    header: RequestHeader,
    records: Vec<Vec<u8>>,
}

impl Reply {
    fn with<R: Request>(&self, reader: &mut Reader<'_>, make: impl FnOnce(R) -> R::Response) -> Vec<u8> {
        self.write(&make(R::decode(reader, self.header.api_version).unwrap()))
    }

    fn write<M: Message>(&self, message: &M) -> Vec<u8> {
        let (api, version) = (self.header.api().unwrap(), self.header.api_version);
        let mut writer = Writer::new();
        ResponseHeader::new(self.header.correlation_id).encode(&mut writer, api, version).unwrap();
        message.encode(&mut writer, version).unwrap();
        let (mut whole, mut at) = (Vec::new(), 0);
        for (cut, records) in writer.cuts.iter().zip(&self.records) {
            whole.extend_from_slice(&writer.bytes[at..*cut]);
            whole.extend_from_slice(records);
            at = *cut;
        }
        whole.extend_from_slice(&writer.bytes[at..]);
        whole
    }

    fn refuse_version(&mut self, age: Age) -> Vec<u8> {
        self.header.api_version = 0;
        if age == Age::RdkafkaMock {
            // As librdkafka 2.16.0 sends it: the array's length is a flexible version's, and one less than it should be.
            let body = [0, 35, 1, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0];
            return [&self.header.correlation_id.to_be_bytes()[..], &body].concat();
        }
        self.write(&ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION.0, ..api_versions(age) })
    }
}

fn api_versions(age: Age) -> ApiVersionsResponse {
    let of = |api: &ApiKey| ApiVersion {
        api_key: *api as i16,
        min_version: ours(*api).0,
        max_version: age.max(*api),
        ..Default::default()
    };
    let transactional = [ApiKey::AddPartitionsToTxn, ApiKey::EndTxn];
    let lacks = |api: &ApiKey| age == Age::WithoutTransactions && transactional.contains(api);
    let played = ApiKey::ALL.iter().filter(|api| ours(**api) != (0, 0) && !lacks(api));
    let level = FinalizedFeatureKey {
        name: "transaction.version".into(),
        max_version_level: 2,
        min_version_level: 2,
        ..Default::default()
    };
    let finalized_features = if age == Age::Kafka43 { vec![level] } else { Vec::new() };
    ApiVersionsResponse { api_keys: played.map(of).collect(), finalized_features, ..Default::default() }
}

/// Lets alice in.
fn authenticate(request: &SaslAuthenticateRequest, state: &State) -> SaslAuthenticateResponse {
    let session_lifetime_ms = state.session_ms;
    if request.auth_bytes == b"\0alice\0right" {
        return SaslAuthenticateResponse { session_lifetime_ms, ..Default::default() };
    }
    SaslAuthenticateResponse {
        error_code: ErrorCode::SASL_AUTHENTICATION_FAILED.0,
        error_message: Some("Authentication failed: Invalid username or password".into()),
        ..Default::default()
    }
}

fn metadata(request: &MetadataRequest, port: u16, state: &State) -> MetadataResponse {
    let broker =
        MetadataResponseBroker { node_id: 1, host: "127.0.0.1".into(), port: port.into(), ..Default::default() };
    let partition = |index: usize| MetadataResponsePartition {
        partition_index: i32::try_from(index).unwrap(),
        leader_id: if state.leaderless.contains(&index) { -1 } else { 1 },
        ..Default::default()
    };
    let known =
        request.topics.as_ref().is_none_or(|topics| topics.iter().any(|topic| topic.name.as_deref() == Some(TOPIC)));
    let topic = MetadataResponseTopic {
        name: Some(TOPIC.into()),
        topic_id: TOPIC_ID,
        partitions: (0..state.logs.len()).map(partition).collect(),
        ..Default::default()
    };
    let topics = if known { vec![topic] } else { Vec::new() };
    MetadataResponse { brokers: vec![broker], topics, ..Default::default() }
}

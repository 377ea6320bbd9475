//! FindCoordinator: v0-6. Which shard coordinates a group or a transactional id: the leader of its partition of
//! `__consumer_offsets` or `__transaction_state`.
//!
//! The topic is made when it is first asked for; until it is there the answer is COORDINATOR_NOT_AVAILABLE, and the client asks
//! again. Several keys at once from v4 on.

use ringlog_wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::coordinators::Coordinator as Kind;
use crate::handlers::Handler;
use crate::metadata::controller::Call;
use crate::response::Response;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::FindCoordinator, (0, 6), handle);

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const FIRST_BATCHED_VERSION: i16 = 4;

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: FindCoordinatorRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    if let Some(kind) = kind(request.key_type)
        && broker.image.topic(kind.topic()).is_none()
    {
        broker.calls.push((Caller::Nobody, Call::AutoCreate(vec![kind.topic().to_owned()])));
    }
    let body = if incoming.asked.api_version < FIRST_BATCHED_VERSION {
        single(find(broker, request.key_type, &request.key))
    } else {
        let coordinators = request.coordinator_keys.iter().map(|key| find(broker, request.key_type, key)).collect();
        FindCoordinatorResponse { coordinators, ..Default::default() }
    };
    Response::of(incoming.asked, &body).into()
}

fn kind(key_type: i8) -> Option<Kind> {
    match key_type {
        GROUP => Some(Kind::Groups),
        TRANSACTION => Some(Kind::Transactions),
        _ => None,
    }
}

fn single(found: Coordinator) -> FindCoordinatorResponse {
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

fn find(broker: &Broker, key_type: i8, key: &str) -> Coordinator {
    let refused = |error: ErrorCode, message: &str| Coordinator {
        key: key.to_owned(),
        node_id: -1,
        port: -1,
        error_code: error.0,
        error_message: Some(message.to_owned()),
        ..Default::default()
    };
    let Some(kind) = kind(key_type) else {
        return refused(ErrorCode::INVALID_REQUEST, "the key type is neither a group nor a transaction");
    };
    match coordinator(broker, kind, key) {
        Some((node_id, host, port)) => Coordinator { key: key.to_owned(), node_id, host, port, ..Default::default() },
        None => refused(ErrorCode::COORDINATOR_NOT_AVAILABLE, "the coordinator is not available."),
    }
}

fn coordinator(broker: &Broker, kind: Kind, id: &str) -> Option<(i32, String, i32)> {
    let (topic, partition) = kind.find(broker, id)?;
    let leader = topic.partition(partition)?.leader;
    let node = broker.image.broker(leader.0)?;
    Some((leader.0, node.host.clone(), i32::from(node.port)))
}

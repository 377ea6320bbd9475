//! ConsumerGroupHeartbeat: v0-1. A member of the consumer protocol (KIP-848) joins, is there, leaves; in v1 it makes its id
//! itself, and may subscribe by a pattern.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::ConsumerGroupHeartbeat, (0, 1), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<ConsumerGroupHeartbeatRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::ConsumerHeartbeat(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

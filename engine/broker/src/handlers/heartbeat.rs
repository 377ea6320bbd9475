//! Heartbeat: v0-4. A member lives; it learns of a rebalance.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::Heartbeat, (0, 4), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<HeartbeatRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::Heartbeat(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

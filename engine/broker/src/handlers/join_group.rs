//! JoinGroup: v0-9. A member asks into a group; the answer waits for the rebalance (classic protocol).

use ringlog_wire::ApiKey;
use ringlog_wire::messages::join_group::JoinGroupRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::JoinGroup, (0, 9), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<JoinGroupRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::Join(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

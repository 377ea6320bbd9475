//! LeaveGroup: v0-5. One member leaves, several from v3 on.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::leave_group::LeaveGroupRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::LeaveGroup, (0, 5), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<LeaveGroupRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::Leave(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

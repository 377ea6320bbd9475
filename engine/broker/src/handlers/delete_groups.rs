//! DeleteGroups: v0-2. Groups without members, with their offsets.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::delete_groups::DeleteGroupsRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DeleteGroups, (0, 2), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<DeleteGroupsRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::Delete(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

//! ListGroups: v0-5. Groups that this shard coordinates; by state from v4 on, by type from v5 on.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::list_groups::ListGroupsRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::ListGroups, (0, 5), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<ListGroupsRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::List(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

//! SyncGroup: v0-5. The leader brings the assignment, the others wait for theirs.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::sync_group::SyncGroupRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::SyncGroup, (0, 5), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<SyncGroupRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::Sync(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

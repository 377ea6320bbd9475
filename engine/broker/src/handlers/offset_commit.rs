//! OffsetCommit: v2-10. Offsets into `__consumer_offsets`; topics by id from v10 on.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::offset_commit::OffsetCommitRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::OffsetCommit, (2, 10), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<OffsetCommitRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::OffsetCommit(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

//! OffsetDelete: v0. Offsets of topics that nobody in the group reads.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::offset_delete::OffsetDeleteRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::OffsetDelete, (0, 0), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<OffsetDeleteRequest>() {
        Ok(request) => group_desk::handle(broker, incoming, GroupRequest::OffsetDelete(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}

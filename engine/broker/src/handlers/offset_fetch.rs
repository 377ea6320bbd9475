//! OffsetFetch: v1-10. Committed offsets; several groups at once from v8 on, topics by id from v10 on.

use std::collections::BTreeSet;

use ringlog_wire::ApiKey;
use ringlog_wire::messages::offset_fetch::OffsetFetchRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::Handler;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::OffsetFetch, (1, 10), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<OffsetFetchRequest>() {
        Ok(mut request) => {
            // All offsets of a group are asked for by its name alone.
            let mut wholes = BTreeSet::new();
            request.groups.retain(|group| group.topics.is_some() || wholes.insert(group.group_id.clone()));
            group_desk::handle(broker, incoming, GroupRequest::OffsetFetch(request))
        }
        Err(refused) => Outcome::Refuse(refused),
    }
}

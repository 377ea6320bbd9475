//! ConsumerGroupDescribe: v0-1. Groups of the consumer protocol with their members; v1 says which protocol a member speaks.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::{Handler, each_once};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::ConsumerGroupDescribe, (0, 1), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<ConsumerGroupDescribeRequest>() {
        Ok(mut request) => {
            each_once(&mut request.group_ids, Clone::clone);
            group_desk::handle(broker, incoming, GroupRequest::ConsumerDescribe(request))
        }
        Err(refused) => Outcome::Refuse(refused),
    }
}

//! DescribeGroups: v0-6. State, members and assignments of groups that this shard coordinates.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::describe_groups::DescribeGroupsRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::group_desk;
use crate::handlers::{Handler, each_once};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DescribeGroups, (0, 6), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<DescribeGroupsRequest>() {
        Ok(mut request) => {
            each_once(&mut request.groups, String::clone);
            group_desk::handle(broker, incoming, GroupRequest::Describe(request))
        }
        Err(refused) => Outcome::Refuse(refused),
    }
}

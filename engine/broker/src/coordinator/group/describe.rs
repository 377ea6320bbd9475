//! DescribeGroups and ListGroups.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup};
use ringlog_wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::state::{Group, State};
use super::{Caller, Effect, GroupCoordinator, GroupResponse};

/// The types of groups, as KIP-848 named them.
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
/// What a group that does not exist is said to be.
const DEAD: &str = "Dead";
/// The first version that says that there is no such group (KIP-1043).
const GROUP_ID_NOT_FOUND_FROM: i16 = 6;
/// Everything that may be done with a group where nothing is forbidden: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and
/// ALTER_CONFIGS, each the bit of its number in Kafka's `AclOperation`.
pub(super) const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

impl GroupCoordinator {
    pub(super) fn describe(&self, caller: Caller<'_>, request: &DescribeGroupsRequest) -> Vec<Effect> {
        let groups = request.groups.iter().map(|id| {
            let mut group = self.describe_one(id, caller.api_version);
            if request.include_authorized_operations && group.error_code == 0 {
                group.authorized_operations = ALL_OPERATIONS;
            }
            group
        });
        let response = DescribeGroupsResponse { groups: groups.collect(), ..Default::default() };
        vec![caller.waiter().with(GroupResponse::Describe(response))]
    }

    fn describe_one(&self, id: &str, api_version: i16) -> DescribedGroup {
        let refused =
            |error: ErrorCode| DescribedGroup { error_code: error.0, group_id: id.to_owned(), ..Default::default() };
        if let Err(error) = self.owned.check(id) {
            return refused(error);
        }
        match self.groups.get(id) {
            Some(group) if group.consumers.is_none() => group.described(),
            found if api_version >= GROUP_ID_NOT_FOUND_FROM => DescribedGroup {
                error_message: Some(match found {
                    Some(_) => format!("Group {id} is not a classic group."),
                    None => format!("Group {id} not found."),
                }),
                group_state: DEAD.to_owned(),
                ..refused(ErrorCode::GROUP_ID_NOT_FOUND)
            },
            _ => DescribedGroup { group_state: DEAD.to_owned(), ..refused(ErrorCode::NONE) },
        }
    }

    /// The groups of this shard: clients ask every broker.
    pub(super) fn list(&self, caller: Caller<'_>, request: &ListGroupsRequest) -> Vec<Effect> {
        let mut response = ListGroupsResponse::default();
        if self.owned.loading() > 0 {
            response.error_code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0;
        } else {
            let listed = self.groups.values().map(Group::listed);
            let accepted = |group: &ListedGroup| {
                accepts(&request.types_filter, &group.group_type) && accepts(&request.states_filter, &group.group_state)
            };
            response.groups = listed.filter(accepted).collect();
        }
        vec![caller.waiter().with(GroupResponse::List(response))]
    }
}

/// An empty filter lets everything pass; names are compared without regard to case.
fn accepts(filter: &[String], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(name))
}

impl Group {
    fn described(&self) -> DescribedGroup {
        let protocol = self.protocol.as_deref().filter(|_| self.state == State::Stable);
        DescribedGroup {
            group_id: self.id.clone(),
            group_state: self.state.name().to_owned(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol_data: protocol.unwrap_or_default().to_owned(),
            members: self.members.values().map(|member| member.described(protocol)).collect(),
            ..Default::default()
        }
    }

    fn listed(&self) -> ListedGroup {
        if let Some(consumers) = &self.consumers {
            return ListedGroup {
                group_id: self.id.clone(),
                protocol_type: CONSUMER.to_owned(),
                group_state: consumers.state().name().to_owned(),
                group_type: CONSUMER.to_owned(),
                ..Default::default()
            };
        }
        ListedGroup {
            group_id: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            group_state: self.state.name().to_owned(),
            group_type: CLASSIC.to_owned(),
            ..Default::default()
        }
    }
}

//! ConsumerGroupDescribe.

use ringlog_wire::ErrorCode;
use ringlog_wire::Uuid;
use ringlog_wire::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member, TopicPartitions,
};

use super::super::describe::ALL_OPERATIONS;
use super::super::{Caller, Effect, GroupCoordinator, GroupResponse, Topics};
use super::{Assignor, ConsumerGroup};

/// A member by the protocol that it speaks.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;
/// What a group that does not exist is said to be.
const DEAD: &str = "Dead";

impl GroupCoordinator {
    pub(in super::super) fn describe_consumers(
        &self,
        caller: Caller<'_>,
        request: &ConsumerGroupDescribeRequest,
        topics: &dyn Topics,
    ) -> Vec<Effect> {
        let groups = request.group_ids.iter().map(|id| {
            let mut group = self.describe_consumer_group(id, topics);
            if request.include_authorized_operations && group.error_code == 0 {
                group.authorized_operations = ALL_OPERATIONS;
            }
            group
        });
        let response = ConsumerGroupDescribeResponse { groups: groups.collect(), ..Default::default() };
        vec![caller.waiter().with(GroupResponse::ConsumerDescribe(response))]
    }

    fn describe_consumer_group(&self, id: &str, topics: &dyn Topics) -> DescribedGroup {
        let refused = |error: ErrorCode, error_message| DescribedGroup {
            error_code: error.0,
            error_message,
            group_id: id.to_owned(),
            ..Default::default()
        };
        if let Err(error) = self.check_group(id) {
            return refused(error, None);
        }
        let group = self.groups.get(id);
        match group.and_then(|group| group.consumers.as_ref()) {
            Some(consumers) => consumers.described(id, &self.settings.consumer.assignors, topics),
            None => {
                let what = if group.is_some() { "is not a consumer group" } else { "not found" };
                let error = refused(ErrorCode::GROUP_ID_NOT_FOUND, Some(format!("Group {id} {what}.")));
                DescribedGroup { group_state: DEAD.to_owned(), ..error }
            }
        }
    }
}

impl ConsumerGroup {
    fn described(&self, id: &str, assignors: &[Assignor], topics: &dyn Topics) -> DescribedGroup {
        let members = self.members.iter().map(|(id, member)| {
            let current = self.current(id);
            let assigned = current.assigned.iter().map(|(topic, held)| (topic, held.keys().copied().collect()));
            let target = self.target.get(id).into_iter().flatten();
            let target = target.map(|(topic, partitions)| (topic, partitions.iter().copied().collect()));
            Member {
                member_id: id.clone(),
                instance_id: member.instance_id.clone(),
                rack_id: member.rack_id.clone(),
                member_epoch: current.epoch,
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                subscribed_topic_names: member.topics.iter().cloned().collect(),
                subscribed_topic_regex: Some(member.pattern.clone()).filter(|pattern| !pattern.is_empty()),
                assignment: assignment(assigned, topics),
                target_assignment: assignment(target, topics),
                member_type: if self.is_classic(id) { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
                ..Default::default()
            }
        });
        DescribedGroup {
            group_id: id.to_owned(),
            group_state: self.state().name().to_owned(),
            group_epoch: self.epoch,
            assignment_epoch: self.target_epoch,
            assignor_name: self.assignor(assignors).name().to_owned(),
            members: members.collect(),
            ..Default::default()
        }
    }
}

/// Topics that are gone have no name, and are left out.
fn assignment<'a>(held: impl Iterator<Item = (&'a Uuid, Vec<i32>)>, topics: &dyn Topics) -> Assignment {
    let named = held.filter_map(|(topic_id, partitions)| {
        let topic_name = topics.topic_name(*topic_id)?;
        Some(TopicPartitions { topic_id: *topic_id, topic_name, partitions, ..Default::default() })
    });
    Assignment { topic_partitions: named.collect(), ..Default::default() }
}

//! Who gets which partitions: Kafka's four assignors, as the group's leader runs them.
//!
//! ```text
//!   members (topics, what they own) + partitions per topic  --strategy-->  member -> partitions
//! ```
//!
//! Range and round robin give exactly what Kafka's classes give. The sticky ones keep Kafka's two promises (balanced as
//! far as subscriptions allow; nothing moves that need not) and may choose another partition where those leave a choice.
//! Racks are not looked at: Kafka's classes do the same where the members or the replicas name none.
//!
//! Sources: RangeAssignor, RoundRobinAssignor, StickyAssignor (KIP-54), CooperativeStickyAssignor (KIP-429).

mod range;
mod round_robin;
mod sticky;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::config::AssignmentStrategy;
use super::subscription::Member;
use crate::client::fetcher::TopicPartition;

/// How many partitions each topic has that the group reads. A topic that does not exist is not in it.
pub(crate) type Counts = BTreeMap<String, i32>;
/// What each member gets. Every member is in it.
pub(crate) type Assigned = BTreeMap<String, Vec<TopicPartition>>;

/// Shares the partitions out.
pub(crate) fn assign(strategy: AssignmentStrategy, members: &[Member], counts: &Counts) -> Assigned {
    match strategy {
        AssignmentStrategy::Range => range::assign(members, counts),
        AssignmentStrategy::RoundRobin => round_robin::assign(members, counts),
        AssignmentStrategy::Sticky => sticky::assign(members, counts),
        AssignmentStrategy::CooperativeSticky => sticky::assign_in_two_steps(members, counts),
    }
}

/// Kafka's MemberInfo: static members first, by their instance ids, then the others by the ids that the coordinator gave.
fn in_order(a: &Member, b: &Member) -> Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    }
}

fn sorted(members: &[Member]) -> Vec<&Member> {
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by(|a, b| in_order(a, b));
    sorted
}

fn nobody_has_anything(members: &[Member]) -> Assigned {
    members.iter().map(|member| (member.id.clone(), Vec::new())).collect()
}

#[cfg(test)]
mod tests;

//! RoundRobinAssignor: all partitions of all topics in order, one to each member in turn; a member that does not read
//! the topic is passed over.

use super::{Assigned, Counts, Member, nobody_has_anything, sorted};

pub(super) fn assign(members: &[Member], counts: &Counts) -> Assigned {
    let mut assigned = nobody_has_anything(members);
    let sorted = sorted(members);
    let mut turn = 0;
    for (topic, count) in counts {
        if !sorted.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..*count {
            while !sorted[turn % sorted.len()].topics.contains(topic) {
                turn += 1;
            }
            let member = &sorted[turn % sorted.len()].id;
            assigned.entry(member.clone()).or_default().push((topic.clone(), partition));
            turn += 1;
        }
    }
    assigned
}

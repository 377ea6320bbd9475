//! RangeAssignor: topic by topic, each member a run of neighbours; the first members get one more where it does not
//! come out even.
//!
//! ```text
//!   7 partitions, 3 members:   0 1 2 | 3 4 | 5 6
//! ```

use super::{Assigned, Counts, Member, nobody_has_anything, sorted};

pub(super) fn assign(members: &[Member], counts: &Counts) -> Assigned {
    let mut assigned = nobody_has_anything(members);
    let sorted = sorted(members);
    for (topic, count) in counts {
        let subscribed: Vec<&&Member> = sorted.iter().filter(|member| member.topics.contains(topic)).collect();
        let Ok(among) = i32::try_from(subscribed.len()) else { continue };
        let mut next = 0;
        for (place, member) in (0..among).zip(subscribed) {
            let end = next + count / among + i32::from(place < count % among);
            let run = (next..end).map(|partition| (topic.clone(), partition));
            assigned.entry(member.id.clone()).or_default().extend(run);
            next = end;
        }
    }
    assigned
}

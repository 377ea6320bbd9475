//! Range: the members in their order, static ones first, and each takes the next stretch of every topic that it reads.

use std::collections::BTreeMap;

use ringlog_wire::Uuid;

use super::{Partitions, Reader, Spec};

/// What is left of a topic.
struct Left {
    next: i32,
    readers: i32,
    /// Members that have one more than the others.
    extra: i32,
}

pub(super) fn assign(spec: &Spec<'_>) -> BTreeMap<String, Partitions> {
    let mut members: Vec<&Reader<'_>> = spec.members.iter().collect();
    // Java compares texts by their UTF-16 units.
    members.sort_by(|a, b| match (a.instance_id, b.instance_id) {
        (Some(a), Some(b)) => a.encode_utf16().cmp(b.encode_utf16()),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.id.encode_utf16().cmp(b.id.encode_utf16()),
    });
    let mut left: BTreeMap<Uuid, Left> = BTreeMap::new();
    for topic in members.iter().flat_map(|member| &member.topics) {
        left.entry(*topic).or_insert(Left { next: 0, readers: 0, extra: 0 }).readers += 1;
    }
    for (topic, left) in &mut left {
        left.extra = spec.partition_count(*topic) % left.readers;
    }
    let mut share = |member: &Reader<'_>| {
        let mut assigned = Partitions::new();
        for topic in &member.topics {
            let Some(left) = left.get_mut(topic) else { continue };
            let count = spec.partition_count(*topic);
            let quota = count / left.readers + i32::from(left.extra > 0);
            left.extra -= i32::from(left.extra > 0);
            let end = (left.next + quota).min(count);
            if left.next < end {
                assigned.insert(*topic, (left.next..end).collect());
            }
            left.next = end;
        }
        (member.id.to_owned(), assigned)
    };
    members.into_iter().map(&mut share).collect()
}

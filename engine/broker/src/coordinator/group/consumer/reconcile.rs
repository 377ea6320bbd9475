//! A member's next step from what it has to its target. Kafka's `CurrentAssignmentBuilder`.
//!
//! | state                | what it does                                                                                |
//! |----------------------|---------------------------------------------------------------------------------------------|
//! | STABLE               | a newer target, or another subscription: the next step                                      |
//! | UNREVOKED_PARTITIONS | waits until the member does not say that it owns what it was to give back; the next step    |
//! | UNRELEASED_PARTITIONS| the next step: what others have given back by now                                           |
//!
//! The next step:
//!
//! | the member                                         | epoch    | state                 | has                               |
//! |----------------------------------------------------|----------|-----------------------|-----------------------------------|
//! | owns something that is not in its target           | stays    | UNREVOKED_PARTITIONS  | what is in both                   |
//! | else: others own something of its target           | target's | UNRELEASED_PARTITIONS | what is in both, and what is free |
//! | else                                               | target's | STABLE                | its target                        |

use std::collections::BTreeSet;

use ringlog_wire::messages::consumer_group_heartbeat::TopicPartitions;
use ringlog_wire::{ErrorCode, Uuid};

use super::{ConsumerGroup, Current, Held, MemberState, Partitions, Refusal, refuse};

/// What a step is decided by.
pub(super) struct Step<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) member: &'a str,
    /// The topics that it reads now.
    pub(super) topics: &'a BTreeSet<Uuid>,
    /// The member subscribed to other topics with this heartbeat.
    pub(super) is_resubscribed: bool,
    /// What the member says it owns; it says so only when that changes.
    pub(super) owned: Option<&'a [TopicPartitions]>,
}

impl Step<'_> {
    /// What the member has now; what it had where nothing changes.
    pub(super) fn take(&self) -> Result<Current, Refusal> {
        let current = self.group.current(self.member);
        let target_epoch = self.group.target_epoch;
        Ok(match current.state {
            MemberState::Stable if current.epoch != target_epoch => self.next(&current),
            MemberState::UnrevokedPartitions if !self.owns(&current.revoking) => self.next(&current),
            MemberState::Stable | MemberState::UnrevokedPartitions if self.is_resubscribed => {
                self.without_other_topics(&current)
            }
            MemberState::Stable | MemberState::UnrevokedPartitions => current,
            MemberState::UnreleasedPartitions => self.next(&current),
            MemberState::Unknown if self.owned.is_some_and(<[_]>::is_empty) => {
                self.next(&Current { epoch: target_epoch, ..current })
            }
            MemberState::Unknown => {
                let message = "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.";
                return refuse(ErrorCode::FENCED_MEMBER_EPOCH, message);
            }
        })
    }

    /// Whether the member still owns something of it. It does until it says otherwise.
    fn owns(&self, held: &Held) -> bool {
        let Some(owned) = self.owned else { return true };
        let is_held = |topic: &TopicPartitions| {
            let held = held.get(&topic.topic_id);
            held.is_some_and(|held| topic.partitions.iter().any(|partition| held.contains_key(partition)))
        };
        owned.iter().any(is_held)
    }

    fn next(&self, current: &Current) -> Current {
        let nothing = Partitions::new();
        let target = self.group.target.get(self.member).unwrap_or(&nothing);
        let is_wanted = |topic: &Uuid, partition: &i32| {
            self.topics.contains(topic) && target.get(topic).is_some_and(|target| target.contains(partition))
        };
        let (kept, given_back) = split(&current.assigned, is_wanted);
        if !given_back.is_empty() && self.owns(&given_back) {
            let state = MemberState::UnrevokedPartitions;
            return Current { state, assigned: kept, revoking: given_back, ..current.in_epoch(current.epoch) };
        }
        let mut assigned = kept;
        let mut state = MemberState::Stable;
        let target_epoch = self.group.target_epoch;
        for (topic, partitions) in target.iter().filter(|(topic, _)| self.topics.contains(topic)) {
            for partition in partitions {
                if assigned.get(topic).is_some_and(|held| held.contains_key(partition)) {
                    continue;
                }
                if self.is_with_another(*topic, *partition) {
                    state = MemberState::UnreleasedPartitions;
                } else {
                    assigned.entry(*topic).or_default().insert(*partition, target_epoch);
                }
            }
        }
        Current { state, assigned, revoking: Held::new(), ..current.in_epoch(target_epoch) }
    }

    fn is_with_another(&self, topic: Uuid, partition: i32) -> bool {
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::SHARE_GIVEN_EARLY) {
            return false;
        }
        self.group.owner(topic, partition).is_some_and(|owner| owner != self.member)
    }

    /// What the member does not read any more is given back, whatever its target still says.
    fn without_other_topics(&self, current: &Current) -> Current {
        let (kept, given_back) = split(&current.assigned, |topic, _| self.topics.contains(topic));
        if given_back.is_empty() {
            return current.clone();
        }
        let mut revoking = current.revoking.clone();
        for (topic, partitions) in given_back {
            revoking.entry(topic).or_default().extend(partitions);
        }
        if self.owns(&revoking) {
            let state = MemberState::UnrevokedPartitions;
            Current { state, assigned: kept, revoking, ..current.in_epoch(current.epoch) }
        } else {
            Current { assigned: kept, ..current.in_epoch(current.epoch) }
        }
    }
}

/// What of it is wanted, and what is not.
fn split(held: &Held, is_wanted: impl Fn(&Uuid, &i32) -> bool) -> (Held, Held) {
    let (mut kept, mut rest) = (Held::new(), Held::new());
    for (topic, partitions) in held {
        for (partition, epoch) in partitions {
            let side = if is_wanted(topic, partition) { &mut kept } else { &mut rest };
            side.entry(*topic).or_default().insert(*partition, *epoch);
        }
    }
    (kept, rest)
}

//! From the word that the group rebalances to a new JoinGroup, and what the leader makes of everybody's.

use std::collections::BTreeSet;

use ringlog_wire::messages::sync_group::SyncGroupRequestAssignment;

use super::super::assignors::{Counts, assign};
use super::super::{Around, Change, Line, subscription};
use super::{Classic, Phase, Preparing};
use crate::client::fetcher::TopicPartition;
use crate::client::metadata::Metadata;

impl Classic {
    /// The leader looks at the topics' partitions, every member at its own subscription.
    pub(super) fn check_subscription(&mut self, metadata: &mut Metadata) {
        if self.joined_topics != self.topics {
            return self.join_again("the subscription changed");
        }
        let Some(led) = &self.led else { return };
        let changed = |(topic, count): (&String, &i32)| metadata.count(topic).is_some_and(|now| now != *count);
        if led.iter().any(changed) {
            self.join_again("cached metadata has changed since the beginning of the rebalance");
        }
    }

    pub(super) fn join_again(&mut self, reason: &'static str) {
        self.reason = Some(reason);
        self.phase = match self.phase {
            Phase::Stable => Phase::Preparing(Preparing::default()),
            _ => Phase::Joining,
        };
    }

    /// Commits, then gives back. True once that is done.
    pub(super) fn prepare(&mut self, around: &Around<'_>, line: &mut Line<'_>) -> bool {
        let Phase::Preparing(preparing) = &mut self.phase else { return true };
        let begun_ns = match preparing.begun_ns {
            Some(begun_ns) => begun_ns,
            None => {
                preparing.begun_ns = Some(around.now_ns);
                preparing.commit = line.commit_before_rebalance(around);
                around.now_ns
            }
        };
        if let Some(commit) = preparing.commit {
            let is_late = around.now_ns.saturating_sub(begun_ns) > self.rebalance_timeout_ns;
            if !is_late && line.offsets.is_pending(commit) {
                return false;
            }
            line.offsets.give_up(commit);
        }
        let assigned = preparing.assigned.take();
        self.give_back(assigned, line.changes);
        self.phase = Phase::Joining;
        true
    }

    fn give_back(&mut self, assigned: Option<Vec<TopicPartition>>, changes: &mut Vec<Change>) {
        match assigned {
            Some(assigned) => {
                changes.push(Change::Revoked(without(&self.owned, &assigned)));
                self.take(assigned, changes);
            }
            None if self.is_cooperative() => {
                let topics: BTreeSet<&String> = self.topics.iter().collect();
                let (kept, dropped) = self.owned.drain(..).partition(|(topic, _)| topics.contains(topic));
                self.owned = kept;
                if !Vec::is_empty(&dropped) {
                    changes.push(Change::Revoked(dropped));
                }
            }
            None => changes.push(Change::Revoked(std::mem::take(&mut self.owned))),
        }
    }

    pub(super) fn take(&mut self, assigned: Vec<TopicPartition>, changes: &mut Vec<Change>) {
        let added = without(&assigned, &self.owned);
        self.owned.clone_from(&assigned);
        changes.push(Change::Assigned { added, owned: assigned });
    }

    /// The leader shares out, once every topic of the group is known. False while it is not.
    pub(super) fn elect(&mut self, metadata: &mut Metadata) -> bool {
        let Phase::Electing { members, skip } = &self.phase else { return true };
        let topics: BTreeSet<&String> = members.iter().flat_map(|member| &member.topics).collect();
        topics.iter().for_each(|topic| metadata.use_topic(topic));
        if topics.iter().any(|topic| metadata.count(topic).is_none()) {
            return false;
        }
        let all: Counts = topics.iter().map(|topic| ((*topic).clone(), metadata.count(topic).unwrap_or(0))).collect();
        let mut assignments = Vec::new();
        if let Some(strategy) = self.chosen.filter(|_| !*skip) {
            let existing = all.iter().filter(|(_, count)| **count > 0).map(|(topic, count)| (topic.clone(), *count));
            let assigned = assign(strategy, members, &existing.collect());
            assignments.extend(assigned.into_iter().map(|(member_id, owned)| SyncGroupRequestAssignment {
                member_id,
                assignment: subscription::assignment(&owned),
                ..Default::default()
            }));
        }
        self.led = Some(all);
        self.phase = Phase::Syncing(assignments);
        true
    }
}

/// All but those.
pub(super) fn without(all: &[TopicPartition], those: &[TopicPartition]) -> Vec<TopicPartition> {
    let those: BTreeSet<&TopicPartition> = those.iter().collect();
    all.iter().filter(|one| !those.contains(one)).cloned().collect()
}

//! ConsumerGroupHeartbeat: a member joins, says what changed, says what it has given back, leaves.
//!
//! ```text
//!   1. the member as it is now; where it subscribed to something else, or topics came and went: the group's next epoch
//!   2. the group's epoch is ahead of its target's, and the last target is old enough: a new target
//!   3. the member's next step towards its target
//! ```
//!
//! | epoch         | means                                                                                       |
//! |---------------|---------------------------------------------------------------------------------------------|
//! | 0             | joins, or joins again with nothing                                                          |
//! | the member's  | is there                                                                                    |
//! | the one before| the answer with the newer one was lost: taken where it owns nothing that is not its own      |
//! | -1, -2        | leaves, leaves as a static member that comes back                                           |
//! | another one   | FENCED_MEMBER_EPOCH: it gives everything up and joins again                                 |

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};

use super::super::{Env, Moment, Topics};
use super::reconcile::Step;
use super::{
    Assignor, ConsumerSettings, Current, Edit, Fact, Held, LEFT, LEFT_FOR_NOW, MemberState, Refusal, Subscription,
    refuse,
};

/// The first version in which a member makes its id itself.
const OWN_MEMBER_ID_FROM: i16 = 1;

/// A request, and who sent it.
#[derive(Clone, Debug)]
pub(in super::super) struct Ask {
    pub(super) request: ConsumerGroupHeartbeatRequest,
    pub(super) client_id: String,
    pub(super) client_host: String,
}

/// What a heartbeat is decided by, besides the group.
pub(super) struct Around<'a> {
    pub(super) settings: &'a ConsumerSettings,
    /// `group.max.size`
    pub(super) classic_size_max: usize,
    pub(super) topics: &'a dyn Topics,
    pub(super) at: Moment,
}

impl<'a> Around<'a> {
    pub(super) fn new(env: &Env<'a>, topics: &'a dyn Topics) -> Self {
        let settings = env.settings;
        Self { settings: &settings.consumer, classic_size_max: settings.group_size_max, topics, at: env.at }
    }

    /// A setting of the group's own, or the broker's.
    pub(super) fn setting(&self, group: &str, name: &str, brokers: i32) -> i32 {
        self.topics.group_setting(group, name).and_then(|value| value.parse().ok()).unwrap_or(brokers)
    }
}

/// What Kafka looks at before it looks for the group.
pub(super) fn check_form(
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
    assignors: &[Assignor],
) -> Result<(), Refusal> {
    let invalid = |message: &str| refuse(ErrorCode::INVALID_REQUEST, message);
    let epoch = request.member_epoch;
    let is_empty = |text: &Option<String>| text.as_deref().is_some_and(|text| text.trim().is_empty());
    if (version >= OWN_MEMBER_ID_FROM || epoch > 0 || epoch == LEFT) && request.member_id.trim().is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if request.group_id.trim().is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if is_empty(&request.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return invalid("RackId can't be empty.");
    }
    if epoch == 0 {
        if request.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
            return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
        }
    } else if epoch == LEFT_FOR_NOW && request.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    } else if epoch < LEFT_FOR_NOW {
        return invalid("MemberEpoch is invalid.");
    }
    match &request.server_assignor {
        Some(name) if !assignors.iter().any(|assignor| assignor.name() == name) => {
            let known: Vec<&str> = assignors.iter().map(|assignor| assignor.name()).collect();
            let message = format!("ServerAssignor {name} is not supported. Supported assignors: {}.", known.join(", "));
            refuse(ErrorCode::UNSUPPORTED_ASSIGNOR, message)
        }
        _ => Ok(()),
    }
}

impl Edit<'_> {
    /// A member that joins or is there.
    pub(super) fn heartbeat(
        &mut self,
        ask: &Ask,
        around: &Around<'_>,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let (request, member) = (&ask.request, ask.request.member_id.as_str());
        self.check_room(member, around.settings)?;
        self.check_member(request)?;
        let before = self.group.current(member);
        let now = renewed(self.group.members.get(member).cloned().unwrap_or_default(), ask);
        let is_resubscribed = self.renew(member, now, around)?;
        self.set_target_if_due(around);
        self.reconcile(member, request.topic_partitions.as_deref(), is_resubscribed, around)?;
        let after = self.group.current(member);
        let is_full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let is_told = request.member_epoch == 0 || is_full || before.assigned != after.assigned;
        let heartbeat_interval_ms =
            around.setting(self.id, "consumer.heartbeat.interval.ms", around.settings.heartbeat_interval_ms);
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(member.to_owned()),
            member_epoch: after.epoch,
            heartbeat_interval_ms,
            assignment: is_told.then(|| assignment(&after.assigned)),
            ..Default::default()
        })
    }

    pub(super) fn check_room(&self, member: &str, settings: &ConsumerSettings) -> Result<(), Refusal> {
        let max = settings.group_size_max;
        if self.group.members.len() < max || self.group.members.contains_key(member) {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {max} members.");
        refuse(ErrorCode::GROUP_MAX_SIZE_REACHED, message)
    }

    /// Makes sure that the member may speak. A static member that comes back takes the place of the one that left, or of one that
    /// speaks the classic protocol.
    fn check_member(&mut self, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
        let (member, joins) = (request.member_id.as_str(), request.member_epoch == 0);
        match &request.instance_id {
            Some(instance_id) if joins => {
                let Some(last) = self.group.static_members.get(instance_id).cloned() else { return Ok(()) };
                if !self.group.is_classic(&last) && self.group.current(&last).epoch != LEFT_FOR_NOW {
                    let message = format!(
                        "Static member {member} with instance id {instance_id} cannot join the group because the instance id is owned by {last} member."
                    );
                    return refuse(ErrorCode::UNRELEASED_INSTANCE_ID, message);
                }
                self.replace(&last, member);
                Ok(())
            }
            Some(instance_id) => {
                self.check_instance(instance_id, member)?;
                self.check_epoch(request)
            }
            None if joins => Ok(()),
            None if !self.group.members.contains_key(member) => {
                let message = format!("Member {member} is not a member of group {}.", self.id);
                refuse(ErrorCode::UNKNOWN_MEMBER_ID, message)
            }
            None => self.check_epoch(request),
        }
    }

    fn check_epoch(&self, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
        let current = self.group.current(&request.member_id);
        let (said, known) = (request.member_epoch, current.epoch);
        let is_late =
            said == current.previous_epoch && owns_only(request.topic_partitions.as_deref(), &current.assigned);
        if said == known || said < known && is_late {
            return Ok(());
        }
        let which = if said > known { "greater" } else { "smaller" };
        let message = format!(
            "The consumer group member has a {which} member epoch ({said}) than the one known by the group coordinator ({known}). The member must abandon all its partitions and rejoin."
        );
        refuse(ErrorCode::FENCED_MEMBER_EPOCH, message)
    }

    /// The member under its new id has what it had under the last one.
    pub(super) fn replace(&mut self, last: &str, member: &str) {
        let subscription = self.group.members.get(last).cloned();
        let target = self.group.target.get(last).cloned();
        let current = Current { epoch: 0, previous_epoch: 0, ..self.group.current(last) };
        self.remove(last);
        self.put(Fact::Member(member.to_owned(), subscription));
        self.put(Fact::TargetMember(member.to_owned(), target));
        self.put(Fact::Current(member.to_owned(), Some(current)));
    }

    /// Step 1. True: the member reads something else than before.
    pub(super) fn renew(&mut self, member: &str, now: Subscription, around: &Around<'_>) -> Result<bool, Refusal> {
        let before = self.group.members.get(member).cloned();
        let last = before.as_ref();
        let has_other_names = last.map(|last| &last.topics).unwrap_or(&Default::default()) != &now.topics;
        let has_other_pattern = last.map_or("", |last| &last.pattern) != now.pattern;
        if last != Some(&now) {
            self.put(Fact::Member(member.to_owned(), Some(now)));
        }
        if has_other_pattern {
            self.drop_unused_patterns();
        }
        let refresh_ms = i64::from(around.settings.regex_refresh_interval_ms);
        let has_other_topics = self.resolve_patterns(around.topics, around.at.wall_ms, refresh_ms)?;
        let version = Some(around.topics.version());
        let bumps = self.group.epoch == 0 || has_other_names || has_other_pattern || has_other_topics;
        if bumps || self.group.seen_version != version && self.group.hash(around.topics) != self.group.metadata_hash {
            self.bump(around.topics);
        }
        self.group.seen_version = version;
        Ok(has_other_names || has_other_pattern)
    }

    /// Step 2.
    pub(super) fn set_target_if_due(&mut self, around: &Around<'_>) {
        let interval_ms =
            around.setting(self.id, "consumer.assignment.interval.ms", around.settings.assignment_interval_ms);
        if self.group.epoch > self.group.target_epoch && self.may_set_target(around.at.wall_ms, interval_ms) {
            self.set_target(&around.settings.assignors, around.topics, around.at.wall_ms);
        }
    }

    /// One target in each interval, the first one at once.
    fn may_set_target(&self, now_ms: i64, interval_ms: i32) -> bool {
        let made_ms = self.group.target_made_ms;
        made_ms == 0 || interval_ms == 0 || now_ms - made_ms >= i64::from(interval_ms)
    }

    /// Step 3.
    pub(super) fn reconcile(
        &mut self,
        member: &str,
        owned: Option<&[TopicPartitions]>,
        is_resubscribed: bool,
        around: &Around<'_>,
    ) -> Result<(), Refusal> {
        let before = self.group.current(member);
        if !is_resubscribed && before.is_reconciled_to(self.group.target_epoch) {
            return Ok(());
        }
        let topics =
            self.group.members.get(member).map(|subscription| self.group.topics_of(subscription, around.topics));
        let step = Step { group: self.group, member, topics: &topics.unwrap_or_default(), is_resubscribed, owned };
        let after = step.take()?;
        if after != before || !self.group.current.contains_key(member) {
            self.put(Fact::Current(member.to_owned(), Some(after)));
        }
        Ok(())
    }

    /// Whether the member is to give something back, and has its rebalance timeout for it.
    pub(super) fn gives_back(&self, member: &str) -> Option<i32> {
        let is_asked = self.group.current.get(member)?.state == MemberState::UnrevokedPartitions;
        is_asked.then(|| self.group.members.get(member).map(|member| member.rebalance_timeout_ms)).flatten()
    }

    /// Whether this change moved the member.
    pub(super) fn has_moved(&self, member: &str) -> bool {
        self.before.iter().any(|fact| matches!(fact, Fact::Current(id, _) if id == member))
    }
}

/// What is null did not change.
fn renewed(before: Subscription, ask: &Ask) -> Subscription {
    let request = &ask.request;
    let names = request.subscribed_topic_names.as_ref().map(|names| names.iter().cloned().collect());
    Subscription {
        instance_id: request.instance_id.clone().or(before.instance_id),
        rack_id: request.rack_id.clone().or(before.rack_id),
        client_id: ask.client_id.clone(),
        client_host: ask.client_host.clone(),
        topics: names.unwrap_or(before.topics),
        pattern: request.subscribed_topic_regex.clone().unwrap_or(before.pattern),
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            ms => ms,
        },
        assignor: request.server_assignor.clone().or(before.assignor),
        classic: None,
    }
}

fn owns_only(owned: Option<&[TopicPartitions]>, assigned: &Held) -> bool {
    let is_its_own = |topic: &TopicPartitions| {
        let held = assigned.get(&topic.topic_id);
        held.is_some_and(|held| topic.partitions.iter().all(|partition| held.contains_key(partition)))
    };
    owned.is_some_and(|owned| owned.iter().all(is_its_own))
}

fn assignment(held: &Held) -> Assignment {
    let one = |(topic_id, partitions): (&ringlog_wire::Uuid, &std::collections::BTreeMap<i32, i32>)| TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        ..Default::default()
    };
    Assignment { topic_partitions: held.iter().map(one).collect(), ..Default::default() }
}

//! A member goes: by itself, because it was silent for too long, or because it did not give back what it was to.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;

use super::heartbeat::Ask;
use super::{Current, Edit, Fact, Held, LEFT_FOR_NOW, Refusal, refuse};

impl Edit<'_> {
    /// Takes a member out; `after_leaving` is what comes then.
    pub(super) fn take_out(&mut self, member: &str) {
        self.remove(member);
        self.has_lost_members = true;
    }

    /// The facts of a member go.
    pub(super) fn remove(&mut self, member: &str) {
        self.put(Fact::Current(member.to_owned(), None));
        self.put(Fact::TargetMember(member.to_owned(), None));
        self.put(Fact::Member(member.to_owned(), None));
    }

    /// `consumerGroupLeave`. A static member that says that it comes back keeps its share until its session is over.
    pub(super) fn leave(&mut self, ask: &Ask) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let (member, epoch) = (ask.request.member_id.clone(), ask.request.member_epoch);
        match &ask.request.instance_id {
            Some(instance_id) => self.check_instance(instance_id, &member)?,
            None if !self.group.members.contains_key(&member) => {
                let message = format!("Member {member} is not a member of group {}.", self.id);
                return refuse(ErrorCode::UNKNOWN_MEMBER_ID, message);
            }
            None => {}
        }
        if ask.request.instance_id.is_some() && epoch == LEFT_FOR_NOW {
            let left = Current { epoch, revoking: Held::new(), ..self.group.current(&member) };
            self.put(Fact::Current(member.clone(), Some(left)));
        } else {
            self.take_out(&member);
        }
        Ok(ConsumerGroupHeartbeatResponse { member_id: Some(member), member_epoch: epoch, ..Default::default() })
    }

    /// Whether the member is the one that has the instance id.
    pub(super) fn check_instance(&self, instance_id: &str, member: &str) -> Result<(), Refusal> {
        match self.group.static_members.get(instance_id) {
            None => refuse(ErrorCode::UNKNOWN_MEMBER_ID, format!("Instance id {instance_id} is unknown.")),
            Some(now) if now != member => {
                let message =
                    format!("Static member {member} with instance id {instance_id} was fenced by member {now}.");
                refuse(ErrorCode::FENCED_INSTANCE_ID, message)
            }
            Some(_) => Ok(()),
        }
    }
}

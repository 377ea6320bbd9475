//! The answers to what is asked of a group, as a change of it may have to wait for the log.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
use ringlog_wire::messages::join_group::JoinGroupResponse;
use ringlog_wire::messages::leave_group::MemberResponse;

use super::super::reply::Waiter;
use super::super::{Effect, GroupResponse};
use super::Refusal;

/// Who is told when the change is in the log.
#[derive(Debug)]
pub(super) enum Answer {
    Heartbeat(Waiter, ConsumerGroupHeartbeatResponse),
    Join(Waiter, JoinGroupResponse),
    Leave(Waiter, Vec<MemberResponse>),
}

impl Answer {
    pub(super) fn sent(self) -> Effect {
        match self {
            Self::Heartbeat(waiter, response) => answered(waiter, response),
            Self::Join(waiter, response) => waiter.join(response),
            Self::Leave(waiter, members) => waiter.leave(ErrorCode::NONE, members),
        }
    }

    pub(super) fn refused(self, refusal: Refusal) -> Effect {
        match self {
            Self::Heartbeat(waiter, _) => refused(waiter, refusal),
            Self::Join(waiter, _) => waiter.join_error("", refusal.error),
            Self::Leave(waiter, _) => waiter.leave(refusal.error, Vec::new()),
        }
    }
}

fn answered(waiter: Waiter, response: ConsumerGroupHeartbeatResponse) -> Effect {
    waiter.with(GroupResponse::ConsumerHeartbeat(response))
}

/// A heartbeat is refused.
pub(super) fn refused(waiter: Waiter, refusal: Refusal) -> Effect {
    let error_message = Some(refusal.message).filter(|message| !message.is_empty());
    answered(
        waiter,
        ConsumerGroupHeartbeatResponse { error_code: refusal.error.0, error_message, ..Default::default() },
    )
}

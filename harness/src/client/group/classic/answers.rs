//! What the coordinator answered, and what its errors mean for the membership.

use ringlog_wire::messages::join_group::JoinGroupResponse;
use ringlog_wire::messages::sync_group::SyncGroupResponse;
use ringlog_wire::{ApiKey, ErrorCode};

use super::super::{Around, Change, Line, Verdict, subscription};
use super::rebalance::without;
use super::{Classic, NO_GENERATION, Phase, Preparing};
use crate::client::ClientError;

impl Classic {
    /// JoinGroup's answer.
    pub(crate) fn on_join(
        &mut self,
        response: &JoinGroupResponse,
        around: &mut Around<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<Verdict, ClientError> {
        self.asked = false;
        if std::mem::take(&mut self.stale) || self.phase != Phase::Joining {
            return Ok(Verdict::Handled);
        }
        let error = ErrorCode(response.error_code);
        if error == ErrorCode::MEMBER_ID_REQUIRED {
            self.member_id.clone_from(&response.member_id);
            return Ok(Verdict::Handled);
        }
        if !error.is_none() {
            return Ok(self.refused(error, around.now_ns, changes));
        }
        let name = response.protocol_name.as_deref().unwrap_or_default();
        let Some(chosen) = self.strategies.iter().copied().find(|strategy| strategy.name() == name) else {
            let text =
                format!("group {}: the coordinator chose the assignor {name}, which we did not name", self.group_id);
            return Err(ClientError::Corrupt(text));
        };
        self.retry.worked();
        (self.reason, self.chosen, self.led) = (None, Some(chosen), None);
        self.member_id.clone_from(&response.member_id);
        self.generation = response.generation_id;
        (self.heard_ns, self.heartbeat_at_ns) = (around.now_ns, around.now_ns.saturating_add(self.heartbeat_ns));
        self.phase = Phase::Syncing(Vec::new());
        if response.leader == response.member_id {
            let members = response.members.iter().map(|member| subscription::member(Some(chosen), member));
            let members = members.collect::<Result<_, _>>()?;
            self.phase = Phase::Electing { members, skip: response.skip_assignment };
        }
        Ok(Verdict::Handled)
    }

    /// SyncGroup's answer.
    pub(crate) fn on_sync(
        &mut self,
        response: &SyncGroupResponse,
        now_ns: u64,
        line: &mut Line<'_>,
    ) -> Result<Verdict, ClientError> {
        self.asked = false;
        if std::mem::take(&mut self.stale) || !matches!(self.phase, Phase::Syncing(_)) {
            return Ok(Verdict::Handled);
        }
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            return Ok(self.refused(error, now_ns, line.changes));
        }
        let assigned = subscription::read_assignment(&response.assignment)?;
        if assigned.iter().any(|(topic, _)| !self.topics.contains(topic)) {
            self.phase = Phase::Stable;
            self.join_again("received assignment does not match the current subscription");
            return Ok(Verdict::Handled);
        }
        self.last = Some((assigned.clone(), self.generation));
        (self.heard_ns, self.heartbeat_at_ns) = (now_ns, now_ns.saturating_add(self.heartbeat_ns));
        self.phase = Phase::Stable;
        if without(&self.owned, &assigned).is_empty() {
            self.take(assigned, line.changes);
        } else {
            self.reason = Some("need to revoke partitions and re-join");
            self.phase = Phase::Preparing(Preparing { assigned: Some(assigned), ..Preparing::default() });
        }
        Ok(Verdict::Handled)
    }

    /// Heartbeat's answer.
    pub(crate) fn on_heartbeat(&mut self, error: ErrorCode, now_ns: u64, changes: &mut Vec<Change>) -> Verdict {
        self.heartbeat_asked = false;
        if error.is_none() || error == ErrorCode::REBALANCE_IN_PROGRESS {
            self.heard_ns = now_ns;
        }
        if error.is_none() {
            return Verdict::Handled;
        }
        self.on_error(error, now_ns, changes)
    }

    /// An error that a heartbeat or a commit brought.
    pub(crate) fn on_error(&mut self, error: ErrorCode, now_ns: u64, changes: &mut Vec<Change>) -> Verdict {
        if !self.beats() {
            return Verdict::Handled;
        }
        match error {
            ErrorCode::REBALANCE_IN_PROGRESS => {
                if self.phase == Phase::Stable {
                    self.join_again("group is already rebalancing");
                }
                Verdict::Handled
            }
            error => self.refused(error, now_ns, changes),
        }
    }

    fn refused(&mut self, error: ErrorCode, now_ns: u64, changes: &mut Vec<Change>) -> Verdict {
        let is_beating = self.beats();
        match error {
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                if error == ErrorCode::UNKNOWN_MEMBER_ID {
                    self.member_id.clear();
                }
                self.generation = NO_GENERATION;
                self.reason = Some("the member id or the generation was refused");
                self.phase = Phase::Joining;
                if !self.owned.is_empty() {
                    changes.push(Change::Lost(std::mem::take(&mut self.owned)));
                }
                return Verdict::Handled;
            }
            ErrorCode::REBALANCE_IN_PROGRESS => {
                self.phase = Phase::Joining;
                return Verdict::Handled;
            }
            _ => {}
        }
        if !is_beating {
            // As in Java an answer to JoinGroup or SyncGroup that failed begins the joining anew.
            self.phase = Phase::Joining;
            self.retry.wait(now_ns);
        }
        match error {
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => Verdict::OtherCoordinator,
            error if error.is_retriable() => Verdict::Handled,
            _ => Verdict::Fatal,
        }
    }

    /// A request was lost with its connection.
    pub(crate) fn lost(&mut self, api: ApiKey, now_ns: u64) {
        match api {
            ApiKey::Heartbeat => self.heartbeat_asked = false,
            ApiKey::JoinGroup | ApiKey::SyncGroup => {
                (self.asked, self.stale) = (false, false);
                if !self.beats() && self.phase != Phase::Away {
                    self.phase = Phase::Joining;
                }
                self.retry.wait(now_ns);
            }
            _ => {}
        }
    }
}

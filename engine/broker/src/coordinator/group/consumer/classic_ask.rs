//! Requests of the classic protocol: to a classic group they go at once; where the group speaks the consumer protocol, or is about to,
//! they are work for its desk, one after the other.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::JoinGroupRequest;
use ringlog_wire::messages::leave_group::LeaveGroupRequest;
use ringlog_wire::messages::sync_group::SyncGroupRequest;

use super::super::{Caller, Effect, GroupCoordinator, Moment, ReplyTo, Topics};
use super::desk::{Work, make_member_id};

/// A request of the classic protocol.
#[derive(Debug)]
pub(in super::super) enum ClassicRequest {
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
}

impl ClassicRequest {
    fn group(&self) -> &str {
        match self {
            Self::Join(request) => &request.group_id,
            Self::Sync(request) => &request.group_id,
            Self::Heartbeat(request) => &request.group_id,
            Self::Leave(request) => &request.group_id,
        }
    }
}

/// The same, and who sent it.
#[derive(Debug)]
pub(in super::super) struct ClassicAsk {
    to: ReplyTo,
    pub(super) api_version: i16,
    pub(super) client_id: String,
    pub(super) client_host: String,
    /// For the id of a member that has none.
    random: [u64; 2],
    pub(super) request: ClassicRequest,
}

impl ClassicAsk {
    fn new(caller: Caller<'_>, request: ClassicRequest, random: &mut dyn FnMut() -> u64) -> Self {
        let joins_anew = matches!(&request, ClassicRequest::Join(request) if request.member_id.is_empty());
        let Caller { to, api_version, client_id, client_host } = caller;
        let random = if joins_anew { [random(), random()] } else { [0; 2] };
        Self { to, api_version, client_id: client_id.to_owned(), client_host: client_host.to_owned(), random, request }
    }

    pub(super) fn caller(&self) -> Caller<'_> {
        let (client_id, client_host) = (&self.client_id, &self.client_host);
        Caller { to: self.to, api_version: self.api_version, client_id, client_host }
    }

    pub(super) fn new_member_id(&self) -> String {
        let mut random = self.random.iter();
        make_member_id(&mut || random.next().copied().unwrap_or_default())
    }

    /// The answer where the group is not served any more.
    pub(super) fn refused(&self, error: ErrorCode) -> Effect {
        let waiter = self.caller().waiter();
        match &self.request {
            ClassicRequest::Join(request) => waiter.join_error(&request.member_id, error),
            ClassicRequest::Sync(_) => waiter.sync_error(error),
            ClassicRequest::Heartbeat(_) => waiter.heartbeat(error),
            ClassicRequest::Leave(_) => waiter.leave(error, Vec::new()),
        }
    }
}

impl GroupCoordinator {
    /// A request of the classic protocol, for a group that speaks it or for one whose members change.
    pub(in super::super) fn classic(
        &mut self,
        caller: Caller<'_>,
        request: ClassicRequest,
        topics: &dyn Topics,
        random: &mut dyn FnMut() -> u64,
        at: Moment,
    ) -> Vec<Effect> {
        let group = request.group();
        if self.owned.check(group).is_err() || !(self.busy.contains_key(group) || self.has_consumers(group)) {
            return self.classic_alone(caller, request, random, at);
        }
        let group = group.to_owned();
        let ask = ClassicAsk::new(caller, request, random);
        self.take_work(&group, Work::Classic(Box::new(ask)), topics, at)
    }

    /// It waited; by now the group speaks the classic protocol.
    pub(super) fn classic_again(&mut self, ask: ClassicAsk, at: Moment) -> Vec<Effect> {
        let ClassicAsk { to, api_version, client_id, client_host, random, request } = ask;
        let caller = Caller { to, api_version, client_id: &client_id, client_host: &client_host };
        let mut random = random.into_iter();
        self.classic_alone(caller, request, &mut || random.next().unwrap_or_default(), at)
    }

    fn classic_alone(
        &mut self,
        caller: Caller<'_>,
        request: ClassicRequest,
        random: &mut dyn FnMut() -> u64,
        at: Moment,
    ) -> Vec<Effect> {
        match request {
            ClassicRequest::Join(request) => self.join(caller, request, random, at),
            ClassicRequest::Sync(request) => self.sync(caller, request, at),
            ClassicRequest::Heartbeat(request) => self.heartbeat(caller, &request, at),
            ClassicRequest::Leave(request) => self.leave(caller, request, at),
        }
    }

    /// Whether somebody is in the group, and it speaks the consumer protocol.
    pub(super) fn has_consumers(&self, group: &str) -> bool {
        let consumers = self.groups.get(group).and_then(|group| group.consumers.as_ref());
        consumers.is_some_and(|consumers| !consumers.is_empty())
    }
}

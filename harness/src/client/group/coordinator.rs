//! Where the group's requests go: the coordinator's node, looked up when it is not known.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::Retry;
use crate::client::config::Backoff;
use crate::client::fetcher::broker_error;
use crate::client::{ClientError, NodeId};

#[derive(Debug)]
pub(super) struct Coordinator {
    group_id: String,
    node: Option<NodeId>,
    asked: bool,
    retry: Retry,
}

impl Coordinator {
    pub(super) fn new(group_id: &str, backoff: Backoff) -> Self {
        Self { group_id: group_id.to_owned(), node: None, asked: false, retry: Retry::new(backoff) }
    }

    pub(super) fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// It is not the coordinator any more, or it is gone.
    pub(super) fn forget(&mut self, now_ns: u64) {
        if self.node.take().is_some() {
            self.retry.wait(now_ns);
        }
    }

    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        (self.node.is_none() && !self.asked).then(|| self.retry.at_ns())
    }

    pub(super) fn request(&mut self, now_ns: u64) -> Option<FindCoordinatorRequest> {
        if self.node.is_some() || self.asked || !self.retry.is_due(now_ns) {
            return None;
        }
        self.asked = true;
        let (key, coordinator_keys) = (self.group_id.clone(), vec![self.group_id.clone()]);
        Some(FindCoordinatorRequest { key, key_type: 0, coordinator_keys, ..FindCoordinatorRequest::default() })
    }

    pub(super) fn lost(&mut self, now_ns: u64) {
        self.asked = false;
        self.retry.wait(now_ns);
    }

    /// Gives the connection's own node id and its address.
    pub(super) fn answer(
        &mut self,
        response: &FindCoordinatorResponse,
        now_ns: u64,
    ) -> Result<Option<(NodeId, String, i32)>, ClientError> {
        self.asked = false;
        let (error, message, node, host, port) = match response.coordinators.first() {
            Some(one) => (one.error_code, &one.error_message, one.node_id, &one.host, one.port),
            None => (response.error_code, &response.error_message, response.node_id, &response.host, response.port),
        };
        let error = ErrorCode(error);
        if error.is_none() {
            // As in the Java client the coordinator has a connection of its own: a heartbeat would otherwise wait
            // behind a fetch that waits for records.
            let node = i32::MAX.wrapping_sub(node);
            self.node = Some(node);
            self.retry.worked();
            return Ok(Some((node, host.clone(), port)));
        }
        self.retry.wait(now_ns);
        if error.is_retriable() {
            return Ok(None);
        }
        let what = format!("group {}: finding the coordinator", self.group_id);
        Err(broker_error(what, error, message.as_deref()))
    }
}

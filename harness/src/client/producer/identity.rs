//! The producer id of an idempotent producer without transactions (KIP-98).

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::super::accumulator::nanos;
use super::super::texts::text_of;
use super::super::{ClientError, DeliverySink};
use super::{Producer, decode};

/// Where the question for a producer id stands.
#[derive(Debug, Default)]
pub(super) struct Identity {
    asked: bool,
    retry_at_ns: u64,
    attempts: u32,
}

impl<S: DeliverySink> Producer<S> {
    pub(super) fn identity_due_ns(&self) -> Option<u64> {
        (self.accumulator.wants_identity() && !self.identity.asked).then_some(self.identity.retry_at_ns)
    }

    pub(super) fn ask_identity(&mut self) -> Result<(), ClientError> {
        let Some(node) = self.network.any_node() else { return Ok(()) };
        if !self.network.is_ready(node) {
            return Ok(());
        }
        self.identity.asked = true;
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        self.network.send(node, &request, Vec::new(), 0)
    }

    pub(super) fn on_identity(&mut self, version: i16, body: &[u8], now_ns: u64) -> Result<(), ClientError> {
        let response: InitProducerIdResponse = decode(body, version)?;
        let error = ErrorCode(response.error_code);
        if error.is_none() {
            self.identity = Identity::default();
            self.accumulator.set_identity(response.producer_id, response.producer_epoch);
            return Ok(());
        }
        if error.is_retriable() {
            self.identity_failed(now_ns);
            return Ok(());
        }
        let message = format!(": {}", text_of(error, None));
        Err(ClientError::Broker { what: "InitProducerId".into(), code: error.0, name: error.name(), message })
    }

    pub(super) fn identity_failed(&mut self, now_ns: u64) {
        let pause = self.config.common.retry_backoff.after(self.identity.attempts);
        self.identity.asked = false;
        self.identity.attempts = self.identity.attempts.saturating_add(1);
        self.identity.retry_at_ns = now_ns.saturating_add(nanos(pause));
    }
}

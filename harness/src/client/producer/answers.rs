//! What brokers answered, and what becomes of the batches that they answered.

use ringlog_wire::messages::metadata::MetadataResponse;
use ringlog_wire::messages::produce::{NodeEndpoint, PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use ringlog_wire::{ApiKey, ErrorCode};

use super::super::accumulator::{Refusal, SentBatch};
use super::super::config::Acks;
use super::super::metadata::Leader;
use super::super::network::NetEvent;
use super::super::texts::text_of;
use super::super::{ClientError, Delivered, DeliverySink, Failed, NodeId, SendError, Topic};
use super::work::PRODUCE_BY_ID;
use super::{Producer, decode};

impl<S: DeliverySink> Producer<S> {
    pub(super) fn on_event(&mut self, event: NetEvent, now_ns: u64) {
        match event {
            NetEvent::Up => {}
            NetEvent::Down { reason, was_used } => {
                if !reason.is_empty() {
                    if !was_used {
                        self.sink.unreachable(&reason);
                    }
                    self.last_down = Some(reason);
                }
                self.metadata.want_update();
                self.check_coordinator(now_ns);
            }
            NetEvent::Lost { api, tag, .. } => self.on_lost(api, tag, now_ns),
            NetEvent::Answer { node, api, version, tag, body, .. } => {
                let outcome = match api {
                    ApiKey::Produce => self.on_produced((node, version), tag, &body, now_ns),
                    ApiKey::Metadata => self.on_metadata(version, &body, now_ns),
                    ApiKey::InitProducerId if self.transactions.is_none() => self.on_identity(version, &body, now_ns),
                    _ => self.on_coordinator(api, version, &body, now_ns),
                };
                if let Err(error) = outcome {
                    self.fatal.get_or_insert(error);
                }
            }
        }
    }

    fn on_lost(&mut self, api: ApiKey, tag: u64, now_ns: u64) {
        self.metadata.want_update();
        match api {
            ApiKey::Metadata => self.metadata.failed(),
            ApiKey::InitProducerId if self.transactions.is_none() => self.identity_failed(now_ns),
            ApiKey::Produce => {
                for batch in self.sent.remove(&tag).into_iter().flatten() {
                    self.refused(batch, Refusal::RetryAsIs, &SendError::Disconnected, now_ns);
                }
            }
            _ => self.coordinator_lost(now_ns),
        }
    }

    fn on_metadata(&mut self, version: i16, body: &[u8], now_ns: u64) -> Result<(), ClientError> {
        let response: MetadataResponse = decode(body, version)?;
        for broker in &response.brokers {
            if let Ok(port) = u16::try_from(broker.port) {
                self.network.set_node(broker.node_id, &broker.host, port);
            }
        }
        self.metadata.update(&response, now_ns);
        self.spread_leaders();
        Ok(())
    }

    pub(super) fn spread_leaders(&mut self) {
        let names: Vec<(Topic, String)> =
            self.accumulator.topics().map(|(topic, name)| (topic, name.to_owned())).collect();
        for (topic, name) in names {
            if let Some(layout) = self.metadata.layout(&name) {
                let leaders: Vec<(Option<NodeId>, i32)> =
                    layout.leaders.iter().map(|leader| (leader.node, leader.epoch)).collect();
                self.accumulator.set_leaders(topic, &leaders);
            }
        }
    }

    fn on_produced(
        &mut self,
        (node, version): (NodeId, i16),
        tag: u64,
        body: &[u8],
        now_ns: u64,
    ) -> Result<(), ClientError> {
        let Some(mut batches) = self.sent.remove(&tag) else { return Ok(()) };
        if self.config.acks == Acks::None {
            batches.into_iter().for_each(|batch| self.delivered(batch, -1, now_ns));
            return Ok(());
        }
        let response: ProduceResponse = match decode(body, version) {
            Ok(response) => response,
            Err(error) => {
                let what = SendError::Broker { code: -1, name: "CORRUPT_RESPONSE", message: error.to_string() };
                batches.into_iter().for_each(|batch| self.refused(batch, Refusal::Fail, &what, now_ns));
                return Err(error);
            }
        };
        let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
        self.stats.throttle_ms_sum += throttle_ms;
        self.stats.throttle_ms_max = self.stats.throttle_ms_max.max(throttle_ms);
        self.network.note_throttle(node, ApiKey::Produce, version, response.throttle_time_ms);
        for topic in &response.responses {
            for partition in &topic.partition_responses {
                let is_it = |batch: &SentBatch| self.is_answer_to(batch, topic, partition, version);
                if let Some(at) = batches.iter().position(is_it) {
                    let batch = batches.swap_remove(at);
                    self.learn_leader(&batch, partition, &response.node_endpoints);
                    self.on_partition(batch, partition, now_ns);
                }
            }
        }
        let silent =
            SendError::Broker { code: -1, name: "NO_ANSWER", message: "the broker left the partition out".into() };
        batches.into_iter().for_each(|batch| self.refused(batch, Refusal::Fail, &silent, now_ns));
        Ok(())
    }

    fn is_answer_to(
        &self,
        batch: &SentBatch,
        topic: &TopicProduceResponse,
        partition: &PartitionProduceResponse,
        version: i16,
    ) -> bool {
        // By the ids of the request: the topic may have been made anew since.
        let same_topic = if version >= PRODUCE_BY_ID {
            batch.topic_id == topic.topic_id
        } else {
            self.accumulator.name(batch.topic) == topic.name
        };
        same_topic && usize::try_from(partition.index) == Ok(batch.partition)
    }

    /// A broker that does not lead the partition says who does (KIP-951): no need to wait for metadata.
    fn learn_leader(&mut self, batch: &SentBatch, partition: &PartitionProduceResponse, nodes: &[NodeEndpoint]) {
        let leader = &partition.current_leader;
        if partition.error_code == 0 || leader.leader_id < 0 || leader.leader_epoch < 0 {
            return;
        }
        if let Some(node) = nodes.iter().find(|node| node.node_id == leader.leader_id)
            && let Ok(port) = u16::try_from(node.port)
        {
            self.network.set_node(node.node_id, &node.host, port);
        }
        let name = self.accumulator.name(batch.topic).to_owned();
        let leader = Leader { node: Some(leader.leader_id), epoch: leader.leader_epoch };
        if self.metadata.lead(&name, batch.partition, leader) {
            self.spread_leaders();
        }
    }

    fn on_partition(&mut self, batch: SentBatch, partition: &PartitionProduceResponse, now_ns: u64) {
        let error = ErrorCode(partition.error_code);
        let how = match error {
            ErrorCode::NONE => return self.delivered(batch, partition.base_offset, now_ns),
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => return self.delivered(batch, -1, now_ns),
            ErrorCode::MESSAGE_TOO_LARGE if batch.marks.len() > 1 => return self.split(batch, now_ns),
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => Refusal::OutOfOrder,
            ErrorCode::UNKNOWN_PRODUCER_ID => Refusal::NewEpoch,
            // The leader may have it, or has it.
            ErrorCode::REQUEST_TIMED_OUT
            | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | ErrorCode::KAFKA_STORAGE_ERROR => Refusal::RetryAsIs,
            error if error.is_retriable() => Refusal::Retry,
            _ => Refusal::Fail,
        };
        if matches!(how, Refusal::Retry | Refusal::RetryAsIs) {
            self.metadata.want_update();
        }
        let message = text_of(error, partition.error_message.as_deref());
        self.refused(batch, how, &SendError::Broker { code: error.0, name: error.name(), message }, now_ns);
    }

    fn split(&mut self, batch: SentBatch, now_ns: u64) {
        let driver = self.network.driver();
        match self.accumulator.split(&batch, &mut |len| driver.buffer(len)) {
            Ok(_) => {
                self.stats.batches_split += 1;
                self.accumulator.recycle(batch.marks);
            }
            Err(error) => {
                let what = SendError::Broker { code: 2, name: "CORRUPT_MESSAGE", message: error.to_string() };
                self.refused(batch, Refusal::Fail, &what, now_ns);
            }
        }
    }

    fn delivered(&mut self, batch: SentBatch, base_offset: i64, done_ns: u64) {
        self.accumulator.done(&batch);
        self.stats.batches += 1;
        self.stats.records += batch.marks.len() as u64;
        self.watch.ended(&batch, Ok((base_offset, done_ns)));
        let partition = i32::try_from(batch.partition).unwrap_or(i32::MAX);
        let SentBatch { topic, topic_id, .. } = batch;
        let marks = &batch.marks;
        self.sink.delivered(&Delivered { topic, topic_id, partition, base_offset, done_ns, marks });
        self.accumulator.recycle(batch.marks);
    }

    fn refused(&mut self, mut batch: SentBatch, how: Refusal, error: &SendError, now_ns: u64) {
        batch.refused_with = match error {
            SendError::Broker { name, .. } => Some(name),
            SendError::Disconnected => Some("the connection ended before an answer"),
            _ => batch.refused_with,
        };
        match self.accumulator.refused(batch, how, now_ns) {
            None => self.stats.retries += 1,
            Some(batch)
                if matches!(how, Refusal::Retry | Refusal::RetryAsIs)
                    && self.config.retries > batch.attempts()
                    && batch.attempts() > 0 =>
            {
                let expiry = self.expiry_of(&batch, now_ns);
                self.report_failed(batch, &expiry);
            }
            Some(batch) => self.report_failed(batch, error),
        }
    }

    pub(super) fn report_failed(&mut self, batch: SentBatch, error: &SendError) {
        self.stats.failed_records += batch.marks.len() as u64;
        self.watch.ended(&batch, Err(error));
        if let Some(transactions) = &mut self.transactions {
            transactions.batch_failed(error);
        }
        let partition = i32::try_from(batch.partition).unwrap_or(i32::MAX);
        let done_ns = self.network.now_ns();
        self.sink.failed(&Failed { topic: batch.topic, partition, error, done_ns, marks: &batch.marks });
        self.accumulator.recycle(batch.marks);
    }
}

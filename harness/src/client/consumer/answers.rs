//! What the network brought, handed to whom it concerns.

use ringlog_io::Slice;
use ringlog_wire::messages::fetch::FetchResponse;
use ringlog_wire::messages::metadata::MetadataResponse;
use ringlog_wire::{ApiKey, ErrorCode};

use super::super::fetcher::{Outcome, broker_error};
use super::super::group::Around;
use super::super::network::NetEvent;
use super::super::producer::decode;
use super::super::{ClientError, NodeId};
use super::Consumer;

/// A request that was answered or lost.
#[derive(Clone, Copy)]
struct Asked {
    node: NodeId,
    api: ApiKey,
    tag: u64,
}

impl Consumer {
    pub(super) fn on_event(&mut self, event: NetEvent, now_ns: u64) -> Result<(), ClientError> {
        match event {
            NetEvent::Up => Ok(()),
            NetEvent::Down { reason, was_used } => {
                if !reason.is_empty() {
                    if !was_used {
                        self.on_unreachable.iter_mut().for_each(|tell| tell(&reason));
                        self.unreachable = Some(reason.clone());
                    }
                    self.last_down = Some(reason);
                }
                self.metadata.want_update();
                Ok(())
            }
            NetEvent::Lost { node, api, tag, .. } => {
                self.on_lost(Asked { node, api, tag }, now_ns);
                Ok(())
            }
            NetEvent::Answer { node, api, version, body, took_ns, tag, .. } => {
                self.on_answer(Asked { node, api, tag }, version, &body, (took_ns, now_ns))
            }
        }
    }

    fn on_lost(&mut self, asked: Asked, now_ns: u64) {
        self.metadata.want_update();
        match asked.api {
            ApiKey::Metadata => self.metadata.failed(),
            ApiKey::Fetch => self.fetcher.lost(asked.node),
            ApiKey::ListOffsets if asked.tag == 0 => self.fetcher.lookup_lost(now_ns),
            ApiKey::ListOffsets => {
                if let Some((_, question)) = &mut self.question {
                    question.lost(asked.node, now_ns);
                }
            }
            ApiKey::OffsetForLeaderEpoch => self.fetcher.check_lost(now_ns),
            ApiKey::LeaveGroup => {}
            api => {
                if let Some(group) = &mut self.group {
                    group.lost(api, asked.tag, now_ns);
                }
            }
        }
    }

    fn on_answer(
        &mut self,
        asked: Asked,
        version: i16,
        body: &Slice,
        (took_ns, now_ns): (u64, u64),
    ) -> Result<(), ClientError> {
        let outcome = match asked.api {
            ApiKey::Metadata => return self.on_metadata(&decode(body, version)?, now_ns),
            ApiKey::Fetch => self.on_fetched((asked.node, took_ns), decode(body, version)?, body, now_ns)?,
            ApiKey::ListOffsets if asked.tag == 0 => self.fetcher.lookup_response(&decode(body, version)?, now_ns)?,
            ApiKey::ListOffsets => self.on_question_answer(asked, version, body, now_ns)?,
            ApiKey::OffsetForLeaderEpoch => self.fetcher.check_response(&decode(body, version)?, now_ns)?,
            _ => return self.on_group_answer(asked, version, body, now_ns),
        };
        self.act_on(outcome);
        Ok(())
    }

    fn act_on(&mut self, outcome: Outcome) {
        for endpoint in &outcome.endpoints {
            if let Ok(port) = u16::try_from(endpoint.port) {
                self.network.set_node(endpoint.node_id, &endpoint.host, port);
            }
        }
        for (partition, node, epoch) in &outcome.leaders {
            if self.metadata.new_leader(&partition.0, partition.1, *node, *epoch) {
                self.fetcher.end_rest(partition);
            }
        }
        if outcome.stale_metadata {
            self.metadata.want_update();
        }
    }

    fn on_question_answer(
        &mut self,
        asked: Asked,
        version: i16,
        body: &[u8],
        now_ns: u64,
    ) -> Result<Outcome, ClientError> {
        let Some((_, question)) = self.question.as_mut().filter(|(tag, _)| *tag == asked.tag) else {
            return Ok(Outcome::default());
        };
        let stale_metadata = question.response(&decode(body, version)?, now_ns)?;
        Ok(Outcome { stale_metadata, ..Outcome::default() })
    }

    fn on_metadata(&mut self, response: &MetadataResponse, now_ns: u64) -> Result<(), ClientError> {
        for broker in &response.brokers {
            if let Ok(port) = u16::try_from(broker.port) {
                self.network.set_node(broker.node_id, &broker.host, port);
            }
        }
        self.metadata.update(response, now_ns);
        self.match_pattern(now_ns);
        // A pattern asks about every topic: those that are not ours to see are not ours to read either.
        let is_used = self.pattern.is_none();
        let refused = response.topics.iter().filter(|_| is_used).find(|topic| {
            let error = ErrorCode(topic.error_code);
            error == ErrorCode::TOPIC_AUTHORIZATION_FAILED || error == ErrorCode::INVALID_TOPIC_EXCEPTION
        });
        match refused {
            None => Ok(()),
            Some(topic) => {
                let what = format!("topic {}", topic.name.as_deref().unwrap_or_default());
                Err(broker_error(what, ErrorCode(topic.error_code), None))
            }
        }
    }

    fn on_fetched(
        &mut self,
        (node, took_ns): (NodeId, u64),
        response: FetchResponse,
        body: &Slice,
        now_ns: u64,
    ) -> Result<Outcome, ClientError> {
        let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
        let outcome = self.fetcher.response(node, response, body, now_ns)?;
        self.stats.fetches += 1;
        self.stats.fetched_bytes += outcome.bytes;
        self.stats.fetched_bytes_max = self.stats.fetched_bytes_max.max(outcome.bytes);
        self.stats.fetch_ns_sum += took_ns;
        self.stats.fetch_ns_max = self.stats.fetch_ns_max.max(took_ns);
        self.stats.throttle_ms_sum += throttle_ms;
        self.stats.throttle_ms_max = self.stats.throttle_ms_max.max(throttle_ms);
        Ok(outcome)
    }

    fn on_group_answer(&mut self, asked: Asked, version: i16, body: &[u8], now_ns: u64) -> Result<(), ClientError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        match asked.api {
            ApiKey::FindCoordinator => {
                if let Some((node, host, port)) = group.on_coordinator(&decode(body, version)?, now_ns)?
                    && let Ok(port) = u16::try_from(port)
                {
                    self.network.set_node(node, &host, port);
                }
                Ok(())
            }
            ApiKey::JoinGroup => {
                let (metadata, fetcher) = (&mut self.metadata, &self.fetcher);
                group.on_join(&decode(body, version)?, &mut Around { now_ns, metadata, fetcher, polls: true })
            }
            ApiKey::SyncGroup => group.on_sync(&decode(body, version)?, now_ns),
            ApiKey::Heartbeat => group.on_heartbeat(&decode(body, version)?, now_ns),
            ApiKey::ConsumerGroupHeartbeat => group.on_modern(&decode(body, version)?, now_ns),
            ApiKey::OffsetCommit => group.on_commit(asked.tag, &decode(body, version)?, now_ns),
            ApiKey::OffsetFetch => {
                let stored = group.on_positions(asked.tag, &decode(body, version)?, now_ns)?;
                self.fetcher.committed(&stored);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

//! What the network counted by broker and by API: the figures behind Kafka's `*-node-metrics` and
//! `consumer-coordinator-metrics`.
//!
//! A few words per broker and per API that was used; an entry is touched once a request, never once a record.

use std::collections::BTreeMap;

use ringlog_wire::ApiKey;

use super::{NetworkStats, NodeId};

/// Requests of one API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiTally {
    /// Answers received.
    pub answers: u64,
    /// Sum of the times from a request to its answer, in nanoseconds.
    pub latency_ns_sum: u64,
    /// The longest of them.
    pub latency_ns_max: u64,
    /// When the last answer came, nanoseconds of the driver's clock.
    pub last_answer_ns: u64,
}

/// See the module's description.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    nodes: BTreeMap<NodeId, NetworkStats>,
    apis: BTreeMap<i16, ApiTally>,
}

impl Tally {
    /// The brokers that were talked to, in the order of their ids. Bootstrap servers have negative ids. Of each
    /// broker's figures those of connections are 0: they are counted for the client as a whole.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NetworkStats)> {
        self.nodes.iter().map(|(id, stats)| (*id, stats))
    }

    /// What is known of one API: nothing but zeros where it was not used.
    #[must_use]
    pub fn api(&self, api: ApiKey) -> ApiTally {
        self.apis.get(&api.key()).copied().unwrap_or_default()
    }

    pub(crate) fn sent(&mut self, node: NodeId, bytes: usize) {
        let stats = self.nodes.entry(node).or_default();
        stats.requests += 1;
        stats.sent_bytes += bytes as u64;
        stats.request_bytes_max = stats.request_bytes_max.max(bytes as u64);
    }

    pub(crate) fn received(&mut self, node: NodeId, bytes: usize) {
        self.nodes.entry(node).or_default().received_bytes += bytes as u64;
    }

    pub(crate) fn answered(&mut self, node: NodeId, api: ApiKey, took_ns: u64, now_ns: u64) {
        let stats = self.nodes.entry(node).or_default();
        stats.answers += 1;
        stats.latency_ns_sum += took_ns;
        stats.latency_ns_max = stats.latency_ns_max.max(took_ns);
        let tally = self.apis.entry(api.key()).or_default();
        tally.answers += 1;
        tally.latency_ns_sum += took_ns;
        tally.latency_ns_max = tally.latency_ns_max.max(took_ns);
        tally.last_answer_ns = now_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_broker_and_by_api() {
        let mut tally = Tally::default();
        tally.sent(1, 100);
        tally.sent(2, 50);
        tally.sent(1, 300);
        tally.received(1, 40);
        tally.answered(1, ApiKey::Heartbeat, 7, 1000);
        tally.answered(1, ApiKey::Heartbeat, 5, 2000);
        let (id, first) = tally.nodes().next().unwrap();
        assert_eq!((id, first.requests, first.sent_bytes, first.request_bytes_max), (1, 2, 400, 300));
        assert_eq!((first.received_bytes, first.answers, first.latency_ns_sum), (40, 2, 12));
        let wanted = ApiTally { answers: 2, latency_ns_sum: 12, latency_ns_max: 7, last_answer_ns: 2000 };
        assert_eq!(tally.api(ApiKey::Heartbeat), wanted);
        assert_eq!(tally.api(ApiKey::JoinGroup), ApiTally::default());
    }
}

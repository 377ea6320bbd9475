//! The metrics that producers and consumers have in common, under Kafka's groups, names and tags: connections, bytes,
//! requests, brokers.
//!
//! Rates are those of the whole life of the client: a total divided by the seconds since it was opened. Kafka's are of
//! the last one to two windows of 30 seconds, and in the first half minute it divides by 30 s more than have passed.
//! Averages are of the whole life too. Where nothing was counted, an average and a maximum are NaN, as Kafka's.

use ringlog_io::Nanos;

use super::metrics::{Metrics, average};
use crate::client::{NetworkStats, NodeId, Tally};

/// What is asked of a client for its table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed<'a> {
    /// `producer` or `consumer`.
    pub(crate) kind: &'static str,
    pub(crate) client_id: &'a str,
    pub(crate) elapsed_ns: u64,
    /// When the table is made, milliseconds since 1970.
    pub(crate) wall_ms: i64,
    pub(crate) network: NetworkStats,
    pub(crate) tally: &'a Tally,
    /// Times that the client's thread waited for the network.
    pub(crate) waits: u64,
    /// Nobody authenticates: then what is counted of it is 0. Elsewhere it is not counted.
    pub(crate) is_plaintext: bool,
}

impl Observed<'_> {
    pub(crate) fn elapsed_s(&self) -> f64 {
        self.elapsed_ns as f64 / 1e9
    }

    pub(crate) fn tags(&self) -> String {
        format!("client-id={}", self.client_id)
    }

    /// Adds everything; the count of metrics comes last, which counts itself.
    pub(crate) fn put(&self, metrics: &mut Metrics) {
        self.put_network(metrics);
        self.put_nodes(metrics);
        if self.is_plaintext {
            self.put_no_authentication(metrics);
        }
        self.put_app_info(metrics);
        let count = metrics.len() + 1;
        metrics.number("kafka-metrics-count", &self.tags(), "count", count as f64);
    }

    fn put_network(&self, metrics: &mut Metrics) {
        let (stats, elapsed_s) = (self.network, self.elapsed_s());
        let mut put = |name: &str, value: f64| {
            metrics.number(&format!("{}-metrics", self.kind), &self.tags(), name, value);
        };
        let mut both = |name: &str, total: u64| {
            put(&format!("{name}-total"), total as f64);
            put(&format!("{name}-rate"), total as f64 / elapsed_s);
        };
        both("connection-close", stats.connections_closed);
        both("connection-creation", stats.connections_opened);
        both("incoming-byte", stats.received_bytes);
        both("outgoing-byte", stats.sent_bytes);
        both("network-io", stats.requests + stats.answers);
        both("select", self.waits);
        put("connection-count", (stats.connections_opened - stats.connections_closed) as f64);
        put("request-rate", stats.requests as f64 / elapsed_s);
        put("request-total", stats.requests as f64);
        put("request-size-avg", average(stats.sent_bytes as f64, stats.requests as f64));
        put("request-size-max", maximum(stats.request_bytes_max, stats.requests));
        put("response-rate", stats.answers as f64 / elapsed_s);
        put("response-total", stats.answers as f64);
    }

    fn put_nodes(&self, metrics: &mut Metrics) {
        for (id, stats) in self.tally.nodes() {
            let tags = format!("{}, node-id=node-{}", self.tags(), kafka_s_id(id));
            let mut put =
                |name: &str, value: f64| metrics.number(&format!("{}-node-metrics", self.kind), &tags, name, value);
            put("incoming-byte-rate", stats.received_bytes as f64 / self.elapsed_s());
            put("incoming-byte-total", stats.received_bytes as f64);
            put("outgoing-byte-rate", stats.sent_bytes as f64 / self.elapsed_s());
            put("outgoing-byte-total", stats.sent_bytes as f64);
            put("request-latency-avg", average(stats.latency_ns_sum as f64 / 1e6, stats.answers as f64));
            put("request-latency-max", ms_maximum(stats.latency_ns_max, stats.answers));
            put("request-rate", stats.requests as f64 / self.elapsed_s());
            put("request-size-avg", average(stats.sent_bytes as f64, stats.requests as f64));
            put("request-size-max", maximum(stats.request_bytes_max, stats.requests));
            put("request-total", stats.requests as f64);
            put("response-rate", stats.answers as f64 / self.elapsed_s());
            put("response-total", stats.answers as f64);
        }
    }

    fn put_no_authentication(&self, metrics: &mut Metrics) {
        let mut put = |name: &str, value: f64| {
            metrics.number(&format!("{}-metrics", self.kind), &self.tags(), name, value);
        };
        for name in ["failed-authentication", "failed-reauthentication"]
            .into_iter()
            .chain(["successful-authentication", "successful-reauthentication"])
        {
            put(&format!("{name}-rate"), 0.0);
            put(&format!("{name}-total"), 0.0);
        }
        put("successful-authentication-no-reauth-total", 0.0);
        put("reauthentication-latency-avg", f64::NAN);
        put("reauthentication-latency-max", f64::NAN);
    }

    fn put_app_info(&self, metrics: &mut Metrics) {
        let start_ms = self.wall_ms - i64::try_from(self.elapsed_ns / 1_000_000).unwrap_or(0);
        // What Kafka's says of a build that does not know its commit.
        metrics.text("app-info", &self.tags(), "commit-id", "unknown");
        metrics.text("app-info", &self.tags(), "start-time-ms", &start_ms.to_string());
        metrics.text("app-info", &self.tags(), "version", env!("CARGO_PKG_VERSION"));
    }
}

/// Java's clients number bootstrap servers -1, -2, ..; ours from the lowest number up.
fn kafka_s_id(id: NodeId) -> NodeId {
    if id < 0 { NodeId::MIN - id - 1 } else { id }
}

/// A maximum, NaN of nothing.
pub(crate) fn maximum(max: u64, count: u64) -> f64 {
    if count == 0 { f64::NAN } else { max as f64 }
}

/// A maximum of nanoseconds in milliseconds, NaN of nothing.
pub(crate) fn ms_maximum(max_ns: u64, count: u64) -> f64 {
    maximum(max_ns, count) / 1e6
}

/// Whole seconds since `then`; -1 where it never was.
pub(crate) fn seconds_ago(then_ns: u64, now: Nanos) -> f64 {
    if then_ns == 0 { -1.0 } else { (now.0.saturating_sub(then_ns) / 1_000_000_000) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(is_plaintext: bool) -> String {
        let network = NetworkStats { requests: 4, answers: 4, sent_bytes: 400, ..NetworkStats::default() };
        let mut tally = Tally::default();
        tally.sent(1, 100);
        tally.sent(NodeId::MIN, 60);
        tally.sent(NodeId::MIN + 1, 70);
        let observed = Observed {
            kind: "producer",
            client_id: "c",
            elapsed_ns: 2_000_000_000,
            wall_ms: 5000,
            network,
            tally: &tally,
            waits: 7,
            is_plaintext,
        };
        let mut metrics = Metrics::default();
        observed.put(&mut metrics);
        metrics.table()
    }

    fn value(table: &str, name: &str) -> Option<String> {
        let line = table.lines().find(|line| line.starts_with(name))?;
        line.rsplit(" : ").next().map(str::to_owned)
    }

    #[test]
    fn rates_are_of_the_whole_life_and_averages_of_nothing_are_no_number() {
        let table = table(true);
        let of = |name: &str| value(&table, name).unwrap_or_default();
        assert_eq!(of("producer-metrics:request-rate:{client-id=c}"), "2.000");
        assert_eq!(of("producer-metrics:request-size-avg:{client-id=c}"), "100.000");
        assert_eq!(of("producer-metrics:select-total:{client-id=c}"), "7.000");
        assert_eq!(of("producer-node-metrics:request-total:{client-id=c, node-id=node-1}"), "1.000");
        assert_eq!(of("producer-node-metrics:outgoing-byte-total:{client-id=c, node-id=node--1}"), "60.000");
        assert_eq!(of("producer-node-metrics:outgoing-byte-total:{client-id=c, node-id=node--2}"), "70.000");
        assert_eq!(of("producer-node-metrics:request-latency-max:{client-id=c, node-id=node-1}"), "NaN");
        assert_eq!(of("app-info:start-time-ms:{client-id=c}"), "3000");
        let count = format!("{}.000", table.lines().count() - 2);
        assert_eq!(of("kafka-metrics-count:count:{client-id=c}"), count);
    }

    #[test]
    fn authentication_is_counted_as_none_only_where_there_is_none() {
        let name = "producer-metrics:successful-authentication-total:";
        assert_eq!(value(&table(true), name).as_deref(), Some("0.000"));
        assert_eq!(value(&table(false), name), None);
    }

    #[test]
    fn what_never_was_is_minus_one_second_ago() {
        assert_eq!(seconds_ago(0, Nanos(5)), -1.0);
        assert_eq!(seconds_ago(1_000_000_000, Nanos(3_900_000_000)), 2.0);
    }
}

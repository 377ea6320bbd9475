//! The metrics of `--print-metrics` that this client knows, under Kafka's names.

use crate::cli::metrics::{Metrics, average};
use crate::client::Consumer;

/// The table after a run.
pub(crate) fn of(consumer: &Consumer) -> String {
    let mut metrics = Metrics::default();
    let tags = format!("client-id={}", consumer.config().common.client_id);
    let elapsed_s = consumer.elapsed_ns() as f64 / 1e9;
    fetches(&mut metrics, consumer, &tags, elapsed_s);
    network(&mut metrics, consumer, &tags, elapsed_s);
    metrics.text("app-info", &tags, "version", env!("CARGO_PKG_VERSION"));
    metrics.table()
}

fn fetches(metrics: &mut Metrics, consumer: &Consumer, tags: &str, elapsed_s: f64) {
    let stats = consumer.stats();
    let (fetches, bytes) = (stats.fetches as f64, stats.fetched_bytes as f64);
    let mut put = |name: &str, value: f64| metrics.number("consumer-fetch-manager-metrics", tags, name, value);
    put("bytes-consumed-rate", bytes / elapsed_s);
    put("bytes-consumed-total", bytes);
    put("fetch-latency-avg", average(stats.fetch_ns_sum as f64 / 1e6, fetches));
    put("fetch-latency-max", stats.fetch_ns_max as f64 / 1e6);
    put("fetch-rate", fetches / elapsed_s);
    put("fetch-size-avg", average(bytes, fetches));
    put("fetch-size-max", stats.fetched_bytes_max as f64);
    put("fetch-throttle-time-avg", average(stats.throttle_ms_sum as f64, fetches));
    put("fetch-throttle-time-max", stats.throttle_ms_max as f64);
    put("fetch-total", fetches);
    put("records-consumed-rate", stats.records as f64 / elapsed_s);
    put("records-consumed-total", stats.records as f64);
    put("records-lag", consumer.lag() as f64);
    put("records-per-request-avg", average(stats.records as f64, fetches));
}

fn network(metrics: &mut Metrics, consumer: &Consumer, tags: &str, elapsed_s: f64) {
    let stats = consumer.network_stats();
    let mut put = |name: &str, value: f64| metrics.number("consumer-metrics", tags, name, value);
    put("connection-close-total", stats.connections_closed as f64);
    put("connection-count", (stats.connections_opened - stats.connections_closed) as f64);
    put("connection-creation-total", stats.connections_opened as f64);
    put("incoming-byte-rate", stats.received_bytes as f64 / elapsed_s);
    put("incoming-byte-total", stats.received_bytes as f64);
    put("outgoing-byte-rate", stats.sent_bytes as f64 / elapsed_s);
    put("outgoing-byte-total", stats.sent_bytes as f64);
    put("request-rate", stats.requests as f64 / elapsed_s);
    put("request-size-avg", average(stats.sent_bytes as f64, stats.requests as f64));
    put("request-size-max", stats.request_bytes_max as f64);
    put("request-total", stats.requests as f64);
    put("response-rate", stats.answers as f64 / elapsed_s);
    put("response-total", stats.answers as f64);
}

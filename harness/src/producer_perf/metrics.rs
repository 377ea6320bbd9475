//! The metrics of `--print-metrics` that this client knows, under Kafka's names.

use super::Outcome;
use crate::cli::metrics::{Metrics, average};
use crate::client::Producer;

/// The table after a run.
pub(crate) fn of(producer: &mut Producer<Outcome>, topic: &str, client_id: &str) -> String {
    let mut metrics = Metrics::default();
    let elapsed_s = producer.elapsed_ns() as f64 / 1e9;
    records(&mut metrics, producer, client_id, elapsed_s);
    requests(&mut metrics, producer, client_id, elapsed_s);
    per_topic(&mut metrics, producer, (topic, client_id), elapsed_s);
    metrics.text("app-info", &format!("client-id={client_id}"), "version", env!("CARGO_PKG_VERSION"));
    metrics.table()
}

fn records(metrics: &mut Metrics, producer: &Producer<Outcome>, client_id: &str, elapsed_s: f64) {
    let stats = producer.stats();
    let tags = format!("client-id={client_id}");
    let mut put = |name: &str, value: f64| metrics.number("producer-metrics", &tags, name, value);
    put("batch-size-avg", average(stats.batch_bytes as f64, stats.batches_sent as f64));
    put("batch-size-max", stats.batch_bytes_max as f64);
    put("buffer-available-bytes", producer.buffer_available_bytes() as f64);
    put("buffer-total-bytes", producer.config().buffer_memory as f64);
    put("bufferpool-wait-time-ns-total", stats.memory_wait_ns as f64);
    put("bufferpool-wait-ratio", stats.memory_wait_ns as f64 / 1e9 / elapsed_s);
    put("compression-rate-avg", average(stats.batch_bytes as f64, stats.raw_batch_bytes as f64));
    put("metadata-age", producer.metadata_age_ns().map_or(f64::NAN, |age| age as f64 / 1e9));
    put("metadata-wait-time-ns-total", stats.metadata_wait_ns as f64);
    put("produce-throttle-time-avg", average(stats.throttle_ms_sum as f64, stats.produce_requests as f64));
    put("produce-throttle-time-max", stats.throttle_ms_max as f64);
    put("record-error-rate", stats.failed_records as f64 / elapsed_s);
    put("record-error-total", stats.failed_records as f64);
    put("record-queue-time-avg", average(stats.queue_ns_sum as f64 / 1e6, stats.batches_sent as f64));
    put("record-queue-time-max", stats.queue_ns_max as f64 / 1e6);
    put("record-retry-rate", stats.retried_records as f64 / elapsed_s);
    put("record-retry-total", stats.retried_records as f64);
    put("record-send-rate", stats.produce_request_records as f64 / elapsed_s);
    put("record-send-total", stats.produce_request_records as f64);
    put("record-size-avg", average(stats.payload_bytes as f64, stats.records as f64));
    put("records-per-request-avg", average(stats.produce_request_records as f64, stats.produce_requests as f64));
}

fn requests(metrics: &mut Metrics, producer: &Producer<Outcome>, client_id: &str, elapsed_s: f64) {
    let stats = producer.network_stats();
    let tags = format!("client-id={client_id}");
    let mut put = |name: &str, value: f64| metrics.number("producer-metrics", &tags, name, value);
    put("connection-close-total", stats.connections_closed as f64);
    put("connection-count", (stats.connections_opened - stats.connections_closed) as f64);
    put("connection-creation-total", stats.connections_opened as f64);
    put("incoming-byte-rate", stats.received_bytes as f64 / elapsed_s);
    put("incoming-byte-total", stats.received_bytes as f64);
    put("outgoing-byte-rate", stats.sent_bytes as f64 / elapsed_s);
    put("outgoing-byte-total", stats.sent_bytes as f64);
    put("request-latency-avg", average(stats.latency_ns_sum as f64 / 1e6, stats.answers as f64));
    put("request-latency-max", stats.latency_ns_max as f64 / 1e6);
    put("request-rate", stats.requests as f64 / elapsed_s);
    put("request-size-avg", average(stats.sent_bytes as f64, stats.requests as f64));
    put("request-size-max", stats.request_bytes_max as f64);
    put("request-total", stats.requests as f64);
    put("requests-in-flight", 0.0);
    put("response-rate", stats.answers as f64 / elapsed_s);
    put("response-total", stats.answers as f64);
}

fn per_topic(metrics: &mut Metrics, producer: &Producer<Outcome>, names: (&str, &str), elapsed_s: f64) {
    let stats = producer.stats();
    let tags = format!("client-id={}, topic={}", names.1, names.0);
    let mut put = |name: &str, value: f64| metrics.number("producer-topic-metrics", &tags, name, value);
    put("byte-rate", stats.batch_bytes as f64 / elapsed_s);
    put("byte-total", stats.batch_bytes as f64);
    put("compression-rate", average(stats.batch_bytes as f64, stats.raw_batch_bytes as f64));
    put("record-error-total", stats.failed_records as f64);
    put("record-retry-total", stats.retried_records as f64);
    put("record-send-rate", stats.produce_request_records as f64 / elapsed_s);
    put("record-send-total", stats.produce_request_records as f64);
}

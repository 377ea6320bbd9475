//! The table of `--print-metrics`: what this client counts, under Kafka's names. harness/docs/perf-tools.md lists the
//! names that it does not have, with the reason.

use ringlog_io::{Clock as _, SystemClock};

use crate::cli::client_metrics::{Observed, maximum, ms_maximum};
use crate::cli::metrics::{Metrics, average};
use crate::client::{Producer, ProducerStats};
use crate::load::ear::Ear;

/// The table after a run.
pub(crate) fn of(producer: &mut Producer<Ear>, topic: &str, client_id: &str) -> String {
    let mut metrics = Metrics::default();
    let waits = producer.driver().counters().waits;
    let observed = Observed {
        kind: "producer",
        client_id,
        elapsed_ns: producer.elapsed_ns(),
        wall_ms: SystemClock::new().wall_ms(),
        network: producer.network_stats(),
        tally: producer.tally(),
        waits,
        is_plaintext: producer.config().common.security.tls.is_none()
            && producer.config().common.security.sasl.is_none(),
    };
    put_records(&mut metrics, producer, &observed);
    put_requests(&mut metrics, &observed);
    put_transactions(&mut metrics, &producer.stats(), &observed);
    put_topic(&mut metrics, &producer.stats(), topic, &observed);
    observed.put(&mut metrics);
    metrics.table()
}

fn put_records(metrics: &mut Metrics, producer: &Producer<Ear>, observed: &Observed<'_>) {
    let (stats, elapsed_s) = (producer.stats(), observed.elapsed_s());
    let tags = observed.tags();
    let mut put = |name: &str, value: f64| metrics.number("producer-metrics", &tags, name, value);
    put("batch-size-avg", average(stats.batch_bytes as f64, stats.batches_sent as f64));
    put("batch-size-max", maximum(stats.batch_bytes_max, stats.batches_sent));
    put("batch-split-rate", stats.batches_split as f64 / elapsed_s);
    put("batch-split-total", stats.batches_split as f64);
    put("buffer-available-bytes", producer.buffer_available_bytes() as f64);
    put("buffer-total-bytes", producer.config().buffer_memory as f64);
    put("bufferpool-wait-time-ns-total", stats.memory_wait_ns as f64);
    put("bufferpool-wait-ratio", stats.memory_wait_ns as f64 / 1e9 / elapsed_s);
    put("compression-rate-avg", average(stats.batch_bytes as f64, stats.raw_batch_bytes as f64));
    put("metadata-age", producer.metadata_age_ns().map_or(f64::NAN, |age| age as f64 / 1e9));
    put("metadata-wait-time-ns-total", stats.metadata_wait_ns as f64);
    put("produce-throttle-time-avg", average(stats.throttle_ms_sum as f64, stats.produce_requests as f64));
    put("produce-throttle-time-max", maximum(stats.throttle_ms_max, stats.produce_requests));
    put("record-error-rate", stats.failed_records as f64 / elapsed_s);
    put("record-error-total", stats.failed_records as f64);
    put("record-queue-time-avg", average(stats.queue_ns_sum as f64 / 1e6, stats.batches_sent as f64));
    put("record-queue-time-max", ms_maximum(stats.queue_ns_max, stats.batches_sent));
    put("record-retry-rate", stats.retried_records as f64 / elapsed_s);
    put("record-retry-total", stats.retried_records as f64);
    put("record-send-rate", stats.produce_request_records as f64 / elapsed_s);
    put("record-send-total", stats.produce_request_records as f64);
    put("record-size-avg", average(stats.record_len_max_sum as f64, stats.batches_sent as f64));
    put("record-size-max", maximum(stats.record_len_max, stats.batches_sent));
    put("records-per-request-avg", average(stats.produce_request_records as f64, stats.produce_requests as f64));
    // The one thread that could wait for memory or metadata is here.
    put("waiting-threads", 0.0);
}

fn put_requests(metrics: &mut Metrics, observed: &Observed<'_>) {
    let (stats, tags) = (observed.network, observed.tags());
    let mut put = |name: &str, value: f64| metrics.number("producer-metrics", &tags, name, value);
    put("request-latency-avg", average(stats.latency_ns_sum as f64 / 1e6, stats.answers as f64));
    put("request-latency-max", ms_maximum(stats.latency_ns_max, stats.answers));
    put("requests-in-flight", stats.requests.saturating_sub(stats.answers) as f64);
}

/// The tool sends no consumer's offsets.
fn put_transactions(metrics: &mut Metrics, stats: &ProducerStats, observed: &Observed<'_>) {
    let [init, begin, commit, abort] = stats.transaction_ns;
    for (step, ns) in [("init", init), ("begin", begin), ("commit", commit), ("abort", abort), ("send-offsets", 0)] {
        metrics.number("producer-metrics", &observed.tags(), &format!("txn-{step}-time-ns-total"), ns as f64);
    }
}

fn put_topic(metrics: &mut Metrics, stats: &ProducerStats, topic: &str, observed: &Observed<'_>) {
    let (tags, elapsed_s) = (format!("{}, topic={topic}", observed.tags()), observed.elapsed_s());
    let mut put = |name: &str, value: f64| metrics.number("producer-topic-metrics", &tags, name, value);
    put("byte-rate", stats.batch_bytes as f64 / elapsed_s);
    put("byte-total", stats.batch_bytes as f64);
    put("compression-rate", average(stats.batch_bytes as f64, stats.raw_batch_bytes as f64));
    put("record-error-rate", stats.failed_records as f64 / elapsed_s);
    put("record-error-total", stats.failed_records as f64);
    put("record-retry-rate", stats.retried_records as f64 / elapsed_s);
    put("record-retry-total", stats.retried_records as f64);
    put("record-send-rate", stats.produce_request_records as f64 / elapsed_s);
    put("record-send-total", stats.produce_request_records as f64);
}

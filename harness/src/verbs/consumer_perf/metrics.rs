//! The table of `--print-metrics`: what this client counts, under Kafka's names. harness/docs/perf-tools.md lists the
//! names that it does not have, with the reason.

use ringlog_io::{Clock as _, Nanos, SystemClock};
use ringlog_wire::ApiKey;

use crate::cli::client_metrics::{Observed, maximum, ms_maximum, seconds_ago};
use crate::cli::metrics::{Metrics, average};
use crate::client::{ApiTally, Consumer, ConsumerStats};

/// The table after a run.
pub(crate) fn of(consumer: &mut Consumer) -> String {
    let mut metrics = Metrics::default();
    let (waits, now) = (consumer.driver().counters().waits, consumer.driver().read());
    let observed = Observed {
        kind: "consumer",
        client_id: &consumer.config().common.client_id,
        elapsed_ns: consumer.elapsed_ns(),
        wall_ms: SystemClock::new().wall_ms(),
        network: consumer.network_stats(),
        tally: consumer.tally(),
        waits,
        is_plaintext: consumer.config().common.security.tls.is_none()
            && consumer.config().common.security.sasl.is_none(),
    };
    put_fetches(&mut metrics, &consumer.stats(), &observed);
    put_coordinator(&mut metrics, &observed, now);
    let tags = observed.tags();
    metrics.number("consumer-coordinator-metrics", &tags, "assigned-partitions", consumer.positions().len() as f64);
    // The tool neither commits synchronously nor asks what was committed.
    metrics.number("consumer-metrics", &tags, "commit-sync-time-ns-total", 0.0);
    metrics.number("consumer-metrics", &tags, "committed-time-ns-total", 0.0);
    observed.put(&mut metrics);
    metrics.table()
}

fn put_fetches(metrics: &mut Metrics, stats: &ConsumerStats, observed: &Observed<'_>) {
    let (fetches, bytes, elapsed_s) = (stats.fetches as f64, stats.fetched_bytes as f64, observed.elapsed_s());
    let tags = observed.tags();
    let mut put = |name: &str, value: f64| metrics.number("consumer-fetch-manager-metrics", &tags, name, value);
    put("bytes-consumed-rate", bytes / elapsed_s);
    put("bytes-consumed-total", bytes);
    put("fetch-latency-avg", average(stats.fetch_ns_sum as f64 / 1e6, fetches));
    put("fetch-latency-max", ms_maximum(stats.fetch_ns_max, stats.fetches));
    put("fetch-rate", fetches / elapsed_s);
    put("fetch-size-avg", average(bytes, fetches));
    put("fetch-size-max", maximum(stats.fetched_bytes_max, stats.fetches));
    put("fetch-throttle-time-avg", average(stats.throttle_ms_sum as f64, fetches));
    put("fetch-throttle-time-max", maximum(stats.throttle_ms_max, stats.fetches));
    put("fetch-total", fetches);
    put("records-consumed-rate", stats.records as f64 / elapsed_s);
    put("records-consumed-total", stats.records as f64);
    put("records-per-request-avg", average(stats.records as f64, fetches));
}

/// Every answer counts, also one that says to ask again: the first answer to a join, which only hands out the member's
/// id, too.
fn put_coordinator(metrics: &mut Metrics, observed: &Observed<'_>, now: Nanos) {
    let (tags, elapsed_s) = (observed.tags(), observed.elapsed_s());
    let mut put = |name: &str, value: f64| metrics.number("consumer-coordinator-metrics", &tags, name, value);
    let mean = |api: ApiTally| average(api.latency_ns_sum as f64 / 1e6, api.answers as f64);
    let of = |api: ApiKey| observed.tally.api(api);
    for (name, measure, api) in [
        ("commit", "latency", of(ApiKey::OffsetCommit)),
        ("join", "time", of(ApiKey::JoinGroup)),
        ("sync", "time", of(ApiKey::SyncGroup)),
    ] {
        put(&format!("{name}-rate"), api.answers as f64 / elapsed_s);
        put(&format!("{name}-total"), api.answers as f64);
        put(&format!("{name}-{measure}-avg"), mean(api));
        put(&format!("{name}-{measure}-max"), ms_maximum(api.latency_ns_max, api.answers));
    }
    let heartbeat = of(ApiKey::Heartbeat);
    put("heartbeat-rate", heartbeat.answers as f64 / elapsed_s);
    put("heartbeat-total", heartbeat.answers as f64);
    put("heartbeat-response-time-max", ms_maximum(heartbeat.latency_ns_max, heartbeat.answers));
    put("last-heartbeat-seconds-ago", seconds_ago(heartbeat.last_answer_ns, now));
}

//! The table of `--print-metrics` (org.apache.kafka.tools.ToolsUtils.printMetrics).
//!
//! ```text
//!   (blank)
//!   Metric Name                                                            Value
//!   producer-metrics:record-send-total:{client-id=perf-producer-client}  : 1000.000
//! ```

use super::java_format::fixed;

/// What a metric holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(f64),
    Text(String),
}

/// Metrics under Kafka's names.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Vec<(String, Value)>);

impl Metrics {
    /// Adds `group:name:{tags}`.
    pub(crate) fn number(&mut self, group: &str, tags: &str, name: &str, value: f64) {
        self.0.push((format!("{group}:{name}:{{{tags}}}"), Value::Number(value)));
    }

    /// Adds a metric that is no number.
    pub(crate) fn text(&mut self, group: &str, tags: &str, name: &str, value: &str) {
        self.0.push((format!("{group}:{name}:{{{tags}}}"), Value::Text(value.to_owned())));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The table's lines.
    pub(crate) fn table(mut self) -> String {
        self.0.sort_by(|left, right| left.0.cmp(&right.0));
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut table = format!("\n{:<width$}   Value\n", "Metric Name");
        for (name, value) in &self.0 {
            let value = match value {
                Value::Number(value) => fixed(*value, 3),
                Value::Text(text) => text.clone(),
            };
            table.push_str(&format!("{name:<width$} : {value}\n"));
        }
        table
    }
}

/// A quotient as Kafka's averages are: NaN where there was nothing.
pub(crate) fn average(sum: f64, count: f64) -> f64 {
    if count == 0.0 { f64::NAN } else { sum / count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_aligned_as_kafka_s() {
        let mut metrics = Metrics::default();
        metrics.number("g", "client-id=c", "rate", 0.6105);
        metrics.text("app-info", "client-id=c", "version", "1.0");
        metrics.number("g", "client-id=c", "avg", f64::NAN);
        let wanted = "\nMetric Name                      Value\n\
                      app-info:version:{client-id=c} : 1.0\n\
                      g:avg:{client-id=c}            : NaN\n\
                      g:rate:{client-id=c}           : 0.611\n";
        assert_eq!(metrics.table(), wanted);
    }
}

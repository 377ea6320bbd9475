//! Prometheus' text format, version 0.0.4 (its documentation: "Exposition formats").
//!
//! ```text
//!   # HELP name words
//!   # TYPE name counter
//!   name{label="value",other="value"} 17
//! ```
//! A family's samples stand together, and nothing is written of a family without samples.

use std::fmt::{self, Write as _};

use super::names::Metric;

/// What a page says that it is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that is being written.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

/// A metric's samples.
pub(crate) struct Family<'a> {
    page: &'a mut Page,
    metric: &'static Metric,
    is_empty: bool,
}

impl Page {
    /// Begins with a metric.
    pub(crate) fn family(&mut self, metric: &'static Metric) -> Family<'_> {
        Family { page: self, metric, is_empty: true }
    }

    /// A metric without labels; nothing where it has no value.
    pub(crate) fn single(&mut self, metric: &'static Metric, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.family(metric).sample(&[], value);
        }
    }

    /// The page.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One value, under these labels. Of a label without a value nothing is written.
    pub(crate) fn sample(&mut self, labels: &[(&str, &dyn fmt::Display)], value: f64) {
        self.named("", labels, value);
    }

    /// A histogram: its buckets (upper bounds in seconds, not cumulative), and the sum.
    pub(crate) fn histogram(&mut self, labels: &[(&str, &dyn fmt::Display)], buckets: &[(f64, u64)], sum: f64) {
        let mut below = 0;
        let bucket = |family: &mut Self, upper: &dyn fmt::Display, count: u64| {
            let with: Vec<_> = labels.iter().copied().chain([("le", upper)]).collect();
            family.named("_bucket", &with, count as f64);
        };
        for (upper, count) in buckets {
            below += count;
            bucket(self, upper, below);
        }
        bucket(self, &"+Inf", below);
        self.named("_sum", labels, sum);
        self.named("_count", labels, below as f64);
    }

    fn named(&mut self, suffix: &str, labels: &[(&str, &dyn fmt::Display)], value: f64) {
        if std::mem::take(&mut self.is_empty) {
            self.head();
        }
        let known = |label: &str| label == "le" || self.metric.labels.split(", ").any(|known| known == label);
        debug_assert!(
            labels.iter().all(|(label, _)| known(label)),
            "{}: a label that the table does not have",
            self.metric.name
        );
        let text = &mut self.page.text;
        text.push_str(self.metric.name);
        text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            // Writing into a text cannot fail.
            let _ = write!(Escaped(text), "{value}");
            text.push('"');
        }
        text.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(text, "{value}");
    }

    fn head(&mut self) {
        let Metric { name, kind, unit, words, source, .. } = self.metric;
        let kind = kind.name();
        // Writing into a text cannot fail.
        let _ = writeln!(self.page.text, "# HELP {name} {words} Unit: {unit}. Source: {source}.\n# TYPE {name} {kind}");
    }
}

/// A label's value on its way into the page: backslashes, quotes and line ends are escaped.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;

    #[test]
    fn samples_of_a_family_follow_its_head_and_labels_are_escaped() {
        let mut page = Page::default();
        let mut family = page.family(&names::GROUP_LAG);
        family.sample(&[("consumergroup", &"a\"b\\c\nd"), ("topic", &"t"), ("partition", &3)], 17.0);
        family.sample(&[("consumergroup", &"g"), ("topic", &"t"), ("partition", &4)], -1.0);
        page.family(&names::BYTES_IN);
        page.single(&names::GROUPS, 1e15);
        page.single(&names::RESIDENT, None::<f64>);
        let text = page.into_text();
        assert!(text.starts_with("# HELP kafka_consumergroup_lag From what"), "{text}");
        assert!(text.contains("# TYPE kafka_consumergroup_lag gauge\nkafka_consumergroup_lag{consumergroup=\"a\\\"b\\\\c\\nd\",topic=\"t\",partition=\"3\"} 17\n"), "{text}");
        assert!(
            text.contains("partition=\"4\"} -1\n") && !text.contains("bytesin") && !text.contains("resident"),
            "{text}"
        );
        assert!(text.ends_with("numgroups 1000000000000000\n"), "{text}");
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_everything() {
        let mut page = Page::default();
        page.family(&names::REQUEST_SECONDS).histogram(&[("request", &"Fetch")], &[(0.001, 2), (0.5, 3)], 1.25);
        let text = page.into_text();
        for line in [
            "_bucket{request=\"Fetch\",le=\"0.001\"} 2",
            "le=\"0.5\"} 5",
            "le=\"+Inf\"} 5",
            "_sum{request=\"Fetch\"} 1.25",
            "_count{request=\"Fetch\"} 5",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
        }
    }
}

//! The page: what all shards counted and said, under the names of [`super::names`], in that order.

mod kafka;
mod ours;

use std::collections::BTreeMap;

use ringlog_io::usage::Usage;

use super::facts::{Facts, PartitionFacts};
use super::meter::Meter;
use super::names;
use super::residency::Residency;
use super::text::Page;
use super::window::Window;
use crate::metadata::image::{Image, Topic};
use crate::replica::PartitionKey;
use crate::settings::Settings;

/// One shard, as it is shown.
pub(crate) struct ShardSight<'a> {
    pub(crate) meter: &'a Meter,
    /// What it last said.
    pub(crate) facts: Option<&'a Facts>,
    /// It said so when it was asked now.
    pub(crate) answers: bool,
}

/// Everything that a page is made of.
pub(crate) struct Sight<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) shards: Vec<ShardSight<'a>>,
    pub(crate) window: &'a Window,
    pub(crate) residency: &'a Residency,
    pub(crate) usage: Usage,
    pub(crate) descriptors_max: usize,
    /// Kafka's number of it.
    pub(crate) broker_state: u8,
    /// How the kernel is asked.
    pub(crate) io: &'static str,
}

impl<'a> Sight<'a> {
    /// What shards said, by number.
    fn facts(&self) -> impl Iterator<Item = (usize, &'a Facts)> + '_ {
        self.shards.iter().enumerate().filter_map(|(shard, sight)| Some((shard, sight.facts?)))
    }

    /// The newest image that a shard has.
    pub(crate) fn image(&self) -> Option<&'a Image> {
        self.facts().map(|(_, facts)| &*facts.image).max_by_key(|image| image.version())
    }

    /// All partitions that have a log here, and their topics' names.
    fn partitions(&self) -> impl Iterator<Item = (&'a Topic, &'a PartitionFacts)> + '_ {
        self.facts().flat_map(|(_, facts)| {
            facts.partitions.iter().filter_map(|one| Some((&**facts.image.topic_by_id(one.key.topic_id)?, one)))
        })
    }

    /// The high watermarks of all partitions that have a log here.
    fn high_watermarks(&self) -> BTreeMap<PartitionKey, i64> {
        self.partitions().map(|(_, one)| (one.key, one.high_watermark)).collect()
    }
}

/// Writes the page.
pub(crate) fn write(sight: &Sight<'_>) -> String {
    let mut page = Page::default();
    kafka::write(&mut page, sight);
    process(&mut page, sight);
    ours::write(&mut page, sight);
    page.into_text()
}

fn process(page: &mut Page, sight: &Sight<'_>) {
    let usage = &sight.usage;
    page.single(&names::CPU_SECONDS, usage.cpu_ns.map(seconds));
    page.single(&names::RESIDENT, usage.resident_bytes.map(|bytes| bytes as f64));
    page.single(&names::OPEN_FDS, usage.open_descriptors.map(|open| open as f64));
    page.single(&names::MAX_FDS, sight.descriptors_max as f64);
    page.single(&names::START_TIME, usage.started_s);
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

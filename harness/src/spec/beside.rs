//! What a workload has beside its writers: readers, a backlog before them, and operations. Its other half is `workload`.

use super::workload::{MB, Workload, WorkloadError};
use super::{Along, Consume, Goal, Kind, Pace, Produce, Until, Warmup, What, event};
use crate::client::config::ConfigError;
use crate::client::properties::Properties;

/// Between two heartbeats of a member, where the profile does not say.
const HEARTBEAT_MS: &str = "500";
/// More readers than this beside the writers are a mistake.
const READERS_MAX: u32 = 256;

impl Workload {
    /// Whether somebody reads while it is written.
    #[must_use]
    pub fn has_readers(&self) -> bool {
        self.groups > 0 || self.catch_up > 0
    }

    /// What is written before the warm-up, as fast as it goes, by the producers of one round.
    pub(crate) fn backlog(&self, round: &Produce) -> Option<Produce> {
        let bytes = self.backlog_megabytes.saturating_mul(MB);
        let records = bytes.div_ceil(u64::from(self.record_bytes.max(1)));
        let until = Until { records: Some(records), ..Until::default() };
        let backlog = Produce { pace: Pace::Free, until, warmup: Warmup::Without, ..round.clone() };
        (records > 0).then_some(backlog)
    }

    /// What the members of a group, or a catch-up reader's clients, are to do beside the writers of one round.
    pub(crate) fn along(&self, along: Along, group: &str, way: &Properties) -> Result<Consume, ConfigError> {
        let mut way = way.clone();
        if along.is_group {
            way.set("group.id", group);
            let is_classic = self.consumer.get("group.protocol").is_none_or(|it| !it.eq_ignore_ascii_case("consumer"));
            if is_classic {
                // A member hears of the next one's coming with its heartbeat: a group of several is together sooner.
                way.set("heartbeat.interval.ms", HEARTBEAT_MS);
            }
        }
        let has_series = along.is_group;
        let consume = self.consume(What::Along(along), None, &way)?;
        Ok(Consume { clients: self.consumers as usize, has_series, ..consume })
    }

    /// The settings of those who read beside; none where nobody does.
    pub(crate) fn read_settings(&self, way: &Properties) -> Result<Vec<(String, String)>, ConfigError> {
        if !self.has_readers() {
            return Ok(Vec::new());
        }
        let along = Along { topic: String::new(), is_group: self.groups > 0, goal: Goal::default() };
        Ok(self.along(along, "group", way)?.settings)
    }

    /// Whether something is done to a target's processes or its disk, which must be ours then.
    #[must_use]
    pub fn operates_on_target(&self) -> bool {
        self.events.iter().any(|it| it.action.is_on_target())
    }

    pub(super) fn check_events(&self) -> Result<(), WorkloadError> {
        if self.kind == Kind::Consume && !self.events.is_empty() {
            return Err(self.invalid("events belong to a workload that writes".to_owned()));
        }
        if let Some(ms) = self.p99_ms_max.filter(|ms| !(ms.is_finite() && *ms > 0.0)) {
            return Err(self.invalid(format!("p99_ms_max is {ms}; it must be above 0")));
        }
        event::fault(&self.events, self.measured_s, self.groups).map_or(Ok(()), |why| Err(self.invalid(why)))
    }

    pub(super) fn check_readers(&self) -> Result<(), WorkloadError> {
        let Self { groups, consumers, catch_up, partitions, .. } = *self;
        let readers = u64::from(groups.saturating_add(catch_up)) * u64::from(consumers);
        if consumers == 0 || readers > u64::from(READERS_MAX) {
            let reason = format!(
                "groups ({groups}) and catch_up ({catch_up}) with {consumers} consumers each are {readers} clients; \
                 consumers must be 1 or more, and all together {READERS_MAX} at most"
            );
            return Err(self.invalid(reason));
        }
        if self.has_readers() && consumers > partitions {
            let reason = format!(
                "consumers is {consumers} and partitions {partitions}: a member without a partition reads nothing; \
                 consumers must be {partitions} at most, or partitions more"
            );
            return Err(self.invalid(reason));
        }
        if groups > 0 && self.consumer.contains_key("group.id") {
            let reason = "[consumer] has a group.id: each of the groups is given one of its own".to_owned();
            return Err(self.invalid(reason));
        }
        let has_such = self.has_readers() || self.backlog_megabytes > 0;
        if has_such && self.kind == Kind::Consume {
            let reason = "groups, catch_up and backlog_megabytes belong to a workload that writes".to_owned();
            return Err(self.invalid(reason));
        }
        if has_such && self.producer.get("acks").is_some_and(|acks| acks == "0") {
            let reason =
                "with acks = \"0\" nobody knows what readers have to read: take acks = \"1\" or \"all\"".to_owned();
            return Err(self.invalid(reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::workload;

    #[test]
    fn a_workload_with_readers_has_the_settings_of_both_sides_and_its_groups_hear_of_each_other_soon() {
        let mut workload = workload::load(None).unwrap().swap_remove(0);
        assert_eq!(workload.settings().get("fetch.max.wait.ms"), None);
        (workload.groups, workload.backlog_megabytes) = (2, 3);
        let settings = workload.settings();
        let of = |name: &str| settings.get(name).map(String::as_str);
        assert_eq!(
            (of("acks"), of("fetch.max.wait.ms"), of("heartbeat.interval.ms")),
            (Some("1"), Some("500"), Some("500"))
        );
        let mut way = Properties::new();
        way.set("bootstrap.servers", "localhost:1");
        let round = workload.produce("t", &way).unwrap();
        assert_eq!(workload.backlog(&round).unwrap().until.records, Some(3000));
        workload.consumer.insert("group.protocol".to_owned(), "consumer".to_owned());
        let along = Along { topic: "t".to_owned(), is_group: true, goal: Goal::default() };
        let read = workload.along(along, "g", &way).unwrap();
        workload.consumer.insert("group.id".to_owned(), "mine".to_owned());
        assert!(workload.check_readers().unwrap_err().to_string().contains("one of its own"));
        assert_eq!((read.config.group_id.as_deref(), read.clients, read.has_series), (Some("g"), 1, true));
    }
}

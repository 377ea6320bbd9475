//! The one client that makes, deletes and changes topics, one request after the other: what it asked for and has no answer
//! to, it asks again until it knows.

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use ringlog_wire::messages::create_topics::CreateTopicsRequest;
use ringlog_wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use ringlog_wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ringlog_wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ringlog_wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ringlog_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::ledger::{Key, Topic};
use super::line::{Flight, Line};
use super::plan::{OFFSETS_PARTITIONS, TRANSACTIONS_PARTITIONS};
use super::requests;
use crate::metadata::image::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};

/// How long a request may still be on its way after its connection is gone: longer than any pause of a shard.
const GHOST_MS: u64 = 12_000;
/// flush.messages.
const FLUSH_MESSAGES: &str = "flush.messages";
/// The types of topics and brokers among the resources that have settings.
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
/// A setting that changes no promise.
const INDEX_INTERVAL: &str = "log.index.interval.bytes";
/// ListOffsets' time for the end of the log.
const LATEST: i64 = -1;

/// What it is about.
#[derive(Clone, Debug)]
enum Task {
    Create {
        name: String,
        partitions: i32,
        flushed: bool,
    },
    Delete {
        name: String,
    },
    SetFlush {
        name: String,
        on: bool,
    },
    /// Of all brokers, while they run.
    SetBrokers {
        value: String,
    },
    /// To the shard that is this node.
    Move {
        name: String,
        partition: i32,
        node: i32,
    },
}

/// See the head of the file.
pub(super) struct Admin {
    line: Line<Ask>,
    names: Vec<String>,
    partitions_max: usize,
    task: Option<Task>,
    /// The task was asked for before, and may have been done.
    is_again: bool,
    is_asked: bool,
    pause_ms: u64,
    due: Nanos,
    /// What all brokers were last set to, where that is certain.
    set_to: Option<String>,
}

impl Admin {
    pub(super) fn new(client: usize, names: Vec<String>, partitions_max: usize, pause_ms: u64) -> Self {
        Self {
            line: Line::new(client),
            names,
            partitions_max,
            task: None,
            is_again: false,
            is_asked: false,
            pause_ms,
            due: Nanos(0),
            set_to: None,
        }
    }

    /// Chooses what to do, and marks what it touches as uncertain.
    fn choose(&mut self, scene: &mut Scene) -> Option<Task> {
        let name = self.names[scene.dice.below(self.names.len())].clone();
        let partitions = 1 + scene.dice.below(self.partitions_max) as i32;
        let (dice, flushed) = (scene.dice.below(8), scene.dice.once_in(2));
        let dice = if scene.wants_deletion { 0 } else { dice };
        let topic = scene.ledger.topics.entry(name.clone()).or_default();
        let task = match (topic.is_there, dice) {
            (false, _) => {
                topic.is_changing = true;
                topic.partitions = partitions;
                Task::Create { name, partitions, flushed }
            }
            (true, 0) => {
                topic.is_changing = true;
                Task::Delete { name }
            }
            (true, 4) => {
                let node = 1 + scene.dice.below(scene.ports.len()) as i32;
                Task::Move { name, partition: partitions - 1, node }
            }
            // Groups find their coordinator at another shard, and so do transactions.
            (true, 5) if scene.ports.len() > 1 => move_of(scene, OFFSETS_TOPIC, OFFSETS_PARTITIONS),
            (true, 6) if scene.ports.len() > 1 => move_of(scene, TRANSACTIONS_TOPIC, TRANSACTIONS_PARTITIONS),
            (true, 3) => {
                self.set_to = None;
                Task::SetBrokers { value: (64 * (1 + partitions)).to_string() }
            }
            (true, 1 | 2) => {
                topic.flush_changes(false);
                Task::SetFlush { name, on: flushed }
            }
            _ => return None,
        };
        self.is_again = false;
        Some(task)
    }

    fn ask(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        self.is_asked = true;
        match self.task.clone() {
            Some(Task::Create { name, partitions, flushed }) => {
                let settings: &[_] = if flushed { &[(FLUSH_MESSAGES, "1")] } else { &[] };
                let request = requests::create_topic(&name, partitions, settings);
                self.line.ask(scene.now, 7, &request, &[], Some(Ask::CreateTopic { name }))
            }
            Some(Task::Delete { name }) => {
                let topic = DeleteTopicState { name: Some(name.clone()), ..Default::default() };
                let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
                scene.is_deleting = true;
                self.line.ask(scene.now, 6, &request, &[], Some(Ask::DeleteTopic { name }))
            }
            Some(Task::SetFlush { name, on }) => {
                let config = AlterableConfig {
                    name: FLUSH_MESSAGES.to_owned(),
                    config_operation: i8::from(!on),
                    value: on.then(|| "1".to_owned()),
                    ..Default::default()
                };
                let resource = AlterConfigsResource {
                    resource_type: TOPIC_RESOURCE,
                    resource_name: name.clone(),
                    configs: vec![config],
                    ..Default::default()
                };
                let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
                self.line.ask(scene.now, 1, &request, &[], Some(Ask::SetFlush { name, on }))
            }
            Some(Task::SetBrokers { value }) => {
                let config = AlterableConfig {
                    name: INDEX_INTERVAL.to_owned(),
                    value: Some(value.clone()),
                    ..Default::default()
                };
                let resource = AlterConfigsResource {
                    resource_type: BROKER_RESOURCE,
                    configs: vec![config],
                    ..Default::default()
                };
                let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
                self.line.ask(scene.now, 1, &request, &[], Some(Ask::SetBrokers { value }))
            }
            Some(Task::Move { name, partition, node }) => {
                if name == OFFSETS_TOPIC {
                    scene.book().coordinator_moves();
                }
                let replicas = Some(vec![node]);
                let partition = ReassignablePartition { partition_index: partition, replicas, ..Default::default() };
                let topic = ReassignableTopic { name, partitions: vec![partition], ..Default::default() };
                let request = AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
                self.line.ask(scene.now, 1, &request, &[], Some(Ask::Move))
            }
            None => self.look(scene),
        }
    }

    /// What a broker says that all of them are set to.
    fn ask_brokers(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let resource =
            DescribeConfigsResource { resource_type: BROKER_RESOURCE, configuration_keys: None, ..Default::default() };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        self.line.ask(scene.now, 4, &request, &[], Some(Ask::Brokers))
    }

    fn brokers_told(&self, told: Option<&str>) -> Result<(), Violation> {
        match &self.set_to {
            Some(due) if told != Some(due) => {
                Err(Violation(format!("all brokers were set to {due}, and one says {told:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Without a task it looks: at all topics, and at the end of a partition. Now and then it moves the beginning of one.
    fn look(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        scene.ask_metadata(&mut self.line)?;
        if self.set_to.is_some() {
            self.ask_brokers(scene)?;
        }
        let Some((name, key)) = scene.any_partition() else { return Ok(()) };
        if scene.leaders.get(&key) != Some(&self.line.port) {
            return Ok(());
        }
        if scene.dice.once_in(3) {
            return self.delete_records(scene, name, key);
        }
        let partition = ListOffsetsPartition { partition_index: key.1, timestamp: LATEST, ..Default::default() };
        let topic = ListOffsetsTopic { name, partitions: vec![partition], ..Default::default() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let ask = Ask::Latest { key, floor: scene.ledger.floor(key), era: scene.ledger.era };
        self.line.ask(scene.now, 7, &request, &[], Some(ask))
    }

    /// Deletes up to somewhere below what is visible for certain.
    fn delete_records(&mut self, scene: &mut Scene, name: String, key: Key) -> Result<(), Violation> {
        let offset = scene.dice.below(usize::try_from(scene.ledger.floor(key)).unwrap_or(0) + 1) as i64;
        scene.ledger.starts_of_logs.asks(key, offset);
        let partition = DeleteRecordsPartition { partition_index: key.1, offset, ..Default::default() };
        let topic = DeleteRecordsTopic { name, partitions: vec![partition], ..Default::default() };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let ask = Ask::DeleteRecords { key, offset, era: scene.ledger.era };
        self.line.ask(scene.now, 2, &request, &[], Some(ask))
    }

    fn records_deleted(
        scene: &mut Scene,
        (key, offset, era): (Key, i64, u32),
        (low_watermark, error): (i64, ErrorCode),
    ) -> Result<(), Violation> {
        match error {
            ErrorCode::NONE => scene.ledger.starts_of_logs.answered(key, offset, low_watermark),
            ErrorCode::OFFSET_OUT_OF_RANGE if era == scene.ledger.era => {
                Err(Violation(format!("{key:?}: {offset} was visible, and is above the high watermark")))
            }
            error => {
                scene.ledger.note_error("delete records", error);
                Ok(())
            }
        }
    }

    fn topic<'a>(scene: &'a mut Scene, name: &str) -> &'a mut Topic {
        scene.ledger.topics.entry(name.to_owned()).or_default()
    }

    fn finished(&mut self, scene: &mut Scene) {
        self.task = None;
        self.due = scene.in_ms(1, 1 + self.pause_ms);
    }

    fn again(&mut self, scene: &mut Scene) {
        self.is_again = true;
        self.due = scene.in_ms(100, 800);
    }

    fn created(
        &mut self,
        scene: &mut Scene,
        name: &str,
        answer: (ErrorCode, ringlog_wire::Uuid),
    ) -> Result<(), Violation> {
        let flushed = matches!(self.task, Some(Task::Create { flushed: true, .. }));
        match answer {
            (ErrorCode::NONE, id) => {
                scene.ledger.born(name, id);
                let topic = Self::topic(scene, name);
                (topic.is_there, topic.is_changing) = (true, false);
                topic.flush_changes(flushed);
                self.finished(scene);
                Ok(())
            }
            (ErrorCode::TOPIC_ALREADY_EXISTS, _) if self.is_again => scene.ask_metadata(&mut self.line),
            (ErrorCode::TOPIC_ALREADY_EXISTS, _) => Err(Violation(format!("{name} exists, and nobody made it"))),
            (error, _) => {
                scene.ledger.note_error("create", error);
                self.again(scene);
                Ok(())
            }
        }
    }

    /// Metadata, which says how a creation ended whose answer was lost.
    fn learned(&mut self, scene: &mut Scene, flight: &Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        let found = scene.learn(flight, frame)?;
        let Some(Task::Create { name, flushed, .. }) = self.task.clone() else { return Ok(()) };
        let Some((id, partitions)) = found.get(&name) else {
            self.again(scene);
            return Ok(());
        };
        scene.ledger.born(&name, *id);
        let topic = Self::topic(scene, &name);
        (topic.is_there, topic.is_changing, topic.partitions) = (true, false, *partitions);
        topic.flush_changes(flushed);
        self.finished(scene);
        Ok(())
    }

    fn deleted(&mut self, scene: &mut Scene, name: &str, error: ErrorCode) -> Result<(), Violation> {
        match error {
            ErrorCode::NONE => {}
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION if self.is_again => {}
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                return Err(Violation(format!("{name} was there, and is unknown")));
            }
            error => {
                scene.ledger.note_error("delete", error);
                self.again(scene);
                return Ok(());
            }
        }
        let topic = Self::topic(scene, name);
        (topic.is_there, topic.is_changing) = (false, false);
        self.finished(scene);
        Ok(())
    }
}

/// A partition of this topic goes to some shard.
fn move_of(scene: &mut Scene, topic: &str, partitions: usize) -> Task {
    let node = 1 + scene.dice.below(scene.ports.len()) as i32;
    let partition = scene.dice.below(partitions) as i32;
    Task::Move { name: topic.to_owned(), partition, node }
}

impl Client for Admin {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        if scene.phase != Phase::Storm && self.task.is_none() && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            return Ok(());
        }
        if self.due > scene.now {
            return Ok(());
        }
        self.due = scene.in_ms(100, 1_000);
        if self.line.is_closed() {
            let port = scene.any_port();
            drop(self.line.connect(scene.driver.as_mut(), port));
        }
        if !self.line.is_open() || self.line.in_flight() > 0 {
            return Ok(());
        }
        if self.task.is_none() && scene.phase == Phase::Storm {
            self.task = self.choose(scene);
        }
        self.ask(scene)
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        let missing = || Violation("an answer without what was asked for".to_owned());
        self.is_asked = false;
        scene.is_deleting = false;
        match &flight.ask {
            Ask::Metadata { .. } => self.learned(scene, &flight, frame),
            Ask::CreateTopic { name } => {
                let response = flight.read::<CreateTopicsRequest>(frame)?;
                let one = response.topics.first().ok_or_else(missing)?;
                self.created(scene, name, (ErrorCode(one.error_code), one.topic_id))
            }
            Ask::DeleteTopic { name } => {
                let response = flight.read::<DeleteTopicsRequest>(frame)?;
                let one = response.responses.first().ok_or_else(missing)?;
                self.deleted(scene, name, ErrorCode(one.error_code))
            }
            Ask::SetFlush { name, on } => {
                let response = flight.read::<IncrementalAlterConfigsRequest>(frame)?;
                let one = response.responses.first().ok_or_else(missing)?;
                if one.error_code == 0 {
                    Self::topic(scene, name).flush_changes(*on);
                    self.finished(scene);
                } else {
                    scene.ledger.note_error("alter", ErrorCode(one.error_code));
                    self.again(scene);
                }
                Ok(())
            }
            Ask::SetBrokers { value } => {
                let response = flight.read::<IncrementalAlterConfigsRequest>(frame)?;
                let one = response.responses.first().ok_or_else(missing)?;
                if one.error_code == 0 {
                    self.set_to = Some(value.clone());
                    self.finished(scene);
                } else {
                    scene.ledger.note_error("alter", ErrorCode(one.error_code));
                    self.again(scene);
                }
                Ok(())
            }
            Ask::Move => {
                let response = flight.read::<AlterPartitionReassignmentsRequest>(frame)?;
                let of_topic = response.responses.first().map_or(&[][..], |topic| &topic.partitions);
                match of_topic.first().map_or(response.error_code, |one| one.error_code) {
                    // It is there, is on its way, or nowhere.
                    0 | 60 | 3 => self.finished(scene),
                    code => {
                        scene.ledger.note_error("move", ErrorCode(code));
                        self.again(scene);
                    }
                }
                Ok(())
            }
            Ask::Brokers => {
                let response = flight.read::<DescribeConfigsRequest>(frame)?;
                let configs = response.results.first().ok_or_else(missing)?.configs.as_slice();
                let told = configs.iter().find(|config| config.name == INDEX_INTERVAL);
                self.brokers_told(told.and_then(|config| config.value.as_deref()))
            }
            Ask::DeleteRecords { key, offset, era } => {
                let response = flight.read::<DeleteRecordsRequest>(frame)?;
                let one = response.topics.first().and_then(|topic| topic.partitions.first()).ok_or_else(missing)?;
                // A topic of this name may have been made anew meanwhile: then it is that one's answer.
                if !scene.ledger.partitions().iter().any(|(_, there)| there == key) {
                    return Ok(());
                }
                Self::records_deleted(scene, (*key, *offset, *era), (one.low_watermark, ErrorCode(one.error_code)))
            }
            Ask::Latest { key, floor, era } => {
                let response = flight.read::<ListOffsetsRequest>(frame)?;
                let one = response.topics.first().and_then(|topic| topic.partitions.first()).ok_or_else(missing)?;
                let is_same_life = scene.ledger.partitions().iter().any(|(_, there)| there == key);
                if one.error_code == 0 && is_same_life {
                    scene.ledger.check_end(*key, one.offset, *floor, *era)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>) {
        self.is_again |= self.task.is_some() && self.is_asked;
        self.is_asked = false;
        scene.is_deleting = false;
        let wait_ms = if flights.is_empty() { 100 } else { GHOST_MS };
        self.due = scene.in_ms(wait_ms, wait_ms + 200);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.task.is_none() && self.line.in_flight() == 0
    }

    fn name(&self) -> String {
        format!("admin with {:?}", self.task)
    }
}

//! A small cluster for tests: node ids 1 and 2 are shards 0 and 1; topic `a` has three partitions, `b` one.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::Files;
use ringlog_storage::{LogDir, LogDirOptions, StorageError};
use ringlog_wire::Uuid;
use ringlog_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};

use super::controller::{Call, Controller, Decided, Proposal, Start};
use super::image::Image;
use crate::settings::Settings;

/// The log directory's id.
pub(crate) const DIRECTORY: Uuid = Uuid([7; 16]);

/// Settings of two shards.
pub(crate) fn settings() -> Settings {
    Settings::of(&[("ringlog.shards", "2")])
}

/// The log directory of a node in this boot, made where it is not there.
pub(crate) fn log_dir(files: &Rc<dyn Files>, node_id: i32, boot_id: &str) -> Result<LogDir, StorageError> {
    let options = LogDirOptions {
        cluster_id: None,
        new_cluster_id: "cluster".to_owned(),
        node_id,
        new_directory_id: DIRECTORY,
        boot_id: boot_id.to_owned(),
    };
    LogDir::open(files, Path::new("/log"), &options)
}

/// Numbers that differ from each other.
pub(crate) fn numbers() -> impl FnMut() -> u64 {
    let mut state = 1_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    }
}

/// A controller that starts on `image` with these settings, and its first proposal.
pub(crate) fn start(settings: Settings, image: Option<Image>) -> (Controller, Proposal) {
    let settings = Arc::new(settings);
    let ports: Vec<u16> = (9092..).take(settings.shards()).collect();
    let image = image.unwrap_or_else(|| Image::empty("cluster", settings.here()));
    let end_offset = image.version() + 1;
    let (bootstrap, unclean) = (Vec::new(), false);
    let directory_id = DIRECTORY;
    let ends_in_transaction = false;
    let start =
        Start { settings, image, bootstrap, directory_id, ports: &ports, end_offset, unclean, ends_in_transaction };
    let (mut controller, proposal) = Controller::start(start, &mut numbers()).unwrap();
    controller.stand_on(Arc::clone(&proposal.image));
    (controller, proposal)
}

/// Decides a call, and has the log take it.
pub(crate) fn decide(controller: &mut Controller, call: Call) -> Proposal {
    let proposal = controller.handle(call, &mut numbers());
    controller.stand_on(Arc::clone(&proposal.image));
    proposal
}

/// A topic as CreateTopics asks for it.
pub(crate) fn topic(name: &str, num_partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        ..Default::default()
    };
    CreatableTopic {
        name: name.to_owned(),
        num_partitions,
        replication_factor: -1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    }
}

/// Makes topics.
pub(crate) fn create(controller: &mut Controller, topics: Vec<CreatableTopic>) -> Proposal {
    decide(controller, Call::CreateTopics(CreateTopicsRequest { topics, ..Default::default() }))
}

/// The answer of a proposal, as name and error.
pub(crate) fn errors(proposal: &Proposal) -> Vec<(String, i16)> {
    match &proposal.outcome {
        Decided::CreateTopics(response) => {
            response.topics.iter().map(|topic| (topic.name.clone(), topic.error_code)).collect()
        }
        Decided::DeleteTopics(response) => {
            response.responses.iter().map(|topic| (topic.name.clone().unwrap_or_default(), topic.error_code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The small cluster.
pub(crate) fn image() -> Image {
    small().image().as_ref().clone()
}

/// The same with another topic, as it is made by itself.
pub(crate) fn image_with(name: &str) -> Image {
    let mut controller = small();
    decide(&mut controller, Call::AutoCreate(vec![name.to_owned()]));
    controller.image().as_ref().clone()
}

fn small() -> Controller {
    let (mut controller, _) = start(settings(), None);
    create(&mut controller, vec![topic("a", 3, &[]), topic("b", 1, &[("segment.bytes", "2000000")])]);
    controller
}

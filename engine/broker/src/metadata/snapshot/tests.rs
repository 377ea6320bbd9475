use std::rc::Rc;

use proptest::prelude::*;
use ringlog_io::sim::{Dice, SimFiles};
use ringlog_wire::Uuid;
use ringlog_wire::records::metadata::*;

use super::*;
use crate::metadata::fixtures::image;
use crate::settings::Settings;

/// Apache Kafka's own: topics, settings, quotas, a SCRAM credential, an access rule. `README.md` beside it says more.
const KAFKAS: &[u8] =
    include_bytes!("../../../tests/data/metadata-snapshot/00000000000000000070-0000000001.checkpoint");
const DIR: &str = "/log/__cluster_metadata-0";
const ID: SnapshotId = SnapshotId { end_offset: 70, epoch: 1 };
const TIMES: Times = Times { last_ms: 1_800_000_000_000, now_ms: 1_800_000_000_001 };

fn disk() -> Rc<SimFiles> {
    let files = SimFiles::new(1);
    files.create_dir_all(Path::new(DIR)).unwrap();
    files
}

fn empty() -> Image {
    Image::empty("cluster", Settings::of(&[]).here())
}

fn put(files: &SimFiles, bytes: &[u8]) {
    files.replace(&path(Path::new(DIR), ID), bytes).unwrap();
}

fn read_it(files: &SimFiles) -> Result<Image, SnapshotError> {
    read(files, Path::new(DIR), ID, empty())
}

fn written(files: &SimFiles, image: &Image) -> Vec<u8> {
    let bytes = write(files, Path::new(DIR), ID, image, TIMES).unwrap();
    let file = files.read(&path(Path::new(DIR), ID)).unwrap();
    assert_eq!(bytes, file.len() as u64);
    file
}

/// Whether it is a control record, its key, its value; times are not compared.
type Content = (bool, Option<Vec<u8>>, Option<Vec<u8>>);

fn contents(bytes: &[u8]) -> Vec<Content> {
    let mut scratch = Scratch::default();
    let mut all = Vec::new();
    for batch in Batches::new(bytes).map(Result::unwrap) {
        for record in batch.records(&mut scratch, 1 << 20).unwrap().map(Result::unwrap) {
            all.push((batch.header.is_control(), record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)));
        }
    }
    all
}

#[test]
fn kafkas_own_snapshot_is_read_and_written_again_with_every_byte_of_every_record() {
    let files = disk();
    put(&files, KAFKAS);
    let image = read_it(&files).unwrap();
    assert_eq!(image.version(), 69);
    assert_eq!(image.topic("alpha").unwrap().partitions.len(), 2);
    let ours = written(&files, &image);
    let (mut theirs, mut ours) = (contents(KAFKAS), contents(&ours));
    // The head and the foot stand where they stand; of the rest Kafka's maps have another order.
    let heads = [&theirs, &ours].map(|all| (all[0].1.clone(), all[0].2.as_ref().map(Vec::len), all.last().cloned()));
    assert_eq!(heads[0], heads[1]);
    theirs[0].2 = None;
    ours[0].2 = None;
    theirs.sort();
    ours.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn batches_are_numbered_and_marked_as_kafkas() {
    let shape = |bytes: &[u8]| -> Vec<(i64, i32, i16, i32)> {
        let headers = Batches::new(bytes).map(|batch| batch.unwrap().header);
        headers.map(|h| (h.base_offset, h.record_count, h.attributes, h.partition_leader_epoch)).collect()
    };
    let files = disk();
    put(&files, KAFKAS);
    let image = read_it(&files).unwrap();
    assert_eq!(shape(&written(&files, &image)), shape(KAFKAS));
}

#[test]
fn a_large_image_is_many_batches() {
    let mut many = image();
    for number in 0..3_000 {
        many.apply(
            &ConfigRecord {
                resource_type: 2,
                resource_name: "a".into(),
                name: format!("k{number}"),
                value: Some("v".into()),
                ..Default::default()
            }
            .into(),
        )
        .unwrap();
    }
    let files = disk();
    let bytes = written(&files, &many);
    let counts: Vec<i32> = Batches::new(&bytes).map(|batch| batch.unwrap().header.record_count).collect();
    assert_eq!((counts.len(), counts[1], counts[2]), (5, 1024, 1024), "{counts:?}");
    assert_eq!(read_it(&files).unwrap().topic("a").unwrap().configs.len(), 3_000);
    let (len, last_ms) = head_of(&*files, Path::new(DIR), ID).unwrap();
    assert_eq!((len, last_ms), (bytes.len() as u64, TIMES.last_ms));
}

#[test]
fn what_a_quorum_notes_of_its_voters_is_handed_on() {
    let mut image = image();
    image.carried_mut().control(ControlType::KraftVersion as i16, &[0, 0, 0, 1, 0]);
    image.carried_mut().control(ControlType::KraftVoters as i16, &[0, 0, 1, 0]);
    image.carried_mut().control(ControlType::LeaderChange as i16, &[9]);
    let files = disk();
    let bytes = written(&files, &image);
    let head = Batches::new(&bytes).next().unwrap().unwrap();
    let kinds: Vec<i16> =
        replay::controls(&head, &mut Scratch::default()).unwrap().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [3, 5, 6]);
    assert_eq!(read_it(&files).unwrap().carried(), image.carried());
}

#[test]
fn every_cut_and_every_changed_byte_is_noticed() {
    let files = disk();
    let whole = written(&files, &image());
    for len in 0..whole.len() {
        put(&files, &whole[..len]);
        assert!(read_it(&files).is_err(), "cut to {len} of {} bytes", whole.len());
    }
    // Of a batch's first 21 bytes the leader epoch (12 to 15) is outside of the CRC, and says nothing here.
    let starts: Vec<usize> = Batches::new(&whole)
        .scan(0, |at, batch| Some(std::mem::replace(at, *at + batch.unwrap().bytes.len())))
        .collect();
    let is_epoch = |at: usize| starts.iter().any(|start| (start + 12..start + 16).contains(&at));
    for at in (0..whole.len()).filter(|at| !is_epoch(*at)) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        put(&files, &changed);
        assert!(read_it(&files).is_err(), "byte {at}");
    }
    put(&files, &[&whole[..], &whole[..starts[1]]].concat());
    assert!(read_it(&files).is_err(), "something behind the foot");
}

#[test]
fn names_are_kafkas_and_others_are_none() {
    let id = SnapshotId { end_offset: 1_234, epoch: 7 };
    assert_eq!(id.file_name(), "00000000000000001234-0000000007.checkpoint");
    assert_eq!(SnapshotId::of_name(&id.file_name()), Some(id));
    for name in [
        "bootstrap.checkpoint",
        "00000000000000001234-0000000007.checkpoint.part",
        "00000000000000001234-0000000007.checkpoint.deleted",
        "1234-7.checkpoint",
        "0000000000000000123x-0000000007.checkpoint",
        "99999999999999999999-0000000007.checkpoint",
        "00000000000000001234-9999999999.checkpoint",
        "00000000000000000000.snapshot",
    ] {
        assert_eq!(SnapshotId::of_name(name), None, "{name}");
    }
    assert!(is_unfinished("00000000000000001234-0000000007-8812.checkpoint.part") && !is_unfinished(&id.file_name()));
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let files = disk();
    files.set_space_bytes(Some(90));
    assert!(write(&*files, Path::new(DIR), ID, &image(), TIMES).is_err());
    assert_eq!(files.list(Path::new(DIR)).unwrap(), []);
}

// --- random images ---------------------------------------------------------------------------------------------------

/// Some record, about one of a few things; not every one fits what came before it.
fn some_record(dice: &mut Dice) -> MetadataRecord {
    let id = |dice: &mut Dice| Uuid([1 + dice.below(4) as u8; 16]);
    let name = |dice: &mut Dice| ["a", "b.c", "", "\u{e9}"][dice.below(4)].to_owned();
    let nodes = |dice: &mut Dice| -> Vec<i32> { (0..dice.below(4)).map(|_| dice.below(5) as i32).collect() };
    let number = |dice: &mut Dice| dice.below(3) as i32;
    let bytes = |dice: &mut Dice| dice.roll().to_be_bytes()[..dice.below(8)].to_vec();
    match dice.below(22) {
        0..4 => TopicRecord { name: format!("t{}", dice.below(4)), topic_id: id(dice), ..Default::default() }.into(),
        4..8 => PartitionRecord {
            partition_id: number(dice),
            topic_id: id(dice),
            replicas: nodes(dice),
            isr: nodes(dice),
            removing_replicas: nodes(dice),
            adding_replicas: nodes(dice),
            leader: number(dice) - 1,
            leader_epoch: number(dice),
            partition_epoch: number(dice),
            directories: (0..dice.below(3)).map(|_| id(dice)).collect(),
            leader_recovery_state: dice.below(2) as i8,
            eligible_leader_replicas: dice.once_in(2).then(|| nodes(dice)),
            last_known_elr: dice.once_in(2).then(|| nodes(dice)),
            ..Default::default()
        }
        .into(),
        8 | 9 => PartitionChangeRecord {
            partition_id: number(dice),
            topic_id: id(dice),
            isr: dice.once_in(2).then(|| nodes(dice)),
            leader: number(dice) - 2,
            replicas: dice.once_in(2).then(|| nodes(dice)),
            removing_replicas: dice.once_in(2).then(|| nodes(dice)),
            adding_replicas: dice.once_in(2).then(|| nodes(dice)),
            leader_recovery_state: dice.below(3) as i8 - 1,
            eligible_leader_replicas: dice.once_in(2).then(|| nodes(dice)),
            last_known_elr: dice.once_in(2).then(|| nodes(dice)),
            directories: dice.once_in(2).then(|| vec![id(dice)]),
            ..Default::default()
        }
        .into(),
        10 => RemoveTopicRecord { topic_id: id(dice), ..Default::default() }.into(),
        11 | 12 => ConfigRecord {
            resource_type: [2, 4, 16, 32][dice.below(4)],
            resource_name: if dice.once_in(2) { format!("t{}", dice.below(4)) } else { name(dice) },
            name: format!("k{}", dice.below(3)),
            value: (!dice.once_in(3)).then(|| name(dice)),
            ..Default::default()
        }
        .into(),
        13 => FeatureLevelRecord {
            name: ["metadata.version", "transaction.version", "a.version"][dice.below(3)].into(),
            feature_level: dice.below(4) as i16,
            ..Default::default()
        }
        .into(),
        14 => RegisterBrokerRecord {
            broker_id: number(dice),
            incarnation_id: id(dice),
            broker_epoch: dice.below(100) as i64,
            end_points: (0..dice.below(3))
                .map(|at| BrokerEndpoint {
                    name: name(dice),
                    host: name(dice),
                    port: dice.below(65_536) as u16,
                    security_protocol: at as i16,
                    ..Default::default()
                })
                .collect(),
            features: vec![BrokerFeature { name: name(dice), max_supported_version: 3, ..Default::default() }],
            rack: dice.once_in(2).then(|| name(dice)),
            fenced: dice.once_in(2),
            in_controlled_shutdown: dice.once_in(2),
            log_dirs: vec![id(dice)],
            cordoned_log_dirs: dice.once_in(2).then(Vec::new),
            ..Default::default()
        }
        .into(),
        15 => BrokerRegistrationChangeRecord {
            broker_id: number(dice),
            fenced: dice.below(3) as i8 - 1,
            in_controlled_shutdown: dice.below(2) as i8,
            log_dirs: (0..dice.below(2)).map(|_| id(dice)).collect(),
            cordoned_log_dirs: dice.once_in(2).then(|| vec![id(dice)]),
            ..Default::default()
        }
        .into(),
        16 => UnregisterBrokerRecord { broker_id: number(dice), ..Default::default() }.into(),
        17 => ClientQuotaRecord {
            entity: (0..1 + dice.below(2))
                .map(|at| EntityData {
                    entity_type: ["user", "client-id"][at].into(),
                    entity_name: dice.once_in(2).then(|| name(dice)),
                    ..Default::default()
                })
                .collect(),
            key: format!("q{}", dice.below(2)),
            value: dice.below(1_000) as f64 / 7.0,
            remove: dice.once_in(3),
            ..Default::default()
        }
        .into(),
        18 => match dice.once_in(3) {
            true => RemoveUserScramCredentialRecord {
                name: name(dice),
                mechanism: 1 + dice.below(2) as i8,
                ..Default::default()
            }
            .into(),
            false => UserScramCredentialRecord {
                name: name(dice),
                mechanism: 1 + dice.below(2) as i8,
                salt: bytes(dice),
                stored_key: bytes(dice),
                server_key: bytes(dice),
                iterations: 4096,
                ..Default::default()
            }
            .into(),
        },
        19 => {
            ProducerIdsRecord { broker_id: 1, next_producer_id: dice.below(5_000) as i64, ..Default::default() }.into()
        }
        20 => match dice.below(4) {
            0 => RemoveAccessControlEntryRecord { id: id(dice), ..Default::default() }.into(),
            1 => {
                AccessControlEntryRecord { id: id(dice), resource_name: name(dice), operation: 3, ..Default::default() }
                    .into()
            }
            2 => RemoveDelegationTokenRecord { token_id: name(dice), ..Default::default() }.into(),
            _ => DelegationTokenRecord { token_id: name(dice), owner: name(dice), ..Default::default() }.into(),
        },
        _ => match dice.once_in(2) {
            true => ClearElrRecord {
                topic_name: if dice.once_in(2) { String::new() } else { "t1".into() },
                ..Default::default()
            }
            .into(),
            false => {
                RegisterControllerRecord { controller_id: number(dice), incarnation_id: id(dice), ..Default::default() }
                    .into()
            }
        },
    }
}

fn some_image(seed: u64) -> Image {
    let mut dice = Dice::new(seed);
    let mut image = empty();
    for _ in 0..dice.below(300) {
        // What contradicts the image is refused, and changes nothing.
        drop(image.apply(&some_record(&mut dice)));
    }
    if dice.once_in(2) {
        image.carried_mut().control(ControlType::KraftVersion as i16, &dice.roll().to_be_bytes());
    }
    image.set_version(ID.end_offset - 1);
    image
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_image_comes_back_from_its_snapshot_exactly(seed in any::<u64>()) {
        let (files, image) = (disk(), some_image(seed));
        written(&files, &image);
        prop_assert_eq!(read_it(&files).unwrap(), image);
    }
}

#[test]
fn random_images_hold_something_of_everything() {
    let all: Vec<MetadataRecord> = (0..50).flat_map(|seed| some_image(seed).records().collect::<Vec<_>>()).collect();
    let numbers: std::collections::BTreeSet<u16> = all.iter().map(MetadataRecord::number).collect();
    assert_eq!(numbers, [0, 2, 3, 4, 10, 11, 12, 14, 15, 18, 27].into(), "by record type");
}

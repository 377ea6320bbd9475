//! Shards beside each other: what one says to the others, and what becomes of it where they do not listen.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::buf::Buffers;
use ringlog_io::sim::{SimFiles, World};
use ringlog_io::{Clock, Driver, Event, Files, Nanos, Slice};
use ringlog_storage::{Origin, Startup};
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::{self, BatchBuilder, Rules};

use crate::apply_image;
use crate::broker::{Broker, Caller};
use crate::coordinator::transaction::{Claim, Marker};
use crate::coordinators::Coordinator;
use crate::front::Front;
use crate::limits::{self, Budget};
use crate::mail::{Address, Bus, Mail, Newest};
use crate::metadata::controller::Call;
use crate::metadata::fixtures::{self, settings};
use crate::metadata::image::{Image, Owner, ShardId, TRANSACTIONS_TOPIC};
use crate::replica::{PartitionKey, Staged, Ticket};
use crate::replicas::Place;
use crate::shard::Shard;
use crate::submission::{Came, Submission};
use crate::transaction_checks::{self, Held, Question};

/// A marker's number, and what became of it.
type Told = (u64, Result<(), ErrorCode>);

/// Shard 1 of two, and the seat of shard 0, whom the test plays.
struct Rig {
    shard: Shard,
    first: Bus,
    /// A second hand at the lane from 1 to 0.
    second: Bus,
    now: Nanos,
    files: Rc<dyn Files>,
    came: Came,
    _drivers: [Box<dyn Driver>; 2],
}

impl Rig {
    fn new() -> Self {
        Self::on(fixtures::image())
    }

    fn on(image: Image) -> Self {
        let (world, files) = (World::new(1), SimFiles::new(1));
        let mut drivers = [world.driver(&files, 1, 1).1, world.driver(&files, 1, 1).1];
        let addresses: Vec<Address> =
            drivers.iter_mut().map(|driver| Address::new(2, driver.waker().unwrap())).collect();
        let bus = |me| Bus::new(ShardId(me), addresses.clone());
        let (settings, files) = (Arc::new(settings()), files as Rc<dyn Files>);
        let image = Arc::new(image);
        let budget = Budget::ample(&settings);
        let front = Front::new(Arc::clone(&settings), Rc::clone(&files), Buffers::new(8 << 20), budget);
        let clock = &*drivers[1] as &dyn Clock;
        let now = clock.now();
        let broker = Broker::new(ShardId(1), (settings, budget), Rc::clone(&files), clock, Arc::clone(&image));
        let shard = Shard::new(broker, front, bus(1), None, Arc::new(Newest::new(image)));
        Self { shard, first: bus(0), second: bus(1), now, files, came: Came::default(), _drivers: drivers }
    }

    /// The same with the topic of transactions, and with its logs opened.
    fn with_logs() -> Self {
        let mut rig = Self::on(fixtures::image_with(TRANSACTIONS_TOPIC));
        apply_image::load(&mut rig.shard.broker, Startup::Clean, &BTreeMap::new());
        (0..20).for_each(|_| rig.turn());
        rig
    }

    /// A turn, and the jobs that it asks for.
    fn turn(&mut self) {
        self.now.0 += 1;
        let mut came = std::mem::take(&mut self.came);
        self.shard.turn(self.now, 0, &mut came);
        for submission in std::mem::take(self.shard.submissions()) {
            if let Submission::Run { job, token } = submission {
                let result = job.perform(&*self.files);
                self.came.events.push(Event::JobDone { token, result });
            }
        }
    }

    fn tell(&mut self, mail: Mail) {
        self.first.send(ShardId(1), mail).unwrap();
        self.turn();
    }

    /// A partition of topic `a` that is this shard's.
    fn partition(&self) -> (PartitionKey, Place) {
        let replicas = &self.shard.broker.replicas;
        let topic_id = self.shard.broker.image.topic("a").unwrap().id;
        let key = replicas.keys().find(|key| key.topic_id == topic_id).expect("one of three");
        (key, replicas.find(key).unwrap())
    }

    fn end_offset(&self) -> i64 {
        self.shard.broker.replicas.at(self.partition().1).log().end_offset()
    }

    /// A producer's batch comes, whose transaction shard 0 coordinates.
    fn produce(&mut self, sequence: i32) -> Claim {
        self.produce_in(false, sequence)
    }

    fn produce_in(&mut self, is_tv2: bool, sequence: i32) -> Claim {
        let broker = &mut self.shard.broker;
        let is_of_first = |id: &String| Coordinator::Transactions.owner(broker, id) == Owner::Sibling(ShardId(0));
        let transactional_id = (0..100).map(|n| format!("id-{n}")).find(is_of_first).expect("one of hundred");
        let claim = Claim { transactional_id, producer_id: 7, producer_epoch: 0, is_tv2 };
        let mut builder = BatchBuilder::new();
        builder.set_producer(7, 0, sequence).set_transactional(true);
        builder.append(0, None, Some(b"value"), &[]);
        builder.finish(&mut broker.scratch).unwrap();
        let bytes = builder.take();
        let validated = batch::validate(&bytes, &Rules::default(), 0, &mut broker.scratch).unwrap();
        let ticket = Ticket::Produce { request: 0, topic: 0, partition: 0 };
        let staged = Staged { validated, bytes: Slice::from(bytes), origin: Origin::Client, ticket };
        let place = self.partition().1;
        transaction_checks::admit(
            &mut self.shard.broker,
            place,
            claim.clone(),
            Held::Batch(staged, if is_tv2 { 12 } else { 8 }),
        );
        self.turn();
        claim
    }

    fn mark(&mut self, number: u64) {
        self.mark_with(number, marker(0, false));
    }

    fn mark_with(&mut self, number: u64, marker: Marker) {
        let key = self.partition().0;
        self.tell(Mail::Mark { number, key, marker, coordinator_epoch: 3 });
    }

    /// The coordinator answers the question of that number.
    fn verified(&mut self, number: u64, claim: Claim, found: Result<(), ErrorCode>) {
        let key = self.partition().0;
        self.tell(Mail::Verified(Question { number, key, claim }, found));
    }

    /// The questions that shard 0 is asked, and what it is told of its markers.
    fn questions_and_markers(&self) -> (Vec<u64>, Vec<Told>) {
        let (mut questions, mut markers) = (Vec::new(), Vec::new());
        for mail in self.hear() {
            match mail {
                Mail::Verify(question) => questions.push(question.number),
                Mail::Marked { number, result } => markers.push((number, result)),
                _ => {}
            }
        }
        (questions, markers)
    }

    /// Nothing more fits into the lane to shard 0.
    fn fill_lane(&self) {
        while self.second.send(ShardId(0), Mail::Stop).is_ok() {}
    }

    fn hear(&self) -> Vec<Mail> {
        self.first.receive().into_iter().map(|(from, mail)| (from == ShardId(1)).then_some(mail).unwrap()).collect()
    }
}

/// On the old code a shard whose loop ended in an error died unseen, and the others served on without its partitions.
#[test]
fn a_shard_that_cannot_go_on_stops_the_others_too() {
    let mut rig = Rig::new();
    rig.shard.stop_all();
    assert!(rig.shard.is_stopping());
    assert!(matches!(rig.hear()[..], [Mail::Stop]));
}

#[test]
fn who_is_to_stop_and_has_no_room_is_told_later() {
    let mut rig = Rig::new();
    rig.fill_lane();
    rig.shard.stop_all();
    assert!(!rig.shard.is_stopping(), "it goes on until everybody was told");
    rig.turn();
    assert!(!rig.shard.is_stopping());
    assert_eq!(rig.hear().len(), limits::LANE_MAIL);
    rig.turn();
    assert!(rig.shard.is_stopping());
    assert!(rig.hear().iter().any(|mail| matches!(mail, Mail::Stop)));
}

/// On the old code mail to a full box was lost, and its caller never answered.
#[test]
fn calls_that_find_no_room_wait_in_order_and_are_sent_once() {
    let mut rig = Rig::new();
    rig.turn();
    rig.hear();
    rig.fill_lane();
    for name in ["a", "b", "c"] {
        rig.shard.broker.calls.push((Caller::Nobody, Call::AutoCreate(vec![name.to_owned()])));
    }
    rig.turn();
    assert_eq!(rig.shard.broker.calls.len(), 3);
    rig.hear();
    rig.turn();
    assert_eq!(rig.shard.broker.calls.len(), 0);
    rig.turn();
    let called = |mail: Mail| match mail {
        Mail::Call { call_id, call: Call::AutoCreate(names) } => Some((call_id, names.concat())),
        _ => None,
    };
    let calls: Vec<_> = rig.hear().into_iter().filter_map(called).collect();
    assert_eq!(calls, [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())]);
}

#[test]
fn calls_over_the_limit_of_those_that_wait_are_refused() {
    let mut rig = Rig::new();
    rig.fill_lane();
    for _ in 0..limits::CONTROLLER_CALLS + 10 {
        rig.shard.broker.calls.push((Caller::Nobody, Call::AutoCreate(Vec::new())));
    }
    rig.turn();
    assert_eq!(rig.shard.broker.calls.len(), limits::CONTROLLER_CALLS);
}

#[test]
fn what_shard_0_is_to_know_of_the_folders_is_told_when_it_has_room() {
    let mut rig = Rig::new();
    rig.fill_lane();
    rig.turn();
    assert!(rig.hear().iter().all(|mail| matches!(mail, Mail::Stop)));
    rig.turn();
    assert!(rig.hear().iter().any(|mail| matches!(mail, Mail::Settled { has_read_all: true, .. })));
    rig.turn();
    assert!(rig.hear().is_empty(), "once");
}

fn marker(producer_epoch: i16, is_tv2: bool) -> Marker {
    Marker { producer_id: 7, producer_epoch, is_commit: true, is_tv2 }
}

// --- transactions that another shard coordinates -----------------------------------------------------------------------

#[test]
fn a_marker_of_another_shard_is_written_and_told_of_or_why_it_is_not() {
    let mut rig = Rig::with_logs();
    rig.hear();
    rig.mark(4);
    rig.turn();
    assert_eq!((rig.questions_and_markers().1, rig.end_offset()), (vec![(4, Ok(()))], 1));
    let marker = marker(0, false);
    let key = PartitionKey { partition: 99, ..rig.partition().0 };
    rig.tell(Mail::Mark { number: 5, key, marker, coordinator_epoch: 3 });
    rig.turn();
    assert_eq!(rig.questions_and_markers().1, [(5, Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))]);
    let key = rig.partition().0;
    rig.tell(Mail::Mark { number: 6, key, marker, coordinator_epoch: 2 });
    rig.turn();
    assert_eq!(rig.questions_and_markers().1, [(6, Err(ErrorCode::TRANSACTION_COORDINATOR_FENCED))]);
}

#[test]
fn a_batch_waits_for_the_coordinators_word_and_those_behind_it_wait_too() {
    let mut rig = Rig::with_logs();
    rig.hear();
    let claim = rig.produce(0);
    rig.produce(1);
    let questions = rig.questions_and_markers().0;
    assert_eq!((questions.len(), rig.end_offset()), (1, 0), "one question for both");
    rig.verified(questions[0], claim, Ok(()));
    assert_eq!(rig.end_offset(), 2);
    rig.produce(2);
    assert_eq!((rig.questions_and_markers().0.len(), rig.end_offset()), (0, 3), "it is open here by now");
}

#[test]
fn a_batch_that_a_marker_overtakes_is_never_written() {
    let mut rig = Rig::with_logs();
    rig.hear();
    let claim = rig.produce(0);
    let questions = rig.questions_and_markers().0;
    rig.mark(1);
    rig.verified(questions[0], claim.clone(), Ok(()));
    assert_eq!(rig.end_offset(), 1, "the marker alone");
    rig.produce(0);
    let again = rig.questions_and_markers().0;
    assert_eq!(again.len(), 1);
    rig.verified(again[0], claim, Err(ErrorCode::TRANSACTION_ABORTABLE));
    assert_eq!(rig.end_offset(), 1);
}

#[test]
fn who_asks_a_shard_that_does_not_coordinate_is_told_so() {
    let mut rig = Rig::new();
    let key = PartitionKey { topic_id: rig.shard.broker.image.topic("a").unwrap().id, partition: 0 };
    for is_tv2 in [false, true] {
        let claim = Claim { transactional_id: "id".to_owned(), producer_id: 7, producer_epoch: 0, is_tv2 };
        let question = Question { number: 9, key, claim };
        rig.tell(Mail::Verify(question.clone()));
        let told = rig.hear().into_iter().find_map(|mail| match mail {
            Mail::Verified(question, found) => Some((question, found)),
            _ => None,
        });
        assert_eq!(told, Some((question, Err(ErrorCode::NOT_COORDINATOR))));
    }
}

/// A producer goes on as soon as the end of its transaction is decided, with the epoch that the markers of that one bear.
#[test]
fn a_marker_of_version_2_leaves_what_waits_for_the_next_transaction() {
    let mut rig = Rig::with_logs();
    rig.hear();
    let claim = rig.produce_in(true, 0);
    let questions = rig.questions_and_markers().0;
    rig.mark_with(1, marker(0, true));
    rig.verified(questions[0], claim, Ok(()));
    assert_eq!(rig.end_offset(), 2, "the marker, and the batch behind it");
    rig.mark_with(2, marker(0, true));
    rig.turn();
    let refused = Err(ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(
        rig.questions_and_markers().1,
        [(1, Ok(())), (2, refused)],
        "it is late, and another transaction is open"
    );
    rig.mark_with(3, marker(1, true));
    rig.turn();
    assert_eq!((rig.questions_and_markers().1, rig.end_offset()), (vec![(3, Ok(()))], 3));
}

#[test]
fn a_batch_of_version_2_whose_transaction_a_marker_ends_is_never_written() {
    let mut rig = Rig::with_logs();
    rig.hear();
    let claim = rig.produce_in(true, 0);
    let questions = rig.questions_and_markers().0;
    rig.mark_with(1, marker(1, true));
    rig.verified(questions[0], claim, Ok(()));
    assert_eq!(rig.end_offset(), 1, "the marker alone");
}

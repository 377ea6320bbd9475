//! Shards beside each other: what one says to the others, and what becomes of it where they do not listen.

use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::buf::Buffers;
use ringlog_io::sim::{SimFiles, World};
use ringlog_io::{Clock, Driver, Files, Nanos};

use crate::broker::{Broker, Caller};
use crate::front::Front;
use crate::limits::{self, Budget};
use crate::mail::{Address, Bus, Mail, Newest};
use crate::metadata::controller::Call;
use crate::metadata::fixtures::{self, settings};
use crate::metadata::image::ShardId;
use crate::shard::Shard;
use crate::submission::Came;

/// Shard 1 of two, and the seat of shard 0, whom the test plays.
struct Rig {
    shard: Shard,
    first: Bus,
    /// A second hand at the lane from 1 to 0.
    second: Bus,
    now: Nanos,
    _drivers: [Box<dyn Driver>; 2],
}

impl Rig {
    fn new() -> Self {
        let (world, files) = (World::new(1), SimFiles::new(1));
        let mut drivers = [world.driver(&files, 1, 1).1, world.driver(&files, 1, 1).1];
        let addresses: Vec<Address> =
            drivers.iter_mut().map(|driver| Address::new(2, driver.waker().unwrap())).collect();
        let bus = |me| Bus::new(ShardId(me), addresses.clone());
        let (settings, files) = (Arc::new(settings()), files as Rc<dyn Files>);
        let image = Arc::new(fixtures::image());
        let budget = Budget::ample(&settings);
        let front = Front::new(Arc::clone(&settings), Rc::clone(&files), Buffers::new(8 << 20), budget);
        let clock = &*drivers[1] as &dyn Clock;
        let now = clock.now();
        let broker = Broker::new(ShardId(1), (settings, budget), files, clock, Arc::clone(&image));
        let shard = Shard::new(broker, front, bus(1), None, Arc::new(Newest::new(image)));
        Self { shard, first: bus(0), second: bus(1), now, _drivers: drivers }
    }

    fn turn(&mut self) {
        self.now.0 += 1;
        self.shard.turn(self.now, 0, &mut Came::default());
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
